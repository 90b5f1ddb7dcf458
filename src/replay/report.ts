import type { Arm, ErrorType, Outcome, ScanResult } from "../model/decision.js"
import type { CriterionName } from "../model/verdict.js"
import type { Quantiles } from "./durations.js"
import type { Group } from "./groups.js"
import type { Transitions } from "./transitions.js"

/** Where a call is, to find it again. */
export interface ReplayExample {
  readonly session: string
  /** Place among the recorded calls, from 1 on. */
  readonly call: number
  /** Its input as JSON, cut. */
  readonly input: string
  /** Why, in the words of each release; of an error, its message. Cut. */
  readonly stable?: string | undefined
  readonly canary?: string | undefined
}

/** What one release made of calls: the rule is the one that decided, or that failed. */
export interface ReplaySide {
  readonly outcome: Outcome
  readonly rule?: string | undefined
  readonly errorType?: ErrorType | undefined
}

/** Calls of one tool that the releases answer otherwise, by the rules that decided. */
export interface ReplayDifference {
  readonly tool: string
  readonly stable: ReplaySide
  readonly canary: ReplaySide
}

/** Failures of one release. */
export interface ReplayFailure {
  readonly arm: Arm
  readonly of: "policy" | "scanners"
  readonly errorType: ErrorType
  /** The rule, or the scanner. */
  readonly rule?: string | undefined
}

/** What the scanners of one release made of a text. */
export interface ReplayScanSide {
  readonly result: ScanResult
  readonly scanner?: string | undefined
  readonly category?: string | undefined
}

/** Outputs of one tool of which the scanners think otherwise. */
export interface ReplayScanDifference {
  readonly tool: string
  readonly stable: ReplayScanSide
  readonly canary: ReplayScanSide
}

/** One of the two releases, and what it did. */
export interface ReplayedRelease {
  readonly version: string
  /** Null: it was made in code. */
  readonly digest: string | null
  /** Of its policy; null only if nothing was asked. */
  readonly latency: Quantiles | null
}

/** One limit, held against the recorded calls. */
export interface ReplayBudget {
  readonly criterion: CriterionName
  readonly mode: "enforce" | "notify"
  readonly unit: "rate" | "ms"
  readonly max: number
  /** On these calls. Null: they tell nothing of it. */
  readonly measured: number | null
  /**
   * Upper 95 % bound on calls of which these are a sample, with sessions as the unit: what `measured` may be by luck. Null: too few
   * sessions, or a latency.
   */
  readonly atMost: number | null
  /** Whether `measured` is above `max`: a fact, and no inference. */
  readonly result: "within" | "over" | "no_data"
}

/** What both releases made of recorded calls. */
export interface ReplayReport {
  readonly format: "serin/replay/1"
  readonly stable: ReplayedRelease
  readonly canary: ReplayedRelease
  readonly calls: number
  /** Counted up to a million. */
  readonly sessions: number
  /** Calls of which the outcomes differ. */
  readonly differing: number
  readonly outcomes: Transitions<Outcome>
  /** Most frequent first, as all groups are. */
  readonly differences: readonly Group<ReplayDifference, ReplayExample>[]
  readonly failures: readonly Group<ReplayFailure, ReplayExample>[]
  /** Null: no call has an output that is a text, or neither release has a scanner that looks at it. */
  readonly scans: {
    readonly texts: number
    readonly differing: number
    readonly results: Transitions<ScanResult>
    readonly differences: readonly Group<ReplayScanDifference, ReplayExample>[]
    readonly latency: { readonly stable: Quantiles | null; readonly canary: Quantiles | null }
  } | null
  readonly budgets: readonly ReplayBudget[]
  /**
   * `over`: an enforced budget is exceeded. `no_data`: these calls tell nothing of any enforced one. Null: there is none.
   */
  readonly result: "within" | "over" | "no_data" | null
  /** What else must be known to read this: what was left out, and what was run although it is stateful. */
  readonly notes: readonly string[]
  /** Time that it took, ms. */
  readonly durationMs: number
}
