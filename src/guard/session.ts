import type { Call } from "../model/call.js"
import { ARMS, OUTCOMES } from "../model/decision.js"
import type { Arm, Decision, Scan } from "../model/decision.js"
import type { Stratum } from "../model/evidence.js"
import { OUTCOME_INDEX, recordEvaluation, recordPair, recordPairAfter } from "../evidence/cells.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { EvaluationContext } from "../release/ports.js"
import type { AttributeValue } from "../rollout/spec.js"
import { rampIndexAt } from "../session/arm.js"
import { bucketOf, cohortOf, shadowBucketOf } from "../session/bucket.js"
import { recent } from "../session/recent.js"
import type { Recent } from "../session/recent.js"
import { capture } from "./capture.js"
import { postureOf } from "./core.js"
import type { Core, Side } from "./core.js"
import { judgeAsync, judgeSync, outcomeOf, ruleOf, unavailable } from "./judge.js"
import type { Judged } from "./judge.js"
import { scanAsync, scanSync } from "./scan.js"
import type { View } from "./view.js"

/** Evaluations of one session that inference counts: a few endless sessions must not outweigh all others. */
export const MAX_COUNTED = 20

/** Answers of one session kept for calls that are asked again, at most twice as many. */
const MAX_REMEMBERED_CALLS = 64

export interface EvaluateOptions {
  /**
   * The runtime's id of this call. Frameworks ask again (approval, then execution; resume; retry): the same id in the same
   * session is decided and counted once, also while the first answer is still pending.
   */
  readonly callId?: string | undefined
}

const STABLE = 0
const CANARY = 1

/** What the host tells of a session: a tier, a region, a language. */
export type Attributes = Readonly<Record<string, AttributeValue>>
const NONE: Attributes = {}

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

/** One agent conversation: keeps its arm, counts what it does. */
export class GuardSession<C extends Call> {
  private readonly context: EvaluationContext
  /** Null while nothing was decided since the rollout state last changed. */
  private view: View<C> | null = null
  private salt: string | null = null
  private bucket = 0
  private shadowBucket = 0
  private cohort = 0
  private stratum: Stratum
  private armIndex: ArmIndex = STABLE
  private counted = 0
  /** Served by another arm than the one it was drawn for, so it says nothing about either. */
  private displaced = false
  /** The canary's answer has differed from stable's and was acted on: what follows is no longer stable's world. */
  private disagreed = false
  /** Takes no part: not eligible, or began when the canary had all the sessions it may have. */
  private apart = false
  private paired = false
  /** Stable served it once: it never enters the canary again. */
  private latched = false
  /** By call id; made when the first id is given. */
  private decided: Recent<Decision | Promise<Decision>> | undefined

  constructor(
    private readonly core: Core<C>,
    readonly sessionId: string,
    readonly startedAt: number,
    private readonly attributes: Attributes = NONE,
    /** Pinned to an arm, or `none`: it stands for calls without a session, always stable. Neither is evidence. */
    private readonly pin?: Arm | "none",
  ) {
    this.stratum = core.strata[0]!
    this.context = Object.freeze({ sessionId, startedAt })
  }

  get arm(): "stable" | "canary" {
    this.refresh()
    return ARMS[this.armIndex]
  }

  evaluate(call: C, options?: EvaluateOptions): Decision | Promise<Decision> {
    const callId = options?.callId
    return callId === undefined ? this.decide(call) : this.decideOnce(call, callId)
  }

  /** The first answer to a call stands for all that ask again; only the kill switch's denial overrides it. */
  private decideOnce(call: C, callId: string): Decision | Promise<Decision> {
    if (this.pin === "none" || this.refresh().lockdown) return this.decide(call)
    this.decided ??= recent(MAX_REMEMBERED_CALLS)
    const { decided } = this
    const before = decided.get(callId)
    if (before !== undefined) return before
    const decision = this.decide(call)
    decided.set(callId, decision)
    if (decision instanceof Promise) decision.catch(() => decided.delete(callId))
    return decision
  }

  private decide(call: C): Decision | Promise<Decision> {
    const { core } = this
    const view = this.refresh()
    if (view.lockdown) {
      const decision = this.lockdown(view)
      return core.async ? Promise.resolve(decision) : decision
    }
    if (core.async) return this.evaluateAsync(view, call)
    const arm = this.armIndex
    const own = this.judge(view, arm, call)
    if (own.evaluation !== null) {
      this.served(arm, own)
      this.shadow(view, call, arm, own)
      return answer(view, arm, "policy", own)
    }
    const stable = this.failed(arm, own) ? this.judge(view, STABLE, call) : own
    return this.settle(view, call, own, stable)
  }

  private async evaluateAsync(view: View<C>, call: C): Promise<Decision> {
    const arm = this.armIndex
    const own = await this.judgeAsync(view, arm, call)
    if (own.evaluation !== null) {
      this.served(arm, own)
      this.shadow(view, call, arm, own)
      return answer(view, arm, "policy", own)
    }
    const stable = this.failed(arm, own) ? await this.judgeAsync(view, STABLE, call) : own
    return this.settle(view, call, own, stable)
  }

  scan(text: string, options: { readonly direction: "input" | "output" }): Scan | Promise<Scan> {
    const { core } = this
    const view = this.refresh()
    const context = { sessionId: this.sessionId, startedAt: this.startedAt, direction: options.direction }
    const place = { stratum: this.inferable() ? this.stratum : null, cohort: this.cohort }
    if (core.async) return scanAsync(core, view, this.armIndex, text, context, place)
    return scanSync(core, view, this.armIndex, text, context, place)
  }

  /** Bring bucket, cohort and arm up to the view in force. */
  refresh(): View<C> {
    const { view } = this.core
    if (this.view === view) return view
    this.view = view
    if (this.pin !== undefined) {
      this.armIndex = this.pin === "canary" && view.canaryServes && !this.latched ? CANARY : STABLE
      return view
    }
    if (this.salt !== view.salt) {
      this.salt = view.salt
      this.bucket = bucketOf(view.salt, this.sessionId)
      this.shadowBucket = shadowBucketOf(view.salt, this.sessionId)
      this.cohort = cohortOf(view.salt, this.sessionId)
      this.disagreed = false
    }
    this.apart = !isEligible(view, this.attributes)
    if (this.apart) {
      this.armIndex = STABLE
      return view
    }
    const index = rampIndexAt(view.ramp, this.startedAt)
    this.stratum = this.core.strata[index + 1] ?? this.core.strata[0]!
    const drawn = view.canaryServes && this.bucket < (view.ramp[index]?.weightBp ?? 0) ? CANARY : STABLE
    // Past the cap neither arm takes new sessions into the comparison, or stable would be compared with nobody.
    if (this.counted === 0 && isFull(view, this.core)) {
      this.apart = true
      this.armIndex = STABLE
      this.latched = true
      return view
    }
    // A running session never enters the canary, even if a late state says that it should have begun there.
    this.armIndex = this.latched ? STABLE : drawn
    this.displaced = this.armIndex !== drawn
    return view
  }

  /** Count what a host's own function answered for this session; see `wrap`. */
  served(arm: ArmIndex, judged: Judged): void {
    const { telemetry } = this.core
    const outcome = outcomeOf(judged)
    telemetry.evaluation(arm, outcome, judged.ms, judged.errorType)
    const first = this.counted === 0
    if (this.pin === "none") telemetry.sessionless()
    else if (first) {
      telemetry.session(arm)
      if (arm === CANARY) this.core.canarySessions += 1
    }
    if (this.counted < MAX_COUNTED && this.inferable()) {
      recordEvaluation(this.stratum, arm, this.cohort, outcome, judged.ms, first)
    }
    this.counted += 1
    if (arm === STABLE) this.latched = true
  }

  /** Count a failed evaluation. True when stable may still answer for the canary. */
  failed(arm: ArmIndex, judged: Judged): boolean {
    const { core } = this
    const errorType = judged.errorType ?? "throw"
    core.emit({ type: "error", sessionId: this.sessionId, arm: ARMS[arm], errorType, error: judged.error })
    core.telemetry.fallback(errorType)
    if (arm === CANARY && errorType === "unavailable") {
      // Not the canary's fault: it was never there. The session belongs to stable from now on.
      this.armIndex = STABLE
      this.latched = true
      this.displaced = true
    } else {
      this.served(arm, judged)
    }
    return arm === CANARY
  }

  /** Have the other arm judge a copy of the call after the answer, when this session is sampled. */
  shadow(view: View<C>, call: C, arm: ArmIndex, own: Judged): void {
    if (!this.samples(view)) return
    const other = arm === STABLE ? CANARY : STABLE
    const release = other === CANARY ? view.canary : view.stable
    if (release === undefined || (release.policy.stateful ?? false)) return
    const copy = capture(call)
    this.enqueue(own, arm, copy, () =>
      this.core.async ? this.judgeAsync(view, other, copy) : this.judge(view, other, copy),
    )
  }

  /** Whether calls of this session are judged by both arms. */
  samples(view: View<C>): boolean {
    return this.pin === undefined && !this.apart && this.shadowBucket < view.sampleBp && this.counted <= MAX_COUNTED
  }

  enqueue(own: Judged, arm: ArmIndex, call: C, judgeOther: () => Judged | Promise<Judged>): void {
    const { core } = this
    const { stratum, cohort } = this
    const compare = (other: Judged): void => {
      if (arm === STABLE) this.compare(stratum, cohort, call, STABLE, own, other)
      else this.compare(stratum, cohort, call, CANARY, other, own)
    }
    const pushed = core.shadow.push(() => {
      const judged = judgeOther()
      return judged instanceof Promise ? judged.then(compare) : compare(judged)
    })
    if (!pushed) core.telemetry.shadow("dropped")
  }

  /** Count one call that both arms judged. */
  compare(stratum: Stratum, cohort: number, call: C, served: ArmIndex, stable: Judged, canary: Judged): void {
    const { core } = this
    const s = outcomeOf(stable)
    const c = outcomeOf(canary)
    core.telemetry.shadow("judged")
    core.telemetry.comparison(s, c)
    if (this.disagreed) {
      recordPairAfter(stratum, cohort, s, c)
    } else {
      recordPair(stratum, cohort, s, c, stable.ms, canary.ms, !this.paired)
      this.paired = true
    }
    if (s === c) return
    // A failed canary was not acted on: stable's answer was served.
    if (served === CANARY && c !== OUTCOME_INDEX.error) this.disagreed = true
    const sides = { stable: side(stable), canary: side(canary) }
    core.diffs.record(call.action, sides.stable, sides.canary)
    core.emit({ type: "disagreement", sessionId: this.sessionId, served: ARMS[served], call, ...sides })
  }

  private settle(view: View<C>, call: C, own: Judged, stable: Judged): Decision {
    if (stable !== own) {
      if (this.samples(view) && own.errorType !== "unavailable") {
        this.compare(this.stratum, this.cohort, call, CANARY, stable, own)
      }
      if (stable.evaluation !== null) return answer(view, STABLE, "fallback", stable, own.errorType)
      this.core.emit({
        type: "error",
        sessionId: this.sessionId,
        arm: "stable",
        errorType: stable.errorType,
        error: stable.error,
      })
    }
    if (this.core.onStableError === "throw" && stable.errorType === "throw") throw stable.error
    return {
      outcome: postureOf(this.core.onStableError),
      arm: "stable",
      release: view.stableVersion,
      source: "posture",
      reason: "the stable release could not judge this call",
      rule: ruleOf(stable),
      errorType: stable.errorType,
    }
  }

  private judge(view: View<C>, arm: ArmIndex, call: C): Judged {
    const release = arm === CANARY ? view.canary : view.stable
    if (release === undefined) return unavailable(arm === CANARY ? view.canaryVersion : view.stableVersion)
    return judgeSync(this.core.clock, release.policy, call, this.context)
  }

  private judgeAsync(view: View<C>, arm: ArmIndex, call: C): Promise<Judged> {
    const { core } = this
    const release = arm === CANARY ? view.canary : view.stable
    if (release === undefined) {
      return Promise.resolve(unavailable(arm === CANARY ? view.canaryVersion : view.stableVersion))
    }
    return judgeAsync(core.clock, core.timeoutMs[arm], release.policy, call, this.context)
  }

  private inferable(): boolean {
    return this.pin === undefined && !this.apart && !this.displaced
  }

  private lockdown(view: View<C>): Decision {
    this.core.telemetry.fallback("lockdown")
    return {
      outcome: "deny",
      arm: "stable",
      release: view.stableVersion,
      source: "lockdown",
      reason: "the kill switch denies every call",
      rule: undefined,
      errorType: undefined,
    }
  }
}

function isEligible({ state }: View<never>, attributes: Attributes): boolean {
  const eligible = state?.spec.eligible ?? null
  if (eligible === null) return true
  return Object.entries(eligible).every(
    ([name, values]) => Object.hasOwn(attributes, name) && values.includes(attributes[name]!),
  )
}

/** At 100 % the cap is over: what serves everybody has no limit. */
function isFull({ state, ramp }: View<never>, core: Core<never>): boolean {
  const max = state?.spec.maxSessions ?? null
  return max !== null && core.canarySessions >= max && ramp.at(-1)?.weightBp !== 10_000
}

function answer(
  view: View<never>,
  arm: ArmIndex,
  source: "policy" | "fallback",
  judged: Judged & { evaluation: object },
  errorType?: Judged["errorType"],
): Decision {
  const { evaluation } = judged
  return {
    outcome: evaluation.outcome,
    arm: ARMS[arm],
    release: arm === CANARY ? view.canaryVersion : view.stableVersion,
    source,
    reason: evaluation.reason,
    rule: evaluation.rule,
    errorType,
  }
}

function side(judged: Judged): Side {
  return { outcome: OUTCOMES[outcomeOf(judged)]!, rule: ruleOf(judged), reason: judged.evaluation?.reason }
}
