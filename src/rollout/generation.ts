import { digestRefusal, digestsOf } from "./digests.js"
import type { RetryEvent, StartEvent } from "./event.js"
import { gateRefusal, gateWords } from "./gate.js"
import { isUnderWay, phaseOf, type Phase } from "./phase.js"
import { canRetry, describe, refusal, requireHuman } from "./refusal.js"
import { extendRamp, revise } from "./revise.js"
import type { RolloutSpec } from "./spec.js"
import type { RolloutState } from "./state.js"

/** Put another canary to the test. */
export function start(state: RolloutState, event: StartEvent, now: number): RolloutState {
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
  const superseded = isUnderWay(phase) ? `supersedes ${state.canary} (${describe(phase)}): ` : ""
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
  if (isUnderWay(phase) && spec.stable !== state.stable) {
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

/** Begin again after what stopped the last generation. */
export function retry(state: RolloutState, event: RetryEvent, now: number): RolloutState {
  requireHuman(state, event)
  const phase = phaseOf(state)
  if (!canRetry(phase)) {
    throw refusal(state, "retry", isUnderWay(phase) ? "it is under way: `rollback` first" : "`start` a canary")
  }
  if (state.canary === null && event.spec === undefined) {
    // The kill fell on a rollout that never began: there is nothing to begin again.
    return revise(state, now, { event: "retry", actor: event.actor, reason: event.reason }, { kill: "off" })
  }
  return begin(state, "retry", event, event.spec ?? state.spec, event.salt, now)
}
