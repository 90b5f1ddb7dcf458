import { outlookOf } from "./outlook-words.js"
import type { Snapshot } from "./snapshot.js"

/** What a program is told of where a rollout stands; the shape is the same with and without a state. */
export function statusDocument(rollout: string, snapshot: Snapshot | null) {
  if (snapshot === null) return { rollout, state: null, phase: null, report: null, outlook: [] }
  const { state, phase, report, reportAgeMs, reportProblem = null, judged } = snapshot
  // How it came to where it is, is for charts.
  const shown = report === null ? null : { ...report, course: undefined }
  return { rollout, state, phase, report: shown, reportAgeMs, reportProblem, judged, outlook: outlookOf(snapshot) }
}
