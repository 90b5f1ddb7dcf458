import { readState } from "../controller/verbs.js"
import type { Report } from "../controller/report.js"
import type { Verdict } from "../model/verdict.js"
import { isUnderWay, phaseOf, type Phase } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { ReadStore } from "../rollout/store.js"
import { readReport } from "./stored-report.js"

/** A process that judges reports every few seconds; one that is silent for longer is gone, ms. */
export const REPORT_STALE_MS = 30_000

/** A rollout at one moment, as the store has it. */
export interface Snapshot {
  readonly rollout: string
  /** Ms since the epoch. */
  readonly now: number
  readonly state: RolloutState
  readonly phase: Phase
  readonly report: Report | null
  /** Why there is a report that cannot be shown. */
  readonly reportProblem: string | undefined
  /** Since the report was written, ms; null without one. */
  readonly reportAgeMs: number | null
  /** False: the rollout is under way, and no process is judging it. */
  readonly judged: boolean
  /** The last judgement of the generation in force. */
  readonly verdict: Verdict | null
}

/** Look at a rollout. Null: it has no state. Throws `STATE_INVALID` and what the store throws. */
export async function takeSnapshot(
  store: Pick<ReadStore, "get">,
  rollout: string,
  now: number,
): Promise<Snapshot | null> {
  const state = await readState(store, rollout)
  if (state === null) return null
  const { report, problem } = await readReport(store, rollout)
  const phase = phaseOf(state)
  const reportAgeMs = report === null ? null : Math.max(0, now - report.at)
  const reported = report?.generation === state.generation ? report.verdict : null
  return {
    rollout,
    now,
    state,
    phase,
    report,
    reportProblem: problem,
    reportAgeMs,
    judged: !isUnderWay(phase) || (reportAgeMs !== null && reportAgeMs <= REPORT_STALE_MS),
    // After a rollback or a promotion the verdict that decided it counts, not an earlier one.
    verdict: (isUnderWay(phase) ? reported : state.last.verdict) ?? reported ?? state.last.verdict ?? null,
  }
}
