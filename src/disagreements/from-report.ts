import type { Report } from "../controller/report.js"
import { MOST_DIFFS, type Diff } from "../evidence/diffs.js"
import type { Verdict } from "../model/verdict.js"
import type { RankedReport } from "./document.js"
import { rankGroups, type CountedGroup } from "./ranking.js"

/** Rank what the judging process reported: counts alone, of the most frequent groups. */
export function rankReport(
  report: Pick<Report, "rollout" | "generation" | "at" | "diffs">,
  verdict: Pick<Verdict, "sessions"> | null,
): RankedReport {
  const { rollout, generation, at, diffs } = report
  const seen = verdict?.sessions.paired ?? null
  // A verdict without evidence knows of no session: what was counted is not a share of it.
  const paired = seen !== null && diffs.every(({ sessions = 0 }) => sessions <= seen) ? seen : null
  const unsaid = diffs.some(({ sessions }) => sessions === undefined)
  const notes = [
    ...(unsaid ? ["a process of an earlier version counted calls alone: of its groups there is no evidence"] : []),
    ...(paired === null ? ["the sessions that both releases judged are not known: there is no evidence"] : []),
  ]
  return { rollout, generation, at, sessions: paired, ...rankGroups(diffs.map((diff) => counted(diff, paired))), notes }
}

/** When a group was first seen is not known here, so each has the share of one of as many as a process keeps. */
function counted({ action, stable, canary, calls, sessions }: Diff, paired: number | null): CountedGroup {
  const group = { tool: action, stable, canary, calls, sessions: sessions ?? null }
  if (sessions === undefined || paired === null) return { ...group, candidate: null }
  // The session that named it is none.
  const events = Math.max(0, sessions - 1)
  return { ...group, candidate: { events, trials: Math.max(0, paired - 1), weight: 1 / MOST_DIFFS } }
}
