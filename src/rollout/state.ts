import type { RolloutSpec } from "./spec.js"
import type { Verdict } from "../model/verdict.js"

/** From `at` on, new sessions go to the canary with `weightBp` basis points (0–10 000). `at` is ms since the epoch. */
export interface RampEntry {
  readonly at: number
  readonly weightBp: number
  /** Index in `spec.stages`. */
  readonly stage: number
}

/** `stable`: nobody is served by the canary; `deny`: every call is denied. */
export type Kill = "off" | "stable" | "deny"

export type HoldReason = "paused" | "breach" | "no_data" | "srm" | "sample" | "inconclusive" | "approval" | "releases"

/** A reason, with a start time, for which the rollout does not advance. */
export interface Hold {
  readonly reason: HoldReason
  /** Ms since the epoch. */
  readonly since: number
  readonly note?: string | undefined
}

export interface Actor {
  readonly kind: "human" | "controller"
  /** Who: a user name, a host, a service. */
  readonly id: string
}

export interface Approval {
  readonly stage: number
  readonly by: string
  readonly reason: string
  readonly at: number
}

/** What made this revision: kept in each, so the revisions are the history. */
export interface Transition {
  readonly event: string
  readonly at: number
  readonly actor: Actor
  readonly reason: string
  readonly verdict?: Verdict | undefined
}

/** What the store holds. Facts only: the phase is derived by `phaseOf`. */
export interface RolloutState {
  readonly format: "serin/state/1"
  readonly rollout: string
  readonly revision: number
  /** Grows with each start and retry; evidence and approvals belong to one generation. */
  readonly generation: number
  readonly assign: "murmur3-x86-32/1"
  readonly salt: string
  readonly spec: RolloutSpec
  /** Release that stable sessions run. */
  readonly stable: string
  /** Release under canary; null before the first start. */
  readonly canary: string | null
  readonly ramp: readonly RampEntry[]
  readonly holds: readonly Hold[]
  readonly approvals: readonly Approval[]
  readonly kill: Kill
  readonly ended: { readonly kind: "promoted" | "rolled_back"; readonly at: number } | null
  readonly last: Transition
}
