import type { Call } from "../model/call.js"
import type { ArmIndex } from "../evidence/cells.js"
import { SerinError } from "../errors.js"
import type { Evaluation } from "../release/ports.js"
import { readEvaluation } from "../release/run.js"
import { capture } from "./capture.js"
import type { Core } from "./core.js"
import { isThenable, timedOut, TIMED_OUT, within } from "./judge.js"
import type { Judged } from "./judge.js"
import type { GuardSession, SessionOptions } from "./session.js"

/** How a pair of policy-evaluate functions is guarded. */
export interface WrapOptions<A extends unknown[], R> {
  /** The session's id, from the call's arguments. A throw or an empty id counts as a call without a session. */
  session(...args: A): string | ({ readonly id: string } & SessionOptions)
  /** What the function's result means. A throw or an unknown answer makes it an error of that function. */
  outcome(result: Awaited<R>): Evaluation
  /** What the call is about, for the decision diffs. Default: the first argument's `action`, else `call`. */
  action?(...args: A): string
  /** The host's own denial, for the kill switch and for a stable function that fails. Without it, both throw. */
  denied?(...args: A): R
  /** Whether the function that does not serve judges the call too. Default true; set false if calling it has effects. */
  shadow?: boolean | undefined
}

interface Ran<R> {
  readonly judged: Judged
  readonly value: R
}

/** Make one function of the stable and the canary one, with the same signature. */
export function wrapFunctions<C extends Call, A extends unknown[], R>(
  core: Core<C>,
  sessionOf: (id: string | undefined, options?: SessionOptions) => GuardSession<C>,
  stable: (...args: A) => R,
  canary: (...args: A) => R,
  options: WrapOptions<A, R>,
): (...args: A) => R {
  function find(args: A): GuardSession<C> {
    try {
      const found = options.session(...args)
      return typeof found === "string" ? sessionOf(found) : sessionOf(found.id, found)
    } catch {
      return sessionOf(undefined)
    }
  }

  function actionOf(args: A): string {
    try {
      const action =
        options.action === undefined ? (args[0] as Partial<Call> | undefined)?.action : options.action(...args)
      return typeof action === "string" ? action : "call"
    } catch {
      return "call"
    }
  }

  function read(value: unknown, ms: number): Judged {
    let error: unknown
    try {
      const evaluation = readEvaluation(options.outcome(value as Awaited<R>))
      if (evaluation !== null) return { evaluation, ms }
      error = new TypeError("outcome() must answer allow, deny or escalate, or { outcome }")
    } catch (thrown) {
      error = thrown
    }
    return { evaluation: null, ms, errorType: "invalid", error }
  }

  /** Run one side; the answer is a promise exactly when the function's is. */
  function run(self: unknown, arm: ArmIndex, args: A): Ran<R> | Promise<Ran<R>> {
    const limit = core.timeoutMs[arm]
    const startedAt = core.clock.monotonic()
    const since = (): number => core.clock.monotonic() - startedAt
    const threw = (error: unknown): Ran<R> => ({
      judged: { evaluation: null, ms: since(), errorType: "throw", error },
      value: undefined as R,
    })
    try {
      const value = (arm === 1 ? canary : stable).apply(self, args)
      if (!isThenable(value)) return { judged: read(value, since()), value }
      // Stable is the host's own function: how long it may take is the host's affair.
      const settled = arm === 1 ? within(core.clock, limit, value) : Promise.resolve(value)
      return settled.then(
        (answer) =>
          answer === TIMED_OUT
            ? { judged: timedOut(limit, since()), value: undefined as R }
            : { judged: read(answer, since()), value: answer as R },
        threw,
      )
    } catch (error) {
      return threw(error)
    }
  }

  function refuse(args: A, error: unknown): R {
    if (options.denied !== undefined) return options.denied(...args)
    throw error
  }

  return function guarded(this: unknown, ...args: A): R {
    const session = find(args)
    const view = session.refresh()
    if (view.lockdown) {
      core.telemetry.fallback("lockdown")
      return refuse(args, new SerinError("LOCKED_DOWN", "the kill switch denies every call; give wrap() a `denied`"))
    }
    const arm: ArmIndex = session.arm === "canary" ? 1 : 0
    const own = run(this, arm, args)

    const finish = (ran: Ran<R>): R => {
      if (ran.judged.evaluation !== null) {
        session.served(arm, ran.judged)
        shadow(this, ran.judged)
        return ran.value
      }
      if (!session.failed(arm, ran.judged)) return refuse(args, ran.judged.error)
      const fallback = run(this, 0, args)
      return (fallback instanceof Promise ? fallback.then(conclude) : conclude(fallback)) as R
    }
    const conclude = (ran: Ran<R>): R => (ran.judged.evaluation === null ? refuse(args, ran.judged.error) : ran.value)

    const shadow = (self: unknown, judged: Judged): void => {
      if (options.shadow === false || !session.samples(view)) return
      const copies = args.map(capture) as A
      const call = { action: actionOf(args), input: copies } as unknown as C
      session.enqueue(judged, arm, call, () => {
        const other = run(self, arm === 1 ? 0 : 1, copies)
        return other instanceof Promise ? other.then((ran) => ran.judged) : other.judged
      })
    }

    return (own instanceof Promise ? own.then(finish) : finish(own)) as R
  }
}
