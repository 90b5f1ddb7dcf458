import { SerinError } from "../errors.js"
import { digestRefusal, digestsOf } from "./digests.js"
import type {
  ContainEvent,
  KillEvent,
  LeadEvent,
  PromoteEvent,
  RetryEvent,
  RollbackEvent,
  RolloutEvent,
  StartEvent,
} from "./event.js"
import { gateRefusal, gateWords } from "./gate.js"
import { isContained, phaseOf, type Phase } from "./phase.js"
import { bounded, boundedActor, containBoth, extendRamp, lastingHolds, revise, rollBack } from "./revise.js"
import type { RolloutSpec } from "./spec.js"
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

function start(state: RolloutState, event: StartEvent, now: number): RolloutState {
  const { spec, salt } = event
  const phase = phaseOf(state)
  if (phase.phase === "killed") throw refusal(state, "start", "`retry` begins again and lifts the kill")
  if (spec.canary === state.canary) {
    if (phase.phase === "promoted") throw refusal(state, "start", `${spec.canary} is promoted already`)
    if (phase.phase === "rolled_back" || phase.phase === "contained") {
      throw refusal(state, "start", `\`retry\` gives ${spec.canary} another chance`)
    }
    throw refusal(state, "start", `${spec.canary} is under way: \`promote\` or \`rollback\` it`)
  }
  if (event.actor.kind === "controller" && state.holds.some(({ reason }) => reason === "paused")) {
    throw refusal(state, "start", "a human paused it: `resume` first")
  }
  // Stable alone would serve again, and it was not known to be safe.
  if (phase.phase === "contained") requireHuman(state, event)
  checkStable(state, phase, spec)
  // The phase tells of the newest canary alone, so the history has to tell what became of the one before.
  const superseded = isRunning(phase) ? `supersedes ${state.canary} (${describe(phase)}): ` : ""
  return begin(state, "start", { ...event, reason: `${superseded}${event.reason}` }, spec, salt, now)
}

/** Changing stable moves every session at once, past all that a canary is for. */
function checkStable(state: RolloutState, phase: Phase, spec: RolloutSpec): void {
  if (phase.phase === "promoted" && spec.stable === state.stable) {
    const fix = `write stable: ${state.canary}, or \`rollback\` first to go back to ${state.stable}`
    throw refusal(
      state,
      "start",
      `${state.canary} was promoted, and the spec still takes ${spec.stable} for stable: ${fix}`,
    )
  }
  if (isRunning(phase) && spec.stable !== state.stable) {
    const fix = `\`promote\` or \`rollback\` first, or write stable: ${state.stable}`
    throw refusal(state, "start", `stable is ${state.stable}, not ${spec.stable}: ${fix}`)
  }
}

/** A new generation: evidence, approvals and holds of the last one are of no account in it. */
function begin(
  state: RolloutState,
  name: "start" | "retry",
  event: StartEvent | RetryEvent,
  spec: RolloutSpec,
  salt: string,
  now: number,
): RolloutState {
  if (spec.rollout !== state.rollout) {
    throw refusal(state, name, `the spec is of another rollout, ${spec.rollout}`)
  }
  if (salt === "") throw new RangeError("salt must not be empty")
  const refused = gateRefusal(spec, event.gate) ?? digestRefusal(event)
  if (refused !== null) throw refusal(state, name, refused)
  return revise(
    state,
    now,
    { event: name, actor: event.actor, reason: `${event.reason}${gateWords(spec, event.gate)}` },
    {
      generation: state.generation + 1,
      salt,
      spec,
      stable: spec.stable,
      canary: spec.canary,
      digests: digestsOf(state, spec, event),
      ramp: extendRamp(spec, [], 0, now),
      holds: [],
      approvals: [],
      kill: "off",
      ended: null,
    },
  )
}

function retry(state: RolloutState, event: RetryEvent, now: number): RolloutState {
  requireHuman(state, event)
  const phase = phaseOf(state)
  if (!canRetry(phase)) {
    throw refusal(state, "retry", isRunning(phase) ? "it is under way: `rollback` first" : "`start` a canary")
  }
  if (state.canary === null && event.spec === undefined) {
    // The kill fell on a rollout that never began: there is nothing to begin again.
    return revise(state, now, { event: "retry", actor: event.actor, reason: event.reason }, { kill: "off" })
  }
  return begin(state, "retry", event, event.spec ?? state.spec, event.salt, now)
}

function pause(state: RolloutState, event: Asked<"pause">, now: number): RolloutState {
  requireHuman(state, event)
  requireRunning(state, "pause")
  if (state.holds.some(({ reason }) => reason === "paused")) return state
  const hold = { reason: "paused", since: now, note: bounded(event.reason) } as const
  return revise(state, now, { event: "pause", ...event }, { holds: [...state.holds, hold] })
}

const LIFTED_BY_RESUME: ReadonlySet<HoldReason> = new Set<HoldReason>(["paused", "breach", "inconclusive"])

function resume(state: RolloutState, event: Asked<"resume">, now: number): RolloutState {
  requireHuman(state, event)
  requireRunning(state, "resume")
  const holds = state.holds.filter(({ reason }) => !LIFTED_BY_RESUME.has(reason))
  if (holds.length === state.holds.length) return state
  return revise(state, now, { event: "resume", ...event }, { holds })
}

function approve(state: RolloutState, event: Asked<"approve">, now: number): RolloutState {
  requireHuman(state, event)
  const running = requireRunning(state, "approve")
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
function missing({ holds, spec }: RolloutState, { stage, since }: Running, now: number): string {
  const held = holds.map(({ reason }) => reason).filter((reason) => reason !== "paused" && reason !== "releases")
  if (held.length > 0) return `it is held by ${held.join(", ")}`
  const due = since + (spec.stages[stage]?.periodMs ?? 0)
  return now < due ? `its period ends at ${new Date(due).toISOString()}` : "no look has passed yet"
}

function promote(state: RolloutState, event: PromoteEvent, now: number): RolloutState {
  requireHuman(state, event)
  const { stage } = requireRunning(state, "promote")
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
  if (state.epoch === event.epoch || !isRunning(phaseOf(state))) return state
  return revise(state, now, { event: "lead", ...event }, { epoch: event.epoch })
}

type Running = Extract<Phase, { readonly stage: number }>

const isRunning = (phase: Phase): phase is Running => "stage" in phase

function requireRunning(state: RolloutState, verb: string): Running {
  const phase = phaseOf(state)
  if (isRunning(phase)) return phase
  throw refusal(state, verb, canRetry(phase) ? "`retry` begins again" : "`start` a canary first")
}

const canRetry = ({ phase }: Phase): boolean => phase === "killed" || phase === "rolled_back" || phase === "contained"

function requireHuman(state: RolloutState, event: Exclude<RolloutEvent, { readonly type: "tick" }>): void {
  if (event.actor.kind !== "human") throw refusal(state, event.type, "only a human may")
}

function refusal(state: RolloutState, verb: string, way: string): SerinError {
  return new SerinError(
    "TRANSITION_REFUSED",
    `Cannot ${verb} ${state.rollout}, which is ${describe(phaseOf(state))}: ${way}`,
  )
}

function describe(phase: Phase): string {
  switch (phase.phase) {
    case "idle":
      return "idle"
    case "shadow":
      return "in shadow"
    case "canary":
      return `at ${phase.weightBp / 100} %`
    case "baking":
      return "baking at 100 %"
    case "promoted":
      return `promoted (${new Date(phase.at).toISOString()})`
    case "rolled_back":
      return `rolled back (${new Date(phase.at).toISOString()})`
    case "contained":
      return `contained (${new Date(phase.at).toISOString()})`
    case "killed":
      return `killed (${phase.position}, ${new Date(phase.at).toISOString()})`
  }
}
