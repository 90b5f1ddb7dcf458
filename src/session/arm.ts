import type { Arm } from "../model/decision.js"

/** From `at` (ms since the epoch) on, new sessions whose bucket is below `weightBp` go to the canary. */
export interface RampPoint {
  readonly at: number
  readonly weightBp: number
}

/** Index of the ramp entry in force when the session started; -1 when it started before the ramp. `at` must not decrease. */
export function rampIndexAt(ramp: readonly RampPoint[], startedAt: number): number {
  let index = ramp.length - 1
  while (index >= 0 && (ramp[index] as RampPoint).at > startedAt) index--
  return index
}

/**
 * Give the arm of a session: a pure function of its bucket, its start and the ramp.
 * A later entry of the ramp never touches a session that is already running.
 */
export function armAt(ramp: readonly RampPoint[], bucket: number, startedAt: number): Arm {
  return armIn(ramp, rampIndexAt(ramp, startedAt), bucket)
}

/** The arm of a session that began in this entry of the ramp; -1: before it. */
export function armIn(ramp: readonly RampPoint[], index: number, bucket: number): Arm {
  const entry = ramp[index]
  return entry !== undefined && bucket < entry.weightBp ? "canary" : "stable"
}
