import type { Call } from "../model/call.js"
import type { Decision } from "../model/decision.js"
import { SerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { Evaluation } from "../release/ports.js"
import { answerOf, locked, lost } from "./answer.js"
import { capture } from "./capture.js"
import { record, ruleBetween, ruledOf, tell } from "./contain.js"
import type { Core } from "./core.js"
import { ERROR, failed, letGo, read, TIMED_OUT, timedOut, within } from "./judge.js"
import type { Judged } from "./judge.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { isThenable } from "../model/thenable.js"
import { callIdOf } from "./once.js"
import { CANARY, STABLE } from "./seat.js"
import type { GuardSession, SessionOptions } from "./session.js"

/** How a pair of policy-evaluate functions is guarded. */
export interface WrapOptions<A extends unknown[], R> {
  /** The session's id, from the call's arguments. A throw or an empty id counts as a call without a session. */
  readonly session: (...args: A) => string | ({ readonly id: string } & SessionOptions)
  /** What the function's result means. A throw or an unknown answer makes it an error of that function. */
  readonly outcome: (result: Awaited<R>) => Evaluation
  /**
   * The runtime's id of the call, from its arguments: the same arguments with the same id in the same session are decided and counted
   * once, and answered with the same value. Without one, or when it throws, each call is decided anew.
   */
  readonly callId?: ((...args: A) => string | undefined) | undefined
  /** What the call is about, for the decision diffs. Default: the first argument's `action`, else `call`. */
  readonly action?: ((...args: A) => string) | undefined
  /** The host's own denial, for the kill switch and for a stable function that fails. Without it, both throw. */
  readonly denied?: ((...args: A) => R) | undefined
  /**
   * Whether the function that does not serve judges the call too. Default true; set false if calling it has effects. A rollout that
   * is contained calls both all the same: it needs both answers.
   */
  readonly shadow?: boolean | undefined
}

/** Make one function of the stable and the canary one, with the same signature. */
export function wrapFunctions<C extends Call, A extends unknown[], R>(
  core: Core<C>,
  sessionOf: (id: string | undefined, options?: SessionOptions) => GuardSession<C>,
  stable: (...args: A) => R,
  canary: (...args: A) => R,
  options: WrapOptions<A, R>,
): (...args: A) => R {
  interface Asked {
    readonly self: unknown
    readonly args: A
    readonly callId: string | undefined
    /** A release answered, not the posture: such an answer stands when the call is asked again. */
    judged: boolean
  }

  refuseUnknown("wrap", options, WRAP_KEYS)
  for (const [name, value] of Object.entries({
    stable,
    canary,
    session: options?.session,
    outcome: options?.outcome,
  })) {
    if (typeof value !== "function") throw new TypeError(`wrap: ${name} must be a function, got ${typeof value}`)
  }
  const name = `wrap-${++core.wraps}`
  /** What throws in an asynchronous function must reject. */
  let isAsync: boolean | undefined = stable.constructor.name === "AsyncFunction" ? true : undefined

  function find(args: A): GuardSession<C> {
    try {
      const found = options.session(...args)
      letGo(found)
      return typeof found === "string" ? sessionOf(found) : sessionOf(found.id, found)
    } catch (error) {
      core.misuse("session", () => `session of wrap() throws, so such calls belong to none: ${errorText(error)}`)
      return sessionOf(undefined)
    }
  }

  function interpret(value: unknown, ms: number): Judged {
    try {
      return read(options.outcome(value as Awaited<R>), ms, value)
    } catch (error) {
      return failed("invalid", error, ms)
    }
  }

  /** Run one side; the answer is a promise exactly when the function's is. `limited`: within the arm's time limit. */
  function run(self: unknown, arm: ArmIndex, args: A, limited: boolean): Judged | Promise<Judged> {
    const startedAt = core.clock.monotonic()
    const since = (): number => core.clock.monotonic() - startedAt
    const limit = core.limits[arm]
    try {
      const value = (arm === CANARY ? canary : stable).apply(self, args)
      if (!isThenable(value)) {
        if (arm === STABLE) isAsync ??= false
        return interpret(value, since())
      }
      if (arm === STABLE) isAsync = true
      else isAsync ??= true
      return (limited ? within(limit, value) : Promise.resolve(value)).then(
        (settled) => (settled === TIMED_OUT ? timedOut(limit.timeoutMs, since()) : interpret(settled, since())),
        (error: unknown) => failed("throw", error, since()),
      )
    } catch (error) {
      return failed("throw", error, since())
    }
  }

  function refuse({ args }: Asked, error: unknown): R {
    if (options.denied !== undefined) return options.denied(...args)
    if (isAsync === true) return Promise.reject(error) as R
    throw error
  }

  /** Go on with both sides: at once, unless stable is asynchronous. */
  function both<T>(
    stableSide: Judged | Promise<Judged>,
    canarySide: Judged | Promise<Judged>,
    next: (stableSide: Judged, canarySide: Judged) => T,
  ): T | Promise<Awaited<T>> {
    if (isThenable(stableSide) || (isThenable(canarySide) && isAsync === true)) {
      return Promise.all([stableSide, canarySide]).then(([s, c]) => next(s, c)) as Promise<Awaited<T>>
    }
    if (!isThenable(canarySide)) return next(stableSide, canarySide)
    // A host that gets values must not get a promise: what is not denied would be allowed.
    return next(stableSide, failed("invalid", new TypeError("expected a value, as stable answers, got a promise"), 0))
  }

  function decide(asked: Asked, session: GuardSession<C>): R {
    const { self, args } = asked
    const turn = session.seat.take()
    const { arm } = turn
    const wanted = core.recorder?.wants(session) === true
    const shadowed = options.shadow !== false && session.comparison.begins(turn)
    // As they came, for whoever looks at them later: stable when the canary fails, the other side, a log.
    const kept = wanted || shadowed || arm === CANARY || turn.view.contained ? capture(args) : args
    const note = (decision: Decision, own: Judged | null, ms: number): void => {
      if (!wanted) return
      core.recorder?.decision(session, turn, callOf(kept, options.action), decision, own, ms, asked.callId)
    }
    if (turn.view.lockdown) {
      core.telemetry.fallback("lockdown")
      note(locked(turn.view), null, 0)
      return refuse(asked, new SerinError("LOCKED_DOWN", "the kill switch denies every call; give wrap() a `denied`"))
    }
    if (turn.view.contained) {
      const startedAt = core.clock.monotonic()
      const copy = capture(args)
      return both(run(self, STABLE, args, false), run(self, CANARY, copy, true), (stableSide, canarySide) => {
        const ms = core.clock.monotonic() - startedAt
        const ruling = ruleBetween(stableSide, canarySide, "deny")
        const call = callOf(kept, options.action) as unknown as C
        tell(core, session, turn, call, stableSide, canarySide, ruling)
        const decision = ruledOf(turn.view, stableSide, canarySide, ruling) ?? lost("deny", turn.view, stableSide)
        record(core, session, turn, call, decision, stableSide, canarySide, ms, asked.callId)
        if (ruling === null) return refuse(asked, stableSide.error)
        asked.judged = true
        return (ruling.arm === CANARY ? canarySide : stableSide).value as R
      }) as R
    }
    const compare = (own: Judged, other: Judged | (() => Judged | Promise<Judged>)): void => {
      if (turn.sampled) session.comparison.compare(turn, callOf(kept, options.action) as unknown as C, own, other)
      else session.comparison.skip(turn, own.outcome !== ERROR)
    }

    const finish = (own: Judged): R | Promise<R> => {
      if (own.outcome === ERROR) {
        if (!session.fail(turn, own)) {
          note(lost("deny", turn.view, own), own, own.ms)
          return refuse(asked, own.error)
        }
        return after(run(self, STABLE, kept, false), (fallback) => conclude(own, fallback))
      }
      session.tally.evaluation(turn, own)
      if (core.recorder !== null) note(answerOf(turn.view, arm, "policy", own), own, own.ms)
      if (options.shadow !== false) {
        const other = arm === STABLE ? CANARY : STABLE
        compare(own, () => run(self, other, kept, true))
      } else session.comparison.skip(turn)
      asked.judged = true
      return own.value as R
    }
    const conclude = (own: Judged, fallback: Judged): R => {
      compare(own, fallback)
      const stableFailed = fallback.outcome === ERROR
      const decision = stableFailed
        ? lost("deny", turn.view, fallback)
        : answerOf(turn.view, STABLE, "fallback", fallback, own.errorType)
      note(decision, own, own.ms + fallback.ms)
      if (!stableFailed) {
        asked.judged = true
        return fallback.value as R
      }
      session.report(STABLE, fallback.errorType ?? "throw", fallback.error)
      return refuse(asked, fallback.error)
    }
    // How long stable may take is the host's affair: it is its own function.
    return after(run(self, arm, args, arm === CANARY), finish) as R
  }

  /** Undefined: the call has no id, or none that can be read. */
  function idOf(args: A): string | undefined {
    try {
      const callId: unknown = options.callId?.(...args)
      letGo(callId)
      return callIdOf(callId)
    } catch {
      return undefined
    }
  }

  return function guarded(this: unknown, ...args: A): R {
    const callId = options.callId === undefined ? undefined : idOf(args)
    const asked: Asked = { self: this, args, callId, judged: false }
    const session = find(args)
    if (callId === undefined || session.sessionId === "" || core.view.lockdown) return decide(asked, session)
    return session.once.answer(
      `${name}/${callId}`,
      args,
      core.view.contained,
      () => decide(asked, session),
      () => asked.judged,
    )
  }
}

const WRAP_KEYS: KeysOf<WrapOptions<unknown[], unknown>> = {
  session: true,
  outcome: true,
  callId: true,
  action: true,
  denied: true,
  shadow: true,
}

/** Go on at once with a value, later with a promise. */
function after<T>(judged: Judged | Promise<Judged>, next: (judged: Judged) => T | Promise<T>): T | Promise<T> {
  return isThenable(judged) ? judged.then(next) : next(judged)
}

/** The arguments as a call, for comparing and for diffs. */
function callOf<A extends unknown[]>(args: A, action: ((...args: A) => string) | undefined): Call {
  let name: unknown
  try {
    name = action === undefined ? (args[0] as Partial<Call> | undefined)?.action : action(...args)
    letGo(name)
  } catch {
    name = undefined
  }
  return { action: typeof name === "string" ? name : "call", input: args }
}
