import type { Criterion } from "../model/verdict.js"

export interface Stage {
  /** Share of new sessions, basis points. 0 = shadow, 10 000 = baking. */
  readonly weightBp: number
  /** Shortest time in this stage, ms. */
  readonly periodMs: number
  /** A human must approve before the stage is left for the next. */
  readonly approval: boolean
}

/** A rollout as a human wrote it, with every default filled in. */
export interface RolloutSpec {
  readonly rollout: string
  readonly stable: string
  readonly canary: string
  /** From shadow to 100 %, strictly growing. */
  readonly stages: readonly Stage[]
  /** Share of sessions whose calls both releases judge, basis points. */
  readonly shadowSampleBp: number
  readonly criteria: readonly Criterion[]
  readonly onFailure: "rollback" | "hold"
  readonly onInconclusive: "hold" | "extend" | "rollback"
  readonly onNoData: "hold" | "rollback"
  readonly minSessions: number
  /** Longest time in one stage before `onInconclusive` acts, ms; null = no limit. */
  readonly maxStageMs: number | null
  /** Chance that a canary within its limits is ever rolled back, whole rollout, all criteria, (0, 0.5]. */
  readonly falseAlarmRate: number
  /** A new weight counts for sessions that start this long after it was written, ms, so that every process knows it in time. */
  readonly activationDelayMs: number
  readonly intent: "tighten" | "loosen" | "refactor" | null
}
