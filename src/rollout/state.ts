import { describeProblems, SerinError, type Problem } from "../errors.js"
import type { Verdict } from "../model/verdict.js"
import type { Digests } from "./digests.js"
import { parseDocument } from "./json-document.js"
import type { RolloutSpec } from "./spec.js"
import { STATE_SCHEMA } from "./state-schema.js"

/** From `at` on, new sessions go to the canary with `weightBp` basis points (0–10 000). `at` is ms since the epoch. */
export interface RampEntry {
  readonly at: number
  readonly weightBp: number
  /** Index in `spec.stages`. */
  readonly stage: number
}

/** `stable`: nobody is served by the canary; `deny`: every call is denied. */
export type Kill = "off" | "stable" | "deny"

/** Why a rollout does not advance: what a person asked for, what the verdict says, or what is missing. */
export type HoldReason =
  "paused" | "breach" | "no_data" | "srm" | "sample" | "inconclusive" | "approval" | "releases" | "fuse"

/** A reason, with a start time, for which the rollout does not advance. */
export interface Hold {
  readonly reason: HoldReason
  /** Ms since the epoch. */
  readonly since: number
  readonly note?: string | undefined
}

/** Who asked for a change: a person, or a controller by itself. */
export interface Actor {
  readonly kind: "human" | "controller"
  /** Who: a user name, a host, a service. */
  readonly id: string
}

/** That a person let a stage be left. `stage`: its index in the spec; `at`: ms since the epoch. */
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
  /** `sha256:…` of the recorded verdict that moved the rollout. */
  readonly record?: string | undefined
  /** `sha256:…` of the text of the revision before this one; absent in the first, and in those of versions that kept none. */
  readonly previous?: string | undefined
  /** `sha256:…` of the revision that this one was made from, where the one before it could not be read or not be trusted. */
  readonly base?: string | undefined
}

/** What the store holds. Facts only: the phase is derived by `phaseOf`. */
export interface RolloutState {
  readonly format: "serin/state/1"
  readonly rollout: string
  readonly revision: number
  /** Grows with each start and retry; evidence and approvals belong to one generation. */
  readonly generation: number
  /** Of the leader that wrote to this rollout last: one of a lower epoch writes no more. 0: none has. */
  readonly epoch: number
  readonly assign: "murmur3-x86-32/1"
  readonly salt: string
  readonly spec: RolloutSpec
  /** Release that stable sessions run. */
  readonly stable: string
  /** Release under canary; null before the first start. */
  readonly canary: string | null
  /** Which of the releases of these versions are meant. */
  readonly digests?: Digests | undefined
  readonly ramp: readonly RampEntry[]
  readonly holds: readonly Hold[]
  readonly approvals: readonly Approval[]
  readonly kill: Kill
  readonly ended: { readonly kind: "promoted" | "rolled_back" | "contained"; readonly at: number } | null
  readonly last: Transition
}

/** A state is a few kilobytes; what is larger is refused before it is parsed. UTF-8 bytes. */
export const MAX_STATE_BYTES = 256 * 1024

/** Make the state of a rollout that was never started: everybody on stable. `now` is ms since the epoch. */
export function initialState(spec: RolloutSpec, now: number, salt: string, actor: Actor): RolloutState {
  return {
    format: "serin/state/1",
    rollout: spec.rollout,
    revision: 1,
    generation: 0,
    epoch: 0,
    assign: "murmur3-x86-32/1",
    salt,
    spec,
    stable: spec.stable,
    canary: null,
    ramp: [],
    holds: [],
    approvals: [],
    kill: "off",
    ended: null,
    last: { event: "init", at: now, actor, reason: "first revision" },
  }
}

/**
 * Read a state from a world that may be hostile: bounded before it is parsed, strict about keys, consistent with its own spec.
 * Throws a `SerinError` (`STATE_INVALID`) whose `problems` name the fields.
 */
export function parseState(text: string): RolloutState {
  return parseDocument(text, { noun: "state", maxBytes: MAX_STATE_BYTES, schema: STATE_SCHEMA, invalid })
}

/**
 * Write a state as {@link parseState} reads it. A verdict that cannot be written is left out: it must not stop a rollback.
 * Throws `STATE_INVALID` for a state that no process could read back.
 */
export function serializeState(state: RolloutState): string {
  const text = JSON.stringify(state)
  try {
    parseState(text)
    return text
  } catch (error) {
    if (state.last.verdict === undefined) throw error
    return serializeState({ ...state, last: { ...state.last, verdict: undefined } })
  }
}

function invalid(problems: readonly Problem[], cause?: unknown): SerinError {
  return new SerinError("STATE_INVALID", `The rollout state is invalid\n${describeProblems(problems)}`, {
    problems,
    cause,
  })
}
