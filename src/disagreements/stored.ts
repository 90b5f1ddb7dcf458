import { takeSnapshot } from "../operate/snapshot.js"
import { isUnderWay } from "../rollout/phase.js"
import type { ReadStore } from "../rollout/store.js"
import { disagreements, type Disagreements } from "./document.js"
import type { LogExamples } from "./from-log.js"
import { rankReport } from "./from-report.js"
import { readLabels, type LabelsOf } from "./label.js"

/**
 * Look where the releases disagree in the generation in force. `log` reads what a decision log has of it; null: there is none. Null: the
 * rollout has no state. Throws `STATE_INVALID`, `LABELS_INVALID` and what the store and the log throw.
 */
export async function storedDisagreements(
  store: Pick<ReadStore, "get">,
  rollout: string,
  now: number,
  log: ((of: LabelsOf) => Promise<LogExamples>) | null,
): Promise<Disagreements | null> {
  const snapshot = await takeSnapshot(store, rollout, now)
  if (snapshot === null) return null
  const { state, phase, report, verdict, reportProblem } = snapshot
  const { generation } = state
  const of = { rollout, generation }
  // While calls are compared, the verdict of an earlier look knows fewer sessions than the counts do.
  const last = isUnderWay(phase) || verdict?.generation !== generation ? null : verdict
  const ranked =
    report?.generation === generation
      ? rankReport(report, report.verdict ?? last)
      : {
          ...rankReport({ ...of, at: now, diffs: [] }, null),
          notes: [reportProblem ?? "no process has judged this rollout yet"],
        }
  return disagreements(ranked, await readLabels(store, of), (await log?.(of)) ?? null)
}
