import type { Call } from "../model/call.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { Guard } from "../guard.js"
import type { Mode } from "./guard-options.js"
import type { Channel, Ruling, SessionRef, ToolPort, ToolPortOptions, ToolUse } from "./tool-port.js"
import { around } from "./tool-shape.js"
import type { Args, Refusal } from "./tool-shape.js"

type AnyFunction = (...args: never[]) => unknown

/** A function with the guard before it: the same, but that an asynchronous guard makes a promise of a value. */
export type Guarded<F extends AnyFunction, M extends Mode> = M extends "async"
  ? (this: ThisParameterType<F>, ...args: Parameters<F>) => Later<ReturnType<F>>
  : F

type Later<R> = R extends AsyncGenerator<unknown, unknown, unknown> ? R : Promise<Awaited<R>>

/** How one function is guarded. */
export interface ToolOptions<C extends Call, F extends AnyFunction> {
  /** The session's id, or what finds it in the arguments. Default: the session of the `withSession` around the call. A throw counts as none. */
  readonly session?: SessionRef | ((...args: Parameters<F>) => SessionRef | undefined) | undefined
  /** The runtime's id of the call, from the arguments: the same id and arguments in the same session are judged once. */
  readonly callId?: ((...args: Parameters<F>) => string | undefined) | undefined
  /** The call that is judged. Default `{ action: name, input }` with the only argument, else with all of them. */
  readonly call?: ((...args: Parameters<F>) => C) | undefined
  /** What `escalate` means: ask with a function, `deny` (default) or `allow`. A tool that answers at once needs a channel that does. */
  readonly escalate?: "deny" | "allow" | Channel<C> | undefined
  /** What is answered in place of the tool. Default: it throws `TOOL_DENIED` or `TOOL_OUTPUT_WITHHELD`, with `reason` as the message. */
  readonly denied?: ((refusal: Refusal<C>) => ReturnType<F> | Awaited<ReturnType<F>>) | undefined
  /** Have the output scanned; of a stream, each item by itself. Default false. */
  readonly scanOutput?: boolean | undefined
  /** It answers an async iterable. Told of every `async function*`; to be said of other functions in an asynchronous guard. */
  readonly streams?: boolean | undefined
}

const TOOL_KEYS: KeysOf<ToolOptions<Call, AnyFunction>> = {
  session: true,
  callId: true,
  call: true,
  escalate: true,
  denied: true,
  scanOutput: true,
  streams: true,
}

type MakePort<C extends Call> = (name: string, options: ToolPortOptions<C, Args>) => ToolPort<C, Args>

/** Put the guard before a function that is a tool. It keeps its `this`, its name, its length, and whether it answers now, later or bit by bit. */
export function guardFunction<C extends Call>(
  makePort: MakePort<C>,
  name: string,
  fn: (...args: unknown[]) => unknown,
  options: ToolOptions<C, (...args: unknown[]) => unknown> = {},
): (...args: unknown[]) => unknown {
  if (typeof name !== "string" || name === "") throw new TypeError(`tool: name must be a text, got ${String(name)}`)
  if (typeof fn !== "function") throw new TypeError(`tool ${name}: it must be a function, got ${typeof fn}`)
  refuseUnknown(`tool ${name}`, options, TOOL_KEYS)
  const { session, callId, call, escalate, denied, scanOutput } = options
  const port = makePort(`tool ${name}`, {
    escalate,
    scanOutput,
    session: typeof session === "function" ? (args) => session(...args) : session,
    call: call && ((_use, args) => call(...args)),
  })
  function useOf(args: Args): ToolUse {
    const input = args.length > 1 ? args : args[0]
    return { tool: name, input, callId: idOf(args) }
  }

  /** Undefined: the call has no id, or none that can be read. */
  function idOf(args: Args): string | undefined {
    try {
      return callId?.(...args)
    } catch {
      return undefined
    }
  }

  const decide = (args: Args): Ruling<C> | Promise<Ruling<C>> => port.decide(useOf(args), args)
  return around({ tool: name, fn, port, decide, denied, streams: options.streams })
}

/**
 * Put the guard before every function of an object, each under its key. What is no function is passed on.
 * `options` are those of {@link Guard.tool}, the same for all.
 */
export function guardTools<C extends Call, M extends Mode, T extends object>(
  guard: Guard<C, M>,
  tools: T,
  options?: ToolOptions<C, (...args: unknown[]) => unknown>,
): GuardedTools<T, M> {
  const guarded = Object.entries(tools).map(([name, tool]: [string, unknown]) => [
    name,
    typeof tool === "function" ? guard.tool(name, tool as (...args: unknown[]) => unknown, options) : tool,
  ])
  return Object.fromEntries(guarded) as GuardedTools<T, M>
}

/** Tools by name, each with the guard before it. */
export type GuardedTools<T, M extends Mode> = { [K in keyof T]: T[K] extends AnyFunction ? Guarded<T[K], M> : T[K] }
