import type { NoData, Verdict } from "../model/verdict.js"
import type { TickEvent } from "./event.js"
import { isUnderWay, phaseOf } from "./phase.js"
import { bounded, containBoth, extendRamp, revise, rollBack } from "./revise.js"
import type { Stage } from "./spec.js"
import type { Approval, Hold, HoldReason, RolloutState } from "./state.js"

/**
 * How long evidence may be missing before `onNoData: "rollback"` acts, ms, at most the stage's period: a source that answers
 * late or restarts is back by then. A source that works and counts nobody (`zero`) exposes nobody: it has the whole period.
 */
export const NO_DATA_GRACE_MS = 5 * 60_000

/**
 * Look once: breach → no data → sample ratio → sample → inconclusive → approval → advance. Breach and no data may take
 * exposure away, whatever holds; only a pass after the stage's period, with nothing holding, raises it, by one stage.
 */
export function tick(state: RolloutState, event: TickEvent, now: number): RolloutState {
  const look = lookAt(state, event, now)
  if (look === null) return state
  const { verdict } = look
  if (verdict?.result === "breach" && state.spec.onFailure === "contain") {
    return containBoth(state, now, { actor: event.actor, reason: verdict.reason, verdict })
  }
  const rollbackReason = reasonToRollBack(state, look, now)
  if (rollbackReason !== null) {
    return rollBack(state, now, { actor: event.actor, reason: rollbackReason, verdict })
  }
  const reasons = reasonsToHold(state, look)
  if (reasons.size === 0 && isProven(look)) return advance(state, event, look, now)
  return hold(state, event, look, reasons, now)
}

/** What a tick sees; all that the rules read. */
interface Look {
  readonly verdict: Verdict | null
  readonly stage: Stage
  readonly index: number
  /** Since the stage began to count, ms; negative before that. */
  readonly elapsedMs: number
  readonly noData: NoData | null
  /** Fewer sessions than `minSessions`. */
  readonly short: boolean
  readonly overdue: boolean
  readonly releases: "ready" | "missing"
  /** Why a fuse is blown. */
  readonly fuse: string | undefined
}

/** Null: nothing that a tick may move, or a verdict on another generation. */
function lookAt(state: RolloutState, event: TickEvent, now: number): Look | null {
  const phase = phaseOf(state)
  if (!isUnderWay(phase)) return null
  const { verdict, releases = "ready", fuse } = event
  if (verdict !== null && verdict.generation !== state.generation) return null
  const { spec } = state
  const stage = spec.stages[phase.stage]
  if (stage === undefined) return null
  const elapsedMs = now - phase.since
  const sessions = event.sessions ?? verdict?.sessions
  // In shadow nobody is served by the canary, and in baking nobody but it: there the pairs are the evidence.
  const paired = phase.phase !== "canary" && spec.shadowSampleBp > 0
  return {
    verdict,
    stage,
    index: phase.stage,
    elapsedMs,
    noData: noDataOf(event),
    short: sessions !== undefined && (paired ? sessions.paired : sessions.canary) < spec.minSessions,
    overdue: elapsedMs >= (stage.maxMs ?? spec.maxStageMs ?? Number.POSITIVE_INFINITY),
    releases,
    fuse,
  }
}

/** Too little data (`insufficient`) is data: it makes a verdict inconclusive, not blind. */
function noDataOf({ verdict, noData }: TickEvent): NoData | null {
  const kind = verdict === null ? (noData ?? "missing") : verdict.result === "inconclusive" ? verdict.noData : undefined
  return kind === undefined || kind === "insufficient" ? null : kind
}

const isProven = ({ verdict, elapsedMs, stage, short }: Look): boolean =>
  verdict?.result === "pass" && elapsedMs >= stage.periodMs && !short

function reasonToRollBack(state: RolloutState, look: Look, now: number): string | null {
  const { verdict, noData } = look
  const { spec } = state
  if (verdict?.result === "breach") return spec.onFailure === "rollback" ? verdict.reason : null
  if (noData !== null && spec.onNoData === "rollback") {
    const since = state.holds.find(({ reason }) => reason === "no_data")?.since ?? now
    const blindMs = Math.min(now - since, look.elapsedMs)
    const graceMs = noData === "zero" ? look.stage.periodMs : Math.min(look.stage.periodMs, NO_DATA_GRACE_MS)
    if (blindMs >= graceMs) return `no evidence (${noData}) since ${new Date(since).toISOString()}`
  }
  if (look.overdue && isUnproven(look) && spec.onInconclusive === "rollback") {
    return "the longest time in a stage is over, and the canary is not proven to be within its limits"
  }
  return null
}

const isUnproven = ({ verdict, short }: Look): boolean =>
  verdict === null || verdict.result === "inconclusive" || (verdict.result === "pass" && short)

/** Without a verdict nothing that the last one found is taken back. */
function reasonsToHold(state: RolloutState, look: Look): ReadonlySet<HoldReason> {
  const { verdict, noData, short, overdue, stage } = look
  const { spec, holds } = state
  const had = (reason: HoldReason): boolean => holds.some((hold) => hold.reason === reason)
  const reasons = new Set<HoldReason>()
  const add = (reason: HoldReason, when: boolean): void => void (when && reasons.add(reason))

  add("paused", had("paused"))
  add("releases", look.releases === "missing")
  add("fuse", look.fuse !== undefined)
  // A breach does not un-happen when later data look better: a human resumes, promotes or rolls back.
  add("breach", verdict?.result === "breach" || had("breach"))
  add("no_data", noData !== null)
  add("srm", verdict === null ? had("srm") : verdict.srm.flagged)
  add("sample", short || (verdict === null && had("sample")))
  // `hold`: a stage that was not proven in its longest time waits for a human, even if a later look passes.
  const late = overdue && spec.onInconclusive === "hold" && (isUnproven(look) || had("inconclusive"))
  const unclear = verdict === null ? had("inconclusive") : verdict.result === "inconclusive" && noData === null
  add("inconclusive", late || (unclear && look.elapsedMs >= stage.periodMs))
  const ready = isReady(look, reasons)
  add("approval", ready && stage.approval && !state.approvals.some((approval) => approval.stage === look.index))
  return reasons
}

const NOT_EVIDENCE: ReadonlySet<HoldReason> = new Set<HoldReason>(["paused", "releases", "approval"])

/** The evidence has passed: what holds is no doubt about the canary. */
const isReady = (look: Look, reasons: ReadonlySet<HoldReason>): boolean =>
  isProven(look) && [...reasons].every((reason) => NOT_EVIDENCE.has(reason))

/** An approval is of evidence that passed, and lapses when a look finds that it does no longer. A blind look finds nothing. */
function lapsed({ approvals }: RolloutState, look: Look, reasons: ReadonlySet<HoldReason>): readonly Approval[] {
  if (look.noData !== null || isReady(look, reasons)) return []
  return approvals.filter(({ stage }) => stage === look.index)
}

/** Nothing holds: this look has found so. */
function advance(state: RolloutState, event: TickEvent, look: Look, now: number): RolloutState {
  const { actor } = event
  const { verdict, index } = look
  const reason = verdict?.reason ?? ""
  if (index === state.spec.stages.length - 1) {
    const cause = { event: "promote", actor, reason, verdict }
    return revise(state, now, cause, { ended: { kind: "promoted", at: now }, holds: [] })
  }
  const ramp = extendRamp(state.spec, state.ramp, index + 1, now)
  return revise(state, now, { event: "advance", actor, reason, verdict }, { ramp, holds: [] })
}

/** Only a change of the set, or an approval that lapses, is a revision: a number that moves is not. */
function hold(
  state: RolloutState,
  event: TickEvent,
  look: Look,
  reasons: ReadonlySet<HoldReason>,
  now: number,
): RolloutState {
  const kept = state.holds.filter(({ reason }) => reasons.has(reason))
  const added = [...reasons].filter((reason) => !kept.some((hold) => hold.reason === reason))
  const gone = lapsed(state, look, reasons)
  if (kept.length === state.holds.length && added.length === 0 && gone.length === 0) return state
  const holds: Hold[] = [...kept]
  for (const reason of added) {
    const note = noteOf(reason, look)
    holds.push({ reason, since: now, ...(note === undefined ? {} : { note }) })
  }
  const held = holds.length === 0 ? "nothing holds" : `held by ${holds.map((hold) => hold.reason).join(", ")}`
  const reason = [held, ...gone.map(({ by }) => `the approval of ${by} has lapsed`)].join("; ")
  const approvals = state.approvals.filter((approval) => !gone.includes(approval))
  const cause = { event: "hold", actor: event.actor, reason, verdict: look.verdict }
  return revise(state, now, cause, { holds, approvals })
}

function noteOf(reason: HoldReason, { noData, fuse }: Look): string | undefined {
  if (reason === "no_data") return noData ?? ""
  return reason === "fuse" && fuse !== undefined ? bounded(fuse) : undefined
}
