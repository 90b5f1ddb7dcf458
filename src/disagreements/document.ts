import type { Example } from "./example.js"
import type { LogExamples } from "./from-log.js"
import { changeOf } from "./group.js"
import type { Label, Labels } from "./labels.js"
import type { RankedGroup, Ranking } from "./ranking.js"
import { wrongRate, type WrongRate } from "./wrong-rate.js"

/** What was counted, ranked. */
export interface RankedReport extends Ranking {
  readonly rollout: string
  readonly generation: number
  /** Of the report, ms since the epoch. */
  readonly at: number
  /** Sessions that both releases judged, and inference may use; null: unknown. */
  readonly sessions: number | null
  /** What else must be known to read this. */
  readonly notes: readonly string[]
}

/** Where the releases disagree, by evidence, and what people said of it: what `serin diffs --json` writes and the dashboard serves. */
export interface Disagreements extends RankedReport {
  readonly format: "serin/disagreements/1"
  readonly groups: readonly DisagreementGroup[]
  /** For all disagreements, and for each group that was drawn from. */
  readonly wrongRates: readonly WrongRate[]
}

export interface DisagreementGroup extends RankedGroup {
  /** From the decision log, where one was given: the first ones, of different sessions. */
  readonly examples: readonly Example[]
  /** Newest first, twenty at the most. */
  readonly labels: readonly Label[]
}

const SHOWN_LABELS = 20

/** Put together what was counted, what people said, and what a log shows. `log`: null where none was given. */
export function disagreements(report: RankedReport, said: Labels, log: LogExamples | null): Disagreements {
  const known = new Set(report.groups.map(({ id }) => id))
  const others = [...(log?.groups.values() ?? [])].filter(({ id }) => !known.has(id))
  const inLog = others.map(({ id, tool, stable, canary, calls }): RankedGroup => {
    return { id, change: changeOf({ stable, canary }), tool, stable, canary, calls, sessions: null, evidence: null }
  })
  const scopes = new Set(["all", ...said.draws.map(({ scope }) => scope)])
  return {
    format: "serin/disagreements/1",
    ...report,
    groups: [...report.groups, ...inLog.toSorted((a, b) => b.calls - a.calls)].map((group) => ({
      ...group,
      examples: log?.groups.get(group.id)?.examples ?? [],
      labels: said.labels
        .filter((label) => label.group === group.id)
        .toReversed()
        .slice(0, SHOWN_LABELS),
    })),
    wrongRates: [...scopes].map((scope) => wrongRate(said, scope)),
    notes: [
      ...report.notes,
      ...(log?.notes ?? []),
      ...(others.length > 0
        ? ["groups without evidence are in the log alone, and not among the most frequent ones that are reported"]
        : []),
    ],
  }
}
