import type { Arm } from "../model/decision.js"
import type { Kill, RolloutState } from "./state.js"

/** Where a rollout stands. `since` is when the stage began to count for new sessions, and may be ahead of now; ms. */
export type Phase =
  | { readonly phase: "idle" }
  | { readonly phase: "shadow"; readonly since: number; readonly stage: number }
  | { readonly phase: "canary"; readonly since: number; readonly stage: number; readonly weightBp: number }
  | { readonly phase: "baking"; readonly since: number; readonly stage: number }
  | { readonly phase: "promoted"; readonly at: number }
  | { readonly phase: "rolled_back"; readonly at: number }
  | { readonly phase: "contained"; readonly at: number }
  | { readonly phase: "killed"; readonly at: number; readonly position: Exclude<Kill, "off"> }

/** Of a canary that is being put to the test. */
export type UnderWay = Extract<Phase, { readonly stage: number }>

/** Derive the phase of a state; it is stored nowhere. The kill switch hides every other. */
export function phaseOf(state: RolloutState): Phase {
  if (state.kill !== "off") return { phase: "killed", at: state.last.at, position: state.kill }
  if (state.ended !== null) return { phase: state.ended.kind, at: state.ended.at }
  const entry = state.ramp.at(-1)
  if (state.canary === null || entry === undefined) return { phase: "idle" }
  const { at: since, stage, weightBp } = entry
  if (weightBp === 0) return { phase: "shadow", since, stage }
  if (weightBp === 10_000) return { phase: "baking", since, stage }
  return { phase: "canary", since, stage, weightBp }
}

/** Tell whether a canary is being put to the test. */
export const isUnderWay = (phase: Phase): phase is UnderWay => "stage" in phase

/** Tell whether the ramp counts. False: no session is the canary's, whatever arm it began on. */
export function servesCanary(state: RolloutState): boolean {
  const { phase } = phaseOf(state)
  return phase !== "idle" && phase !== "rolled_back" && phase !== "contained" && phase !== "killed"
}

/** Tell whether both releases judge every call, and the stricter answer is served. */
export const isContained = (state: RolloutState): boolean => phaseOf(state).phase === "contained"

const STRICTNESS: Readonly<Record<Kill, number>> = { off: 0, stable: 1, deny: 2 }

/**
 * Tell whether a step only takes away: the canary stops being served, the stricter of both answers comes to be served, or the
 * kill switch gets stricter. Such a step acts before it is written; every other is written first. To leave a containment takes
 * nothing away, but by the kill switch: at `stable` it takes away the canary's answers, and whoever throws it says so.
 */
export function isDecrease(state: RolloutState, next: RolloutState): boolean {
  if (STRICTNESS[next.kill] > STRICTNESS[state.kill]) return true
  if (isContained(next)) return !isContained(state) && state.kill === "off"
  return servesCanary(state) && !servesCanary(next)
}

/** Shares of the sessions that start at `startedAt` (ms since the epoch), basis points; they sum to 10 000. */
export function armWeights(state: RolloutState, startedAt: number): Readonly<Record<Arm, number>> {
  const entry = servesCanary(state) ? state.ramp.findLast(({ at }) => at <= startedAt) : undefined
  const canary = entry?.weightBp ?? 0
  return { stable: 10_000 - canary, canary }
}
