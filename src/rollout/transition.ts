import type { ContainEvent, KillEvent, LeadEvent, PromoteEvent, RollbackEvent, RolloutEvent } from "./event.js"
import { retry, start } from "./generation.js"
import { isContained, isUnderWay, phaseOf, type UnderWay } from "./phase.js"
import { refusal, requireHuman, requireUnderWay } from "./refusal.js"
import { bounded, boundedActor, containBoth, extendRamp, lastingHolds, revise, rollBack } from "./revise.js"
import type { HoldReason, RolloutState } from "./state.js"
import { tick } from "./tick.js"

export type { RolloutEvent } from "./event.js"

/**
 * Answer what an event makes of a state; `now` is ms since the epoch and may go backwards. The same object comes back when nothing
 * changes. Throws a `SerinError` (`TRANSITION_REFUSED`) that says where the rollout stands and which verb would work.
 */
export function transition(state: RolloutState, event: RolloutEvent, now: number): RolloutState {
  if (!(Math.abs(now) <= 8.64e15)) throw new RangeError(`now must be ms since the epoch, got ${now}`)
  switch (event.type) {
    case "tick":
      return tick(state, event, now)
    case "start":
      return start(state, event, now)
    case "pause":
      return pause(state, event, now)
    case "resume":
      return resume(state, event, now)
    case "approve":
      return approve(state, event, now)
    case "promote":
      return promote(state, event, now)
    case "rollback":
      return giveBack(state, event, now)
    case "contain":
      return contain(state, event, now)
    case "kill":
      return kill(state, event, now)
    case "retry":
      return retry(state, event, now)
    case "lead":
      return lead(state, event, now)
  }
}

type Asked<T extends RolloutEvent["type"]> = Extract<RolloutEvent, { readonly type: T }>

function pause(state: RolloutState, event: Asked<"pause">, now: number): RolloutState {
  requireHuman(state, event)
  requireUnderWay(state, "pause")
  if (state.holds.some(({ reason }) => reason === "paused")) return state
  const hold = { reason: "paused", since: now, note: bounded(event.reason) } as const
  return revise(state, now, { event: "pause", ...event }, { holds: [...state.holds, hold] })
}

const LIFTED_BY_RESUME: ReadonlySet<HoldReason> = new Set<HoldReason>(["paused", "breach", "inconclusive"])

function resume(state: RolloutState, event: Asked<"resume">, now: number): RolloutState {
  requireHuman(state, event)
  requireUnderWay(state, "resume")
  const holds = state.holds.filter(({ reason }) => !LIFTED_BY_RESUME.has(reason))
  if (holds.length === state.holds.length) return state
  return revise(state, now, { event: "resume", ...event }, { holds })
}

function approve(state: RolloutState, event: Asked<"approve">, now: number): RolloutState {
  requireHuman(state, event)
  const running = requireUnderWay(state, "approve")
  const { stage } = running
  if (state.spec.stages[stage]?.approval !== true) {
    throw refusal(state, "approve", "this stage asks for no approval; `promote` goes on at once")
  }
  if (state.approvals.some((approval) => approval.stage === stage)) return state
  if (event.actor.id.trim() === "" || event.reason.trim() === "") {
    throw refusal(state, "approve", "an approval says who gives it, and why")
  }
  if (!state.holds.some((hold) => hold.reason === "approval")) {
    throw refusal(state, "approve", `its evidence has to pass first: ${missing(state, running, now)}`)
  }
  const { id: by } = boundedActor(event.actor)
  const reason = bounded(event.reason)
  return revise(
    state,
    now,
    { event: "approve", ...event },
    {
      approvals: [...state.approvals, { stage, by, reason, at: now }],
      holds: state.holds.filter((hold) => hold.reason !== "approval"),
    },
  )
}

/** What keeps a stage from asking for its approval, which is the last gate: an approval of what is not known yet is none. */
function missing({ holds, spec }: RolloutState, { stage, since }: UnderWay, now: number): string {
  const held = holds.map(({ reason }) => reason).filter((reason) => reason !== "paused" && reason !== "releases")
  if (held.length > 0) return `it is held by ${held.join(", ")}`
  const due = since + (spec.stages[stage]?.periodMs ?? 0)
  return now < due ? `its period ends at ${new Date(due).toISOString()}` : "no look has passed yet"
}

function promote(state: RolloutState, event: PromoteEvent, now: number): RolloutState {
  requireHuman(state, event)
  const { stage } = requireUnderWay(state, "promote")
  const last = state.spec.stages.length - 1
  const cause = { event: "promote", ...event }
  if (event.to !== "end" && stage < last) {
    const ramp = extendRamp(state.spec, state.ramp, stage + 1, now)
    return revise(state, now, cause, { ramp, holds: lastingHolds(state.holds) })
  }
  const ramp = stage < last ? extendRamp(state.spec, state.ramp, last, now) : state.ramp
  return revise(state, now, cause, { ramp, ended: { kind: "promoted", at: now }, holds: [] })
}

function giveBack(state: RolloutState, event: RollbackEvent, now: number): RolloutState {
  const phase = phaseOf(state)
  if (phase.phase === "rolled_back") return state
  if (phase.phase === "idle") throw refusal(state, "rollback", "there is nothing to roll back")
  if (phase.phase === "killed") throw refusal(state, "rollback", "no session is served by the canary as it is")
  if (phase.phase === "promoted" || phase.phase === "contained") requireHuman(state, event)
  return rollBack(state, now, { actor: event.actor, reason: event.reason })
}

function contain(state: RolloutState, event: ContainEvent, now: number): RolloutState {
  requireHuman(state, event)
  const phase = phaseOf(state)
  if (phase.phase === "contained") return state
  if (phase.phase === "idle") throw refusal(state, "contain", "there is no canary yet; `kill` stops a stable release")
  if (phase.phase === "killed")
    throw refusal(state, "contain", "`retry` lifts the kill; nothing is stricter than `deny`")
  return containBoth(state, now, { actor: event.actor, reason: event.reason })
}

function kill(state: RolloutState, event: KillEvent, now: number): RolloutState {
  if (state.kill === event.position) return state
  // From `deny` to `stable` serves calls again, and from contained stable's answer alone: decreases that only a human may undo.
  if (state.kill === "deny" || (event.position === "stable" && isContained(state))) requireHuman(state, event)
  return revise(state, now, { event: "kill", ...event }, { kill: event.position })
}

/** Where nothing is under way a leader has nothing to write, and what ended it stays what the last revision tells of. */
function lead(state: RolloutState, event: LeadEvent, now: number): RolloutState {
  if (event.actor.kind !== "controller") throw refusal(state, "lead", "only a controller may")
  if (state.epoch > event.epoch) throw refusal(state, "lead", `a leader of epoch ${state.epoch} is in its place`)
  if (state.epoch === event.epoch || !isUnderWay(phaseOf(state))) return state
  return revise(state, now, { event: "lead", ...event }, { epoch: event.epoch })
}
