import type { Call } from "../model/call.js"
import { ARMS } from "../model/decision.js"
import type { Arm, Decision, ErrorType, Scan } from "../model/decision.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { Alert, Direction, EvaluationContext, ScanContext } from "../release/ports.js"
import { readAlerts } from "../release/run.js"
import { assignmentOf } from "./assignment.js"
import type { Assignment } from "./assignment.js"
import type { Core } from "./core.js"
import { ERROR, failed, judgeAsync, judgeSync, letGo, unavailable } from "./judge.js"
import type { Judged } from "./judge.js"
import { callIdOf, contentKey, Once } from "./once.js"
import { answerOf, locked, lost, posture } from "./answer.js"
import { capture } from "./capture.js"
import { Comparison } from "./comparison.js"
import { contain, observeBoth } from "./contain.js"
import { recordScan } from "./recorder.js"
import { scanAsync, scanSync } from "./scan.js"
import { doubtInEvaluate, doubtInScan } from "./session-options.js"
import { CANARY, Seat, STABLE } from "./seat.js"
import type { Attributes } from "./participation.js"
import type { Turn } from "./seat.js"
import { Tally } from "./tally.js"
import type { AnyRelease, View } from "./view.js"

/** What the host knows of a session. */
export interface SessionOptions {
  /** When the session began, ms since the epoch. Default: read from a UUIDv7 or ULID id, else first seen by this guard. */
  readonly startedAt?: number | undefined
  /** What `eligible` of the rollout looks at, for example `{ tier: "internal" }`. */
  readonly attributes?: Attributes | undefined
  /**
   * Pin the session to an arm, for people who try the canary out. It is left out of every comparison; rollback and kill
   * take it off the canary like any other. Options count when the session is first seen.
   */
  readonly arm?: Arm | undefined
}

/** Options of `session.evaluate()`. */
export interface EvaluateOptions {
  /**
   * The runtime's id of this call. Frameworks ask again (approval, then execution; resume; retry): the same call with the
   * same id in the same session is decided and counted once, also while the first answer is pending. An empty id is none.
   */
  readonly callId?: string | undefined
}

/** Options of `session.scan()`. */
export interface ScanOptions {
  readonly direction: Direction
}

const NO_RELEASES =
  "the guard was given no `releases`, so nobody can judge: every call gets what onStableError says; give it releases, or call what wrap() made"

const MONITOR_FAILED: readonly Alert[] = Object.freeze([Object.freeze({ name: "monitor_failed" })])

/** One agent conversation: keeps its arm, counts what it does. */
export class GuardSession<C extends Call> {
  readonly seat: Seat<C>
  readonly tally: Tally<C>
  readonly comparison: Comparison<C>
  private readonly context: EvaluationContext
  private memory: Once | undefined

  constructor(
    private readonly core: Core<C>,
    readonly sessionId: string,
    readonly startedAt: number,
    attributes?: Attributes,
    private readonly pin?: Arm | "none",
  ) {
    this.seat = new Seat(core, { sessionId, startedAt, attributes, pin })
    this.tally = new Tally(core, pin !== "none")
    this.comparison = new Comparison(core, sessionId, this.tally)
    this.context = Object.freeze({ sessionId, startedAt })
  }

  get arm(): Arm {
    return ARMS[this.seat.look().arm]
  }

  assignment(): Assignment {
    return assignmentOf(this.seat.look())
  }

  get config(): unknown {
    return this.release()?.config
  }

  get sdk(): unknown {
    return this.release()?.sdk
  }

  /** Taken like an answer: a session that has read of stable never enters the canary. */
  private release(): AnyRelease<C> | undefined {
    const { view, arm } = this.seat.take()
    if (arm === STABLE) return view.stable
    if (view.canary === undefined) this.seat.leaveCanary()
    return view.canary ?? view.stable
  }

  /** For logs: who and where, and nothing of the evidence. */
  toJSON(): { sessionId: string; startedAt: number; arm: Arm } {
    return { sessionId: this.sessionId, startedAt: this.startedAt, arm: this.arm }
  }

  /** What was answered to calls that may be asked again. */
  get once(): Once {
    return (this.memory ??= new Once())
  }

  /** Hold on to nothing of before, while it sleeps: neither a release that is superseded nor the evidence of a generation that is over. */
  forget(): void {
    this.seat.forget()
    this.tally.forget()
    this.comparison.forget()
  }

  evaluate(call: C, options?: EvaluateOptions): Decision | Promise<Decision> {
    const callId = callIdOf(options?.callId)
    // Asked only where no id was read, which is where a misspelt one would be lost.
    if (callId === undefined && options !== undefined && options !== null) this.doubt(doubtInEvaluate(options))
    const key = this.keyOf(call, callId)
    if (key === null || this.pin === "none" || this.core.view.lockdown) return this.decide(call, callId)
    return this.once.answer(key, call, this.core.view.contained, () => this.decide(call, callId), isKept)
  }

  scan(text: string, options?: ScanOptions): Scan | Promise<Scan> {
    const direction = options?.direction ?? "input"
    if (options?.direction !== "input" && direction !== "output") this.doubt(doubtInScan(options))
    const context: ScanContext = { ...this.context, direction }
    const scan = this.core.async ? scanAsync : scanSync
    return recordScan(this.core, this, direction, text, () => scan(this.core, this, text, context))
  }

  private doubt(message: string | undefined): void {
    if (message !== undefined) this.core.misuse("call_options", () => message)
  }

  /** Never throws: a monitor that fails, or that is not there because its release is not, raises the alert `monitor_failed`. */
  observe(event: unknown): readonly Alert[] {
    const turn = this.seat.take()
    const { view } = turn
    if (view.contained) return observeBoth(this, turn, event, MONITOR_FAILED)
    const release = turn.arm === CANARY ? view.canary : view.stable
    const alerts = this.watch(turn, turn.arm, event)
    // Like a call that it could not judge: what stable saw, it does not know.
    if (release === undefined && turn.arm === CANARY) this.seat.leaveCanary()
    if (release?.monitor !== undefined) this.tally.observation(turn, alerts?.length ?? 1, alerts === null)
    // A canary that cannot watch leaves it to stable, as with every other component.
    return alerts ?? (turn.arm === CANARY ? this.watch(turn, STABLE, event) : null) ?? MONITOR_FAILED
  }

  /** Null: the monitor failed. */
  watch({ view }: Turn<C>, arm: ArmIndex, event: unknown): readonly Alert[] | null {
    const release = arm === CANARY ? view.canary : view.stable
    if (release === undefined) return this.unwatched(arm, unavailable(nameOf(view, arm)))
    if (release.monitor === undefined) return []
    try {
      const answer: unknown = release.monitor.observe(event, this.context)
      const alerts = readAlerts(answer)
      if (alerts === null) letGo(answer)
      return alerts ?? this.unwatched(arm, failed("invalid", new TypeError("expected a list of alerts"), 0))
    } catch (error) {
      return this.unwatched(arm, failed("throw", error, 0))
    }
  }

  private unwatched(arm: ArmIndex, { errorType = "throw", error }: Judged): null {
    this.report(arm, errorType, error)
    this.core.telemetry.fallback(errorType)
    return null
  }

  /** What a call is recognised by when it comes back; null: by nothing, so it is decided anew. */
  private keyOf(call: C, callId: string | undefined): string | null {
    if (callId !== undefined) return `id/${callId}`
    const { recognise, view } = this.core
    if (recognise !== "content" || isStateful(view.stable) || isStateful(view.canary)) return null
    return contentKey(call)
  }

  private decide(call: C, callId?: string): Decision | Promise<Decision> {
    const { core } = this
    const turn = this.seat.take()
    if (turn.view.lockdown) {
      core.telemetry.fallback("lockdown")
      const decision = this.tell(turn, call, locked(turn.view), null, 0, callId)
      return core.async ? Promise.resolve(decision) : decision
    }
    if (turn.view.contained) return contain(core, this, turn, call, callId)
    const kept = this.keep(turn, call)
    if (core.async) return this.decideAsync(turn, call, kept, callId)
    const own = this.judge(turn.view, turn.arm, call)
    if (own.outcome !== ERROR) return this.serve(turn, kept, own, callId)
    return this.settle(turn, kept, own, this.fail(turn, own) ? this.judge(turn.view, STABLE, kept) : own, callId)
  }

  private async decideAsync(turn: Turn<C>, call: C, kept: C, callId?: string): Promise<Decision> {
    const { inFlight } = turn.view
    inFlight.count += 1
    try {
      const own = await this.judgeAsync(turn.view, turn.arm, call)
      if (own.outcome !== ERROR) return this.serve(turn, kept, own, callId)
      const stable = this.fail(turn, own) ? await this.judgeAsync(turn.view, STABLE, kept) : own
      return this.settle(turn, kept, own, stable, callId)
    } finally {
      inFlight.count -= 1
    }
  }

  /** The call as it came, for whoever looks at it later: stable when the canary fails, the other arm, a log. */
  private keep(turn: Turn<C>, call: C): C {
    const kept = turn.arm === CANARY || (this.isShadowed(turn) && this.comparison.begins(turn))
    return kept || this.core.recorder?.wants(this) === true ? capture(call) : call
  }

  /** The other arm is there, and may judge what it does not serve. */
  private isShadowed({ view, arm, sampled }: Turn<C>): boolean {
    const other = arm === STABLE ? view.canary : view.stable
    return sampled && other !== undefined && !isStateful(other)
  }

  /** Serve the arm's own answer, and have the other arm judge the call afterwards. */
  private serve(turn: Turn<C>, call: C, own: Judged, callId?: string): Decision {
    const { view, arm } = turn
    this.tally.evaluation(turn, own)
    if (this.isShadowed(turn)) {
      const other = arm === STABLE ? CANARY : STABLE
      this.comparison.compare(turn, call, own, () =>
        this.core.async ? this.judgeAsync(view, other, call) : this.judge(view, other, call),
      )
    } else this.comparison.skip(turn)
    return this.tell(turn, call, answerOf(view, arm, "policy", own), own, own.ms, callId)
  }

  /** Count a failed evaluation. True when stable may still answer for the canary. */
  fail(turn: Turn<C>, own: Judged): boolean {
    const { core } = this
    const errorType = own.errorType ?? "throw"
    this.report(turn.arm, errorType, own.error)
    core.telemetry.fallback(errorType)
    // Not the canary's fault: it was never there.
    if (turn.arm === CANARY && errorType === "unavailable") this.seat.leaveCanary()
    else this.tally.evaluation(turn, own)
    return turn.arm === CANARY
  }

  report(arm: ArmIndex, errorType: ErrorType, error: unknown): void {
    const { core } = this
    if (errorType === "unavailable" && !core.hasReleases) core.misuse("no_releases", () => NO_RELEASES)
    core.emit({ type: "error", sessionId: this.sessionId, arm: ARMS[arm], errorType, error })
  }

  /** Answer for a failed evaluation: with stable's answer, or, if that failed too, with what the host asked for. */
  private settle(turn: Turn<C>, call: C, own: Judged, stable: Judged, callId?: string): Decision {
    const { view } = turn
    if (stable !== own) {
      if (own.errorType !== "unavailable") this.comparison.compare(turn, call, own, stable)
      const fallback = answerOf(view, STABLE, "fallback", stable, own.errorType)
      if (stable.outcome !== ERROR) return this.tell(turn, call, fallback, own, own.ms + stable.ms, callId)
      this.report(STABLE, stable.errorType ?? "throw", stable.error)
    }
    const { onStableError } = this.core
    this.tell(turn, call, lost(onStableError, view, stable), own, stable === own ? own.ms : own.ms + stable.ms, callId)
    return posture(onStableError, view, stable)
  }

  /** Hand on what was decided, and answer it. */
  private tell(
    turn: Turn<C>,
    call: C,
    decision: Decision,
    own: Judged | null,
    ms: number,
    callId: string | undefined,
  ): Decision {
    this.core.recorder?.decision(this, turn, call, decision, own, ms, callId)
    return decision
  }

  judge(view: View<C>, arm: ArmIndex, call: C): Judged {
    const release = arm === CANARY ? view.canary : view.stable
    if (release === undefined) return unavailable(nameOf(view, arm))
    return judgeSync(this.core.clock, release.policy, call, this.context)
  }

  judgeAsync(view: View<C>, arm: ArmIndex, call: C): Promise<Judged> {
    const { core } = this
    const release = arm === CANARY ? view.canary : view.stable
    if (release === undefined) return Promise.resolve(unavailable(nameOf(view, arm)))
    return judgeAsync(core.limits[arm], release.policy, call, this.context)
  }
}

const isStateful = (release: AnyRelease<never> | undefined): boolean => release?.policy.stateful === true

const isKept = ({ source, errorType }: Decision): boolean =>
  source === "policy" || source === "fallback" || (source === "contained" && errorType === undefined)

const nameOf = (view: View<never>, arm: ArmIndex): string => (arm === CANARY ? view.canaryVersion : view.stableVersion)
