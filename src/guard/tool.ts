import type { Call } from "../model/call.js"
import type { Decision, Scan } from "../model/decision.js"
import { SerinError } from "../errors.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { Guard } from "../guard.js"
import type { Mode } from "./guard-options.js"
import { isThenable } from "./judge.js"
import type { NotRun } from "./refusal.js"
import type { Channel, Passed, Ruling, SessionRef, ToolPort, ToolPortOptions, ToolUse } from "./tool-port.js"

type AnyFunction = (...args: never[]) => unknown

/** A function with the guard before it: the same, but that an asynchronous guard makes a promise of a value. */
export type Guarded<F extends AnyFunction, M extends Mode> = M extends "async"
  ? (this: ThisParameterType<F>, ...args: Parameters<F>) => Later<ReturnType<F>>
  : F

type Later<R> = R extends AsyncGenerator<unknown, unknown, unknown> ? R : Promise<Awaited<R>>

/** Why a tool does not answer as it would: it was not run, or what it answered is withheld. */
export type Refusal<C extends Call = Call> = {
  readonly tool: string
  /** For the model: what happened, why, and that the same call is not to be tried again. */
  readonly reason: string
  /** Null, as the decision: it could not be put to the guard. */
  readonly call: C | null
} & (
  | { readonly kind: NotRun; readonly decision: Decision | null }
  /** `scan` null: the output could not be read as a text. */
  | { readonly kind: "withheld"; readonly scan: Scan | null }
)

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

type Args = readonly unknown[]
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
  const kind = fn.constructor.name
  const streams = options.streams ?? kind === "AsyncGeneratorFunction"
  const isAsync = kind === "AsyncFunction"

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

  function refuse(refusal: Refusal<C>): unknown {
    if (denied !== undefined) return denied(refusal)
    throw new SerinError(refusal.kind === "withheld" ? "TOOL_OUTPUT_WITHHELD" : "TOOL_DENIED", refusal.reason)
  }

  function notRun({ why, reason, call, decision }: Extract<Ruling<C>, { kind: "refuse" }>): unknown {
    return refuse({ tool: name, kind: why, reason, call, decision })
  }

  /** A port without an approval of its own only runs or refuses. */
  function go(self: unknown, args: Args, ruling: Ruling<C>): unknown {
    if (ruling.kind === "refuse") return notRun(ruling)
    const output = fn.apply(self, [...args])
    if (!port.scans) return output
    return isThenable(output) ? output.then((settled) => checked(ruling, settled)) : checked(ruling, output)
  }

  function checked(ruling: Ruling<C>, output: unknown): unknown {
    if (isAsyncIterable(output)) return checkedItems(ruling, output)
    const hand = (passed: Passed): unknown => {
      if (passed.kind === "pass") return passed.value
      const { scan, reason } = passed
      return refuse({ tool: name, kind: "withheld", reason, call: ruling.call, scan })
    }
    const passed = port.pass(ruling, output)
    return isThenable(passed) ? passed.then(hand) : hand(passed)
  }

  async function* checkedItems(ruling: Ruling<C>, items: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    for await (const item of items) yield await checked(ruling, item)
  }

  async function* stream(self: unknown, args: Args, ruling: Ruling<C> | Promise<Ruling<C>>): AsyncGenerator<unknown> {
    const answer: unknown = await go(self, args, await ruling)
    if (isAsyncIterable(answer)) return yield* answer
    yield answer
  }

  function guarded(this: unknown, ...args: unknown[]): unknown {
    const ruling = port.decide(useOf(args), args)
    if (streams && (isThenable(ruling) || ruling.kind === "refuse")) return stream(this, args, ruling)
    if (isThenable(ruling)) return ruling.then((settled) => whole(go(this, args, settled)))
    if (!isAsync) return go(this, args, ruling)
    try {
      const answer = go(this, args, ruling)
      return isThenable(answer) ? answer : Promise.resolve(answer)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** In a promise of a generator nobody would look for it. */
  function whole(answer: unknown): unknown {
    if (!isAsyncIterable(answer) || !("next" in answer)) return answer
    throw new TypeError(`tool ${name} answers an async generator, and the guard is asynchronous: pass streams: true`)
  }

  return Object.defineProperties(guarded, {
    name: { value: fn.name, configurable: true },
    length: { value: fn.length, configurable: true },
  })
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

export type GuardedTools<T, M extends Mode> = { [K in keyof T]: T[K] extends AnyFunction ? Guarded<T[K], M> : T[K] }

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.asyncIterator in value
