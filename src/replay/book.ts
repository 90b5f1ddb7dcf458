import { createStratum, recordPair, recordScanPair, SCAN_RESULT_INDEX } from "../evidence/cells.js"
import type { Judged } from "../guard/judge.js"
import type { ScanRun } from "../guard/scan-run.js"
import { cut } from "../model/cut.js"
import { OUTCOMES, SCAN_RESULTS } from "../model/decision.js"
import type { Arm, ErrorType, Outcome } from "../model/decision.js"
import { errorText } from "../model/error-text.js"
import type { RecordedCall } from "../testing/calls.js"
import type { Counted } from "./budgets.js"
import { createDurations } from "./durations.js"
import { createGroups } from "./groups.js"
import type { ReplayDifference, ReplayExample, ReplayFailure, ReplayScanDifference } from "./report.js"
import { createSessions } from "./sessions.js"
import { transitionsOf } from "./transitions.js"

const MAX_INPUT = 300
const MAX_WORDS = 200
/** What names a group is foreign text, of which a thousand copies are kept. */
const MAX_NAME = 200

/** Counts what both releases made of calls, in memory that does not grow with them (but for their sessions). */
export function createBook(examples: number) {
  const stratum = createStratum()
  const [sessions, scanned] = [createSessions(), createSessions()]
  const [outcomes, results] = [new Float64Array(16), new Float64Array(16)]
  const [stableMs, canaryMs] = [createDurations(), createDurations()]
  const [stableScanMs, canaryScanMs] = [createDurations(), createDurations()]
  const most = { examples }
  const differences = createGroups<ReplayDifference, ReplayExample>(most, ({ stable, canary }) => {
    return { tool: "other", stable: { outcome: stable.outcome }, canary: { outcome: canary.outcome } }
  })
  const failures = createGroups<ReplayFailure, ReplayExample>(most, ({ arm, of, errorType }) => ({
    arm,
    of,
    errorType,
  }))
  const scanDifferences = createGroups<ReplayScanDifference, ReplayExample>(most, ({ stable, canary }) => {
    return { tool: "other", stable: { result: stable.result }, canary: { result: canary.result } }
  })
  let calls = 0
  let texts = 0

  function fail(arm: Arm, recorded: RecordedCall, { errorType, rule, error }: Judged): void {
    const failure = { arm, of: "policy", errorType: errorType ?? "throw", rule: cutIfAny(rule, MAX_NAME) } as const
    failures.add(failure, recorded.session, () => exampleOf(recorded, calls, { [arm]: wordsOf(error) }))
  }

  function failScan(arm: Arm, recorded: RecordedCall, run: ScanRun): void {
    const errorType: ErrorType = run.errorType ?? "throw"
    const failure = { arm, of: "scanners", errorType, rule: cutIfAny(run.scanner, MAX_NAME) } as const
    const failed = run.scanned.find(({ report }) => report === null)
    failures.add(failure, recorded.session, () => exampleOf(recorded, calls, { [arm]: wordsOf(failed?.error) }))
  }

  return {
    /** Count a call that both have judged. */
    call(recorded: RecordedCall, stable: Judged, canary: Judged): void {
      calls += 1
      const { cohort, first, counts } = sessions.take(recorded.session)
      if (counts) recordPair(stratum, cohort, stable.outcome, canary.outcome, stable.ms, canary.ms, first)
      outcomes[stable.outcome * 4 + canary.outcome]! += 1
      stableMs.record(stable.ms)
      canaryMs.record(canary.ms)
      if (stable.errorType !== undefined) fail("stable", recorded, stable)
      if (canary.errorType !== undefined) fail("canary", recorded, canary)
      if (stable.outcome === canary.outcome) return
      const difference = { tool: cut(recorded.tool, MAX_NAME), stable: sideOf(stable), canary: sideOf(canary) }
      differences.add(difference, recorded.session, () =>
        exampleOf(recorded, calls, {
          stable: stable.reason ?? wordsOf(stable.error),
          canary: canary.reason ?? wordsOf(canary.error),
        }),
      )
    },

    /** Count a text of the call that was counted last. */
    scan(recorded: RecordedCall, stable: ScanRun, canary: ScanRun): void {
      texts += 1
      const { cohort, first, counts } = scanned.take(recorded.session)
      const [was, is] = [SCAN_RESULT_INDEX[stable.result], SCAN_RESULT_INDEX[canary.result]]
      if (counts) recordScanPair(stratum, cohort, was, is, stable.ms, canary.ms, first)
      results[was * 4 + is]! += 1
      stableScanMs.record(stable.ms)
      canaryScanMs.record(canary.ms)
      if (stable.result === "error") failScan("stable", recorded, stable)
      if (canary.result === "error") failScan("canary", recorded, canary)
      if (was === is) return
      const difference = { tool: cut(recorded.tool, MAX_NAME), stable: scanSideOf(stable), canary: scanSideOf(canary) }
      scanDifferences.add(difference, recorded.session, () => exampleOf(recorded, calls, {}))
    },

    sessions: (): number => sessions.count(),
    groups: () => ({
      differences: differences.list(),
      failures: failures.list(),
      scanDifferences: scanDifferences.list(),
    }),
    counted: (): Counted => ({
      calls,
      outcomes: transitionsOf(OUTCOMES, outcomes),
      latency: [stableMs.quantiles(), canaryMs.quantiles()],
      texts,
      results: transitionsOf(SCAN_RESULTS, results),
      scanLatency: [stableScanMs.quantiles(), canaryScanMs.quantiles()],
      stratum,
    }),
  }
}

function sideOf({ outcome, rule, errorType }: Judged): ReplayDifference["stable"] {
  return { outcome: OUTCOMES[outcome] as Outcome, rule: cutIfAny(rule, MAX_NAME), errorType }
}

function scanSideOf({ result, scanner, category }: ScanRun): ReplayScanDifference["stable"] {
  return { result, scanner: cutIfAny(scanner, MAX_NAME), category: cutIfAny(category, MAX_NAME) }
}

function exampleOf(
  { session, input }: RecordedCall,
  call: number,
  why: { readonly stable?: string | undefined; readonly canary?: string | undefined },
): ReplayExample {
  return {
    session: cut(session, MAX_NAME),
    call,
    input: cut(textOf(input), MAX_INPUT),
    stable: cutIfAny(why.stable, MAX_WORDS),
    canary: cutIfAny(why.canary, MAX_WORDS),
  }
}

function textOf(input: unknown): string {
  try {
    return JSON.stringify(input) ?? "nothing"
  } catch {
    return "not to be written as JSON"
  }
}

const wordsOf = (error: unknown): string | undefined => (error === undefined ? undefined : errorText(error))

const cutIfAny = (text: string | undefined, most: number): string | undefined =>
  text === undefined ? undefined : cut(text, most)
