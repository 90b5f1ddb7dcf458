import { SerinError } from "../errors.js"
import type { RolloutEvent } from "./event.js"
import { isUnderWay, phaseOf, type Phase, type UnderWay } from "./phase.js"
import type { RolloutState } from "./state.js"

/** Make the error that says where a rollout stands, and which verb would work. */
export function refusal(state: RolloutState, verb: string, way: string): SerinError {
  return new SerinError(
    "TRANSITION_REFUSED",
    `Cannot ${verb} ${state.rollout}, which is ${describe(phaseOf(state))}: ${way}`,
  )
}

/** Throw unless a canary is being put to the test. */
export function requireUnderWay(state: RolloutState, verb: string): UnderWay {
  const phase = phaseOf(state)
  if (isUnderWay(phase)) return phase
  throw refusal(state, verb, canRetry(phase) ? "`retry` begins again" : "`start` a canary first")
}

/** Tell whether something stopped the canary. */
export const canRetry = ({ phase }: Phase): boolean =>
  phase === "killed" || phase === "rolled_back" || phase === "contained"

/** Throw unless a human asks. */
export function requireHuman(state: RolloutState, event: Exclude<RolloutEvent, { readonly type: "tick" }>): void {
  if (event.actor.kind !== "human") throw refusal(state, event.type, "only a human may")
}

/** Where a rollout stands, as a part of a sentence. */
export function describe(phase: Phase): string {
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
