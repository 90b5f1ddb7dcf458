import type { Course } from "../analysis/course.js"
import type { Figures } from "../analysis/figures.js"
import type { TripState } from "../analysis/trip.js"
import type { Diff } from "../evidence/diffs.js"
import type { Verdict } from "../model/verdict.js"

/** The last judgement as other processes see it: what `status`, `watch` and `explain` show. */
export interface Report {
  readonly format: "serin/report/1"
  readonly rollout: string
  /** Revision of the state that was judged. */
  readonly revision: number
  readonly generation: number
  /** The controller that judges this rollout; absent when it has stopped. */
  readonly by?: string | undefined
  /** Ms since the epoch. */
  readonly at: number
  /** When this controller began to judge, and its process to count, ms since the epoch. */
  readonly since?: number | undefined
  /** Null: nothing is being compared, or there was no evidence. */
  readonly verdict: Verdict | null
  readonly diffs: readonly Diff[]
  /** How the criteria came to where they are; the next leader goes on from it as well. */
  readonly course?: Course | undefined
  /** What people see of the evidence besides the verdict. */
  readonly figures?: Figures | undefined
  /** What the next leader goes on from, where it reads the same evidence. */
  readonly trip?: TripState | undefined
  /** What kept the leader from judging or from writing, if anything. */
  readonly problem?: string | undefined
}

/** Groups of disagreements that a report carries. */
export const REPORTED_DIFFS = 20

/** Read a report; null when the text is not one. Of its contents only what decides who judges is checked: the rest is for display. */
export function parseReport(text: string): Report | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== "object" || value === null) return null
    const { format, at, by } = value as Partial<Record<keyof Report, unknown>>
    const isReport = format === "serin/report/1" && Number.isFinite(at) && (by === undefined || typeof by === "string")
    return isReport ? (value as Report) : null
  } catch {
    return null
  }
}
