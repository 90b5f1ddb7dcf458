import { SerinError } from "../errors.js"
import type { Call } from "../model/call.js"
import type { Decision, Scan } from "../model/decision.js"
import { isThenable } from "../model/thenable.js"
import type { NotRun } from "./refusal.js"
import type { Passed, Ruling, ToolPort } from "./tool-port.js"

export type Args = readonly unknown[]

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

/** A function that is a tool, and who decides about its calls. */
export interface Tool<C extends Call> {
  readonly tool: string
  readonly fn: (...args: unknown[]) => unknown
  readonly port: Pick<ToolPort<C, never>, "scans" | "pass">
  /** A ruling `ask` is none here: it has been answered. */
  readonly decide: (args: Args) => Ruling<C> | Promise<Ruling<C>>
  readonly denied?: ((refusal: Refusal<C>) => unknown) | undefined
  /** It answers an async iterable. Default: whether it is an `async function*`. */
  readonly streams?: boolean | undefined
  /** What to make of a generator that came where a promise was due. Default: an error, that says how to avoid it. */
  readonly drain?: ((items: AsyncIterable<unknown>) => unknown) | undefined
}

/** Put a decision before a function. It keeps its `this`, its name, its length, and whether it answers now, later or bit by bit. */
export function around<C extends Call>(about: Tool<C>): (...args: unknown[]) => unknown {
  const { tool, fn, port, decide, denied, drain = refuseGenerator(about.tool) } = about
  const kind = fn.constructor.name
  const streams = about.streams ?? kind === "AsyncGeneratorFunction"
  const isAsync = kind === "AsyncFunction"

  function refuse(refusal: Refusal<C>): unknown {
    if (denied !== undefined) return denied(refusal)
    throw new SerinError(refusal.kind === "withheld" ? "TOOL_OUTPUT_WITHHELD" : "TOOL_DENIED", refusal.reason)
  }

  function go(self: unknown, args: Args, ruling: Ruling<C>): unknown {
    if (ruling.kind !== "run") {
      const { call, decision, reason = "" } = ruling
      return refuse({ tool, kind: ruling.kind === "ask" ? "unattended" : ruling.why, reason, call, decision })
    }
    const output = fn.apply(self, [...args])
    if (!port.scans) return output
    return isThenable(output) ? output.then((settled) => checked(ruling, settled)) : checked(ruling, output)
  }

  function checked(ruling: Ruling<C>, output: unknown): unknown {
    if (isAsyncIterable(output)) return checkedItems(ruling, output)
    const hand = (passed: Passed): unknown => {
      if (passed.kind === "pass") return passed.value
      const { scan, reason } = passed
      return refuse({ tool, kind: "withheld", reason, call: ruling.call, scan })
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
    const ruling = decide(args)
    if (streams && (isThenable(ruling) || ruling.kind !== "run")) return stream(this, args, ruling)
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
  const whole = (answer: unknown): unknown => (isAsyncIterable(answer) && "next" in answer ? drain(answer) : answer)

  return Object.defineProperties(guarded, {
    name: { value: fn.name, configurable: true },
    length: { value: fn.length, configurable: true },
  })
}

const refuseGenerator = (tool: string) => (): never => {
  throw new TypeError(`tool ${tool} answers an async generator, and the guard is asynchronous: pass streams: true`)
}

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.asyncIterator in value
