import { ARMS } from "../model/decision.js"
import type { Arm } from "../model/decision.js"
import { CANARY } from "./seat.js"
import type { Turn } from "./seat.js"

/** What serves a session, and why. */
export interface Assignment {
  readonly arm: Arm
  /** Version of the release. */
  readonly release: string
  /** Of the state in force; 0: there is none yet. */
  readonly revision: number
  /**
   * `split`: drawn. `targeting_match`: pinned to the canary. `default`: pinned to stable, not eligible, past the cap, taken off the canary, or
   * no session at all. `static`: nobody is drawn, before the start and where both arms decide. `disabled`: every call is denied.
   */
  readonly reason: "split" | "targeting_match" | "default" | "static" | "disabled"
}

export function assignmentOf(turn: Turn<never>): Assignment {
  const { view, arm } = turn
  return {
    arm: ARMS[arm],
    release: arm === CANARY ? view.canaryVersion : view.stableVersion,
    revision: view.state?.revision ?? 0,
    reason: reasonFor(turn),
  }
}

export function reasonFor({ view, arm, inferable }: Turn<never>): Assignment["reason"] {
  if (view.lockdown) return "disabled"
  if (view.ramp.length === 0 || view.contained) return "static"
  if (inferable) return "split"
  return arm === CANARY ? "targeting_match" : "default"
}
