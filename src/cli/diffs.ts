import type { Disagreements } from "../disagreements/document.js"
import { disagreementsOf } from "../disagreements/from-report.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { diffsLines } from "./diffs-view.js"
import { EXIT } from "./exit-code.js"
import { placeOf, rolloutName, type Place } from "./place.js"
import { isUnderWay, takeSnapshot } from "../operate/snapshot.js"
import { tellMissing } from "./status.js"
import type { Io } from "./io.js"

export const diffsCommand = defineCommand({
  name: "diffs",
  summary: "Show where the releases disagree, by rule and tool, ranked by evidence",
  example: "serin diffs",
  flags: { ...PLACE_FLAGS, ...JSON_FLAG },
  async run({ values, io, out }) {
    const place = await placeOf(values, io)
    const name = await rolloutName(place, out)
    const found = await disagreementsIn(place, name, io)
    if (found === null) {
      if (values.json) out.json({ rollout: name, disagreements: null })
      else await tellMissing(place, name, out)
      return EXIT.noState
    }
    if (values.json) out.json(found)
    else out.lines(diffsLines(found))
    return EXIT.ok
  },
})

/** Null: the rollout has no state. */
async function disagreementsIn({ store }: Place, rollout: string, io: Io): Promise<Disagreements | null> {
  const now = io.clock.now()
  const snapshot = await takeSnapshot(store, rollout, now)
  if (snapshot === null) return null
  const { state, phase, report, verdict } = snapshot
  const { generation } = state
  if (report?.generation === generation) {
    // While calls are compared, the verdict of an earlier look knows fewer sessions than the counts do.
    const last = isUnderWay(phase) || verdict?.generation !== generation ? null : verdict
    return disagreementsOf(report, report.verdict ?? last)
  }
  const none = disagreementsOf({ rollout, generation, at: now, diffs: [] }, null)
  return { ...none, notes: [snapshot.reportProblem ?? "no process has judged this rollout yet"] }
}
