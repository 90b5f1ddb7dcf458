import type { Diff } from "../evidence/diffs.js"
import type { Verdict } from "../model/verdict.js"

/** The last judgement as other processes see it: what `status`, `watch` and `explain` show. */
export interface Report {
  readonly format: "serin/report/1"
  readonly rollout: string
  /** Revision of the state that was judged. */
  readonly revision: number
  readonly generation: number
  /** Ms since the epoch. */
  readonly at: number
  /** Null: nothing is being compared, or there was no evidence. */
  readonly verdict: Verdict | null
  readonly diffs: readonly Diff[]
  /** What kept the leader from judging or from writing, if anything. */
  readonly problem?: string | undefined
}

/** Groups of disagreements that a report carries. */
export const REPORTED_DIFFS = 20

/** Read a report; null when the text is not one, since nothing but display depends on it. */
export function parseReport(text: string): Report | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== "object" || value === null) return null
    return (value as Partial<Report>).format === "serin/report/1" ? (value as Report) : null
  } catch {
    return null
  }
}
