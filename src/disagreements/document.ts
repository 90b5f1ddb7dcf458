import type { Ranking } from "./ranking.js"

/** Where the releases disagree, by evidence: what `serin diffs --json` writes and the dashboard serves. */
export interface Disagreements extends Ranking {
  readonly format: "serin/disagreements/1"
  readonly rollout: string
  readonly generation: number
  /** `report`: counts of the judging process, through the store. `log`: a decision log. */
  readonly source: "report" | "log"
  /** Of the report, or of the newest entry, ms since the epoch. */
  readonly at: number
  /** Sessions that both releases judged, and inference may use; null: unknown. */
  readonly sessions: number | null
  /** What else must be known to read this. */
  readonly notes: readonly string[]
}
