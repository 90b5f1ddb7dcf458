import type { NoData, Verdict } from "../model/verdict.js"
import type { Digests } from "./digests.js"
import type { GateReport } from "./gate.js"
import type { RolloutSpec } from "./spec.js"
import type { Actor, Kill } from "./state.js"

interface Asked {
  readonly actor: Actor
  /** Why, in the actor's own words; kept with the revision. */
  readonly reason: string
}

/** Put a canary to the test: a new generation, from its first stage on. */
export interface StartEvent extends Asked {
  readonly type: "start"
  readonly spec: RolloutSpec
  /** Random text: decides which sessions are the canary's. */
  readonly salt: string
  /** Needed when the spec has a gate. */
  readonly gate?: GateReport | undefined
  /** Which of the releases of these versions are meant. Default: those of the gate's replay, and those that the state has of the same versions. */
  readonly digests?: Digests | undefined
}

/** Stay where it is. A breach still rolls back. */
export interface PauseEvent extends Asked {
  readonly type: "pause"
}

/** Go on: lifts `paused`, and holds that wait for a human to look (`breach`, `inconclusive`). */
export interface ResumeEvent extends Asked {
  readonly type: "resume"
}

/** Let the stage in force be left for the next: what a human says once its evidence has passed, and the hold `approval` asks for it. */
export interface ApproveEvent extends Asked {
  readonly type: "approve"
}

/** Go to the next stage at once, or to the end, whatever the evidence says. */
export interface PromoteEvent extends Asked {
  readonly type: "promote"
  readonly to?: "next" | "end" | undefined
}

/** Give every session back to stable at once; also takes a promotion back. */
export interface RollbackEvent extends Asked {
  readonly type: "rollback"
}

/** Have both releases judge every call, and serve the stricter answer; also after a promotion or a rollback. */
export interface ContainEvent extends Asked {
  readonly type: "contain"
}

/** Throw the kill switch; on a killed rollout, change its position. */
export interface KillEvent extends Asked {
  readonly type: "kill"
  readonly position: Exclude<Kill, "off">
}

/** Begin again after a rollback, a containment or a kill, with the same spec or a mended one; lifts the kill. */
export interface RetryEvent extends Asked {
  readonly type: "retry"
  readonly salt: string
  readonly spec?: RolloutSpec | undefined
  /** Needed when the spec has a gate. */
  readonly gate?: GateReport | undefined
  /** Which of the releases of these versions are meant. Default: those of the gate's replay, and those that the state has of the same versions. */
  readonly digests?: Digests | undefined
}

/** Fence off every leader before this one: the state bears its epoch from now on. Changes nothing else. */
export interface LeadEvent extends Asked {
  readonly type: "lead"
  readonly epoch: number
}

/** One look of the controller at the evidence. */
export interface TickEvent {
  readonly type: "tick"
  readonly actor: Actor
  /** Null: the evidence could not be judged; `noData` says why. */
  readonly verdict: Verdict | null
  /** Default `missing`. Only read when there is no verdict. */
  readonly noData?: NoData | undefined
  /** Sessions with evidence that count for `min_sessions`. Default: those of the verdict. */
  readonly sessions?: Verdict["sessions"] | undefined
  /** `missing`: processes that serve this rollout have not loaded its releases. Default `ready`. */
  readonly releases?: "ready" | "missing" | undefined
  /** Why a process took the canary out by its fuse, while it is blown. */
  readonly fuse?: string | undefined
}

/** What can happen to a rollout. */
export type RolloutEvent =
  | StartEvent
  | PauseEvent
  | ResumeEvent
  | ApproveEvent
  | PromoteEvent
  | RollbackEvent
  | ContainEvent
  | KillEvent
  | RetryEvent
  | LeadEvent
  | TickEvent
