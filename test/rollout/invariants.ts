import { armWeights, phaseOf, servesCanary } from "../../src/rollout/phase.js"
import type { Stage } from "../../src/rollout/spec.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { NO_DATA_GRACE_MS } from "../../src/rollout/tick.js"
import type { Edge, Invariant } from "./exploration.js"

/** Written from the design, not from the code: what nobody may be able to do to a rollout, whatever happens in whatever order. */
export const INVARIANTS = {
  "a change is one revision": ({ before, after }) =>
    after === before || after.revision === before.revision + 1
      ? null
      : `revision ${before.revision} became ${after.revision}`,

  "the controller raises exposure on pass evidence and along the plan alone": (edge) => {
    const { before, event, after } = edge
    if (event.actor.kind !== "controller" || after === before) return null
    const steps = after.generation === before.generation ? after.ramp.length - before.ramp.length : 0
    const ends = isNewlyEnded(edge, "promoted")
    const grows = share(after) > share(before)
    if (steps === 0 && !ends && !grows) return null
    if (event.type === "start") return startsAtFirst(edge)
    return event.type === "tick" ? unearned(edge, steps, ends) : `${event.type} by the controller raised it`
  },

  "a human raises exposure by promote, start and retry alone": ({ before, event, after }) => {
    if (event.actor.kind !== "human" || after === before || share(after) <= share(before)) return null
    return ["promote", "start", "retry"].includes(event.type) ? null : `${event.type} raised it`
  },

  "whoever begins, begins with the first stage": (edge) =>
    edge.after.generation === edge.before.generation ? null : startsAtFirst(edge),

  "killed, rolled back and contained mean nobody": ({ before, now, after }) => {
    if (after === before) return null
    const stopped = after.kill !== "off" || after.ended?.kind === "rolled_back" || after.ended?.kind === "contained"
    if (!stopped) return null
    const times = [...before.ramp.map(({ at }) => at), ...after.ramp.map(({ at }) => at), now, Number.MAX_VALUE]
    const served = times.some((startedAt) => armWeights(after, startedAt).canary > 0)
    return served || servesCanary(after) ? "the canary is served" : null
  },

  "a ramp moves no session that is running": ({ before, now, after }) => {
    if (after === before) return null
    const begun = [...before.ramp, ...after.ramp].map(({ at }) => at).filter((at) => at <= now)
    const moved = [...begun, now - 1, now].find(
      (startedAt) => armWeights(after, startedAt).canary > armWeights(before, startedAt).canary,
    )
    return moved === undefined ? null : `sessions of ${now - moved} ms ago went to the canary`
  },

  "an automatic actor never undoes a human's decrease": ({ before, event, after }) => {
    if (event.actor.kind !== "controller" || after === before) return null
    if (STRICTNESS[after.kill] < STRICTNESS[before.kill]) return "the kill switch was loosened"
    const another = event.type === "start" && after.canary !== before.canary
    if (before.kill !== "off" && after.generation !== before.generation) return "what was killed began again"
    const kept = after.ended === before.ended || another
    if (before.ended?.kind === "rolled_back" && !kept) return "a rollback was undone"
    const contained = before.ended?.kind === "contained" && before.kill === "off"
    if (contained && after.ended?.kind !== "contained") return "a containment was ended"
    if (contained && after.kill === "stable") return "a containment was loosened to stable alone"
    const paused = (state: RolloutState) => state.holds.some(({ reason }) => reason === "paused")
    return paused(before) && !paused(after) && after.ended === null ? "a pause was lifted" : null
  },

  "a decrease that is asked for is never refused and never delayed": ({ before, event, after, refused }) => {
    const human = event.actor.kind === "human"
    if (event.type === "kill" && human && after.kill !== event.position) return "the kill did not act"
    if (event.type === "kill" && before.kill === "off" && before.ended?.kind !== "contained" && after.kill === "off") {
      return "the controller's kill did not act"
    }
    const mayRollBack = human ? servesCanary(before) : "stage" in phaseOf(before)
    if (event.type === "rollback" && mayRollBack && (refused || servesCanary(after))) return "the rollback did not act"
    const canContain = human && before.canary !== null && before.kill === "off"
    if (event.type === "contain" && canContain && after.ended?.kind !== "contained") return "contain did not act"
    return null
  },

  "a breach acts in the look that finds it": ({ before, event, after }) => {
    if (event.type !== "tick" || event.verdict?.result !== "breach") return null
    if (event.verdict.generation !== before.generation || !("stage" in phaseOf(before))) return null
    if (before.spec.onFailure === "hold") {
      return after.holds.some(({ reason }) => reason === "breach") ? null : "it is not held"
    }
    const kind = before.spec.onFailure === "contain" ? "contained" : "rolled_back"
    return after.ended?.kind === kind ? null : `it is not ${kind}`
  },

  "missing evidence and missing proof take away where the spec says so, when it is due, and nowhere else": (edge) => {
    const { event, before } = edge
    if (event.type !== "tick" || event.verdict?.result === "breach") return null
    if (isNewlyEnded(edge, "contained")) return "it was contained without a breach"
    const due = isDue(edge)
    if (due === isNewlyEnded(edge, "rolled_back")) return null
    return due ? `${before.spec.onNoData} and ${before.spec.onInconclusive} did not roll back` : "it was rolled back"
  },

  "what has ended begins again with another canary, or by a human's retry": ({ before, event, after }) => {
    const over = before.kill !== "off" || before.ended !== null
    if (!over || after.generation === before.generation) return null
    if (event.type === "retry" && event.actor.kind === "human") return null
    return event.type === "start" && after.canary !== before.canary && before.kill === "off" ? null : "it began again"
  },

  "an approval is a human's, of evidence that has passed": ({ before, event, after }) => {
    if (after.generation !== before.generation || after.approvals.length <= before.approvals.length) return null
    if (event.type !== "approve" || event.actor.kind !== "human") return `it came by ${event.type}`
    return before.holds.some(({ reason }) => reason === "approval") ? null : "nothing had asked for it"
  },

  "a hold that goes on keeps the time it began": ({ before, after }) => {
    if (after.generation !== before.generation || after.holds === before.holds) return null
    const moved = after.holds.find(({ reason, since }) =>
      before.holds.some((hold) => hold.reason === reason && hold.since !== since),
    )
    return moved === undefined ? null : `${moved.reason} began anew`
  },
} as const satisfies Record<string, Invariant>

export type InvariantName = keyof typeof INVARIANTS

const STRICTNESS = { off: 0, stable: 1, deny: 2 } as const

/** Of the sessions that start when everything planned is in force. */
const share = (state: RolloutState): number => armWeights(state, Number.MAX_VALUE).canary

const isNewlyEnded = ({ before, after }: Edge, kind: string): boolean =>
  after.ended?.kind === kind && before.ended === null

function startsAtFirst({ now, after }: Edge): string | null {
  const [entry, ...rest] = after.ramp
  if (after.canary === null) return null // A kill was lifted that fell on an idle rollout.
  if (entry?.stage !== 0 || rest.length > 0) return "it began beyond its first stage"
  return entry.weightBp > 0 && entry.at < now + after.spec.activationDelayMs ? "it began before all can know" : null
}

/** What a step of the controller lacks. */
function unearned({ before, event, now, after }: Edge, steps: number, ends: boolean): string | null {
  const entry = before.ramp.at(-1)
  if (event.type !== "tick" || entry === undefined) return "there was no look"
  const { spec, holds } = before
  const stage = spec.stages[entry.stage] as Stage
  const { verdict } = event
  if (verdict?.result !== "pass") return `on ${verdict?.result ?? "nothing"}`
  if (verdict.generation !== before.generation) return "on evidence of another generation"
  if (verdict.srm.flagged || event.fuse !== undefined || event.releases === "missing") return "past a hold of the look"
  const { sessions } = verdict
  if (Math.min(sessions.canary, sessions.paired) < spec.minSessions) return "on too few sessions"
  if (now - entry.at < stage.periodMs) return "before the period was over"
  const bars = new Set([
    "paused",
    "breach",
    ...(isOverdue(before, now) && spec.onInconclusive === "hold" ? ["inconclusive"] : []),
  ])
  const bar = holds.find(({ reason }) => bars.has(reason))
  if (bar !== undefined) return `past ${bar.reason}`
  if (stage.approval && !before.approvals.some((approval) => approval.stage === entry.stage)) return "without approval"
  if (ends) return entry.stage === spec.stages.length - 1 && steps === 0 ? null : "promoted before the last stage"
  const next = after.ramp.at(-1)
  if (steps !== 1 || next?.stage !== entry.stage + 1) return "by more than one stage"
  return next.at >= now + spec.activationDelayMs ? null : "before every process can know"
}

function isOverdue({ spec, ramp }: RolloutState, now: number): boolean {
  const entry = ramp.at(-1)
  return entry !== undefined && spec.maxStageMs !== null && now - entry.at >= spec.maxStageMs
}

/** A look without a breach has to roll back. */
function isDue({ before, event, now }: Edge): boolean {
  const entry = before.ramp.at(-1)
  if (event.type !== "tick" || entry === undefined || !("stage" in phaseOf(before))) return false
  const { verdict } = event
  if (verdict !== null && verdict.generation !== before.generation) return false
  const { spec, holds } = before
  const blind = verdict === null ? (event.noData ?? "missing") : null
  const since = holds.find(({ reason }) => reason === "no_data")?.since
  const stage = spec.stages[entry.stage] as Stage
  const graceMs = blind === "zero" ? stage.periodMs : Math.min(stage.periodMs, NO_DATA_GRACE_MS)
  const isBlind = blind !== null && since !== undefined && Math.min(now - since, now - entry.at) >= graceMs
  if (isBlind && spec.onNoData === "rollback") return true
  const few = verdict !== null && Math.min(verdict.sessions.canary, verdict.sessions.paired) < spec.minSessions
  const unproven = verdict?.result !== "pass" || few
  return unproven && isOverdue(before, now) && spec.onInconclusive === "rollback"
}
