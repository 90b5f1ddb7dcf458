import type { Arm } from "./decision.js"

/** Acceptance criteria by their name in the spec. `_delta_max` compares the arms, `_rate_max` bounds one number. */
export const CRITERIA = [
  "error_rate_delta_max",
  "latency_p99_delta_max",
  "deny_rate_delta_max",
  "allow_rate_delta_max",
  "escalate_rate_delta_max",
  "scan_latency_p99_delta_max",
  "scan_flag_rate_delta_max",
  "alert_rate_delta_max",
  "newly_denied_rate_max",
  "newly_allowed_rate_max",
  "error_rate_max",
] as const

/** A criterion, by its name in the spec. */
export type CriterionName = (typeof CRITERIA)[number]

/** A limit that the canary must keep. */
export interface Criterion {
  readonly name: CriterionName
  /** The largest acceptable value: a rate in [0, 1], or milliseconds for latency criteria. */
  readonly max: number
  /** `notify` criteria are judged and shown; they never stop a rollout and spend no false-alarm budget. */
  readonly mode: "enforce" | "notify"
}

/** What a criterion, or all of them, came to. `inconclusive`: the numbers say neither, or there are none. */
export type Result = "breach" | "pass" | "inconclusive"

/** Why a criterion has no number: never the same as `pass` or `breach`. */
export type NoData = "zero" | "missing" | "stale" | "errored" | "insufficient"

/** What a verdict rests on: served sessions, calls judged by both arms, or first evaluations of sessions. */
export type EvidenceSourceName = "arms" | "pairs" | "trip"

/** One criterion's result with the numbers behind it. Bounds are one-sided and hold at every look. */
export interface CriterionVerdict {
  readonly criterion: CriterionName
  readonly mode: "enforce" | "notify"
  readonly result: Result
  readonly unit: "rate" | "ms"
  readonly max: number
  /** `arms`: served sessions of both arms compared; `pairs`: the same call judged by both. The source of estimate and bounds. */
  readonly method: "arms" | "pairs"
  /** For latency, estimate and bounds are exceedance-rate differences; `quantiles` has the milliseconds. */
  readonly estimate: number | null
  readonly lower: number | null
  readonly upper: number | null
  /** Level of `lower`, this criterion's share of the false-alarm budget. */
  readonly alphaBreach: number
  /** Level of `upper`. */
  readonly alphaPass: number
  /** ln of the combined e-value against "within the limit"; breach when the family's average reaches 1/alpha. */
  readonly logEWorse: number | null
  /** ln of the e-value against "beyond the limit"; pass at ln(1/alphaPass). */
  readonly logEWithin: number | null
  readonly evaluations: { readonly stable: number; readonly canary: number }
  readonly sessions: { readonly stable: number; readonly canary: number }
  readonly pairs: number
  /** What the combined e-value is made of; weights are fixed before the data and sum to 1. Absent without data. */
  readonly sources?:
    readonly { readonly source: EvidenceSourceName; readonly weight: number; readonly logE: number }[] | undefined
  /** Evaluations divided by the design effect: what the numbers are worth as independent observations. */
  readonly effectiveSize: number | null
  readonly quantiles?: { readonly stableMs: number; readonly canaryMs: number } | undefined
  readonly noData?: NoData | undefined
  /** One plain sentence. */
  readonly reason: string
}

/** Sample ratio mismatch: are the arms as large as the ramp says? */
export interface SrmVerdict {
  readonly flagged: boolean
  readonly logBayesFactor: number
  readonly observed: { readonly stable: number; readonly canary: number }
  readonly expected: { readonly stable: number; readonly canary: number }
  readonly short?: Arm | undefined
}

/** The judgement of one look at the evidence. */
export interface Verdict {
  readonly result: Result
  /** When it was made, ms since the epoch. */
  readonly at: number
  readonly generation: number
  readonly criteria: readonly CriterionVerdict[]
  readonly srm: SrmVerdict
  /** Sessions with evidence, all strata. */
  readonly sessions: { readonly stable: number; readonly canary: number; readonly paired: number }
  readonly falseAlarmRate: number
  /** ln of the average e-value over criteria; breach at ln(1 / falseAlarmRate). */
  readonly logEFamily: number
  /** The criterion that weighs most in a breach. */
  readonly cause?: CriterionName | undefined
  /** Why nothing could be judged: no enforced criterion has a number. */
  readonly noData?: NoData | undefined
  /** One plain sentence. */
  readonly reason: string
}
