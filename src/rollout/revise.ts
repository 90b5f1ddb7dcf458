import type { Verdict } from "../model/verdict.js"
import type { RolloutSpec } from "./spec.js"
import type { Actor, Hold, HoldReason, RampEntry, RolloutState } from "./state.js"

/** Longest reason that is kept, characters: a kill must not fail because somebody pasted a log. */
const MAX_REASON = 2000
const MAX_ACTOR = 200

/** What a revision is about. */
export interface Cause {
  readonly event: string
  readonly actor: Actor
  readonly reason: string
  readonly verdict?: Verdict | null | undefined
}

export type Patch = Partial<Omit<RolloutState, "format" | "rollout" | "revision" | "assign" | "last">>

/** Make the next revision of a state. */
export function revise(state: RolloutState, now: number, cause: Cause, patch: Patch): RolloutState {
  const { event, verdict } = cause
  const actor = boundedActor(cause.actor)
  const last = { event, at: now, actor, reason: bounded(cause.reason), ...(verdict ? { verdict } : {}) }
  return { ...state, ...patch, revision: state.revision + 1, last }
}

export const bounded = (reason: string): string =>
  reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason

export const boundedActor = ({ kind, id }: Actor): Actor => ({ kind, id: id.slice(0, MAX_ACTOR) })

/** Give every session back to stable, at once. */
export function rollBack(state: RolloutState, now: number, cause: Omit<Cause, "event">): RolloutState {
  return revise(state, now, { event: "rollback", ...cause }, { ended: { kind: "rolled_back", at: now }, holds: [] })
}

/** Serve the stricter of both answers to every session, at once. */
export function containBoth(state: RolloutState, now: number, cause: Omit<Cause, "event">): RolloutState {
  return revise(state, now, { event: "contain", ...cause }, { ended: { kind: "contained", at: now }, holds: [] })
}

/**
 * Enter a stage. More exposure waits for `activationDelayMs`, so that every process knows in time which sessions it is for.
 * `at` never goes back, or sessions of the past would change arms.
 */
export function extendRamp(spec: RolloutSpec, ramp: readonly RampEntry[], stage: number, now: number): RampEntry[] {
  const weightBp = spec.stages[stage]?.weightBp
  if (weightBp === undefined) throw new RangeError(`stage must be below ${spec.stages.length}, got ${stage}`)
  const previous = ramp.at(-1)
  const at = weightBp > (previous?.weightBp ?? 0) ? now + spec.activationDelayMs : now
  return [...ramp, { at: Math.max(at, previous?.at ?? at), weightBp, stage }]
}

const LASTING: ReadonlySet<HoldReason> = new Set<HoldReason>(["paused", "releases", "fuse"])

/** Holds that belong to the rollout, not to the stage that is being left. */
export const lastingHolds = (holds: readonly Hold[]): readonly Hold[] =>
  holds.filter(({ reason }) => LASTING.has(reason))
