import type { Outcome, ScanResult } from "../model/decision.js"
import { ARRAYS, CELLS, binIndex, cellIndex, createStratum, pairIndex } from "../model/evidence.js"
import type { Cell, Evidence, Stratum } from "../model/evidence.js"
import { binOf } from "./histogram.js"
import { nextUsed } from "./used.js"

export { createStratum } from "../model/evidence.js"

const at = (cell: Cell): number => CELLS.indexOf(cell)
const EVALUATIONS = at("evaluations")
const ALLOW = at("allow")
const SESSIONS = at("sessions")
const FIRST_ALLOW = at("first_allow")
const SCANS = at("scans")
const SCAN_FLAGGED = at("scan_flagged")
const SCAN_ERROR = at("scan_error")
const SCAN_SESSIONS = at("scan_sessions")
const OBSERVATIONS = at("observations")
const ALERTS = at("alerts")
const OBSERVED_SESSIONS = at("observed_sessions")

/** Stable is 0 and canary 1 in every array of evidence. */
export type ArmIndex = 0 | 1

/** Outcome as its place in the arrays: allow 0, deny 1, escalate 2, error 3. */
export const OUTCOME_INDEX: Readonly<Record<Outcome, number>> = { allow: 0, deny: 1, escalate: 2, error: 3 }

/** Scan result as its place in the arrays, in the order of `SCAN_RESULTS`. */
export const SCAN_RESULT_INDEX: Readonly<Record<ScanResult, number>> = { clean: 0, flagged: 1, blocked: 2, error: 3 }

/** Count one served evaluation. `first`: it is the session's first, so the session is counted with it. */
export function recordEvaluation(
  stratum: Stratum,
  arm: ArmIndex,
  cohort: number,
  outcome: number,
  durationMs: number,
  first: boolean,
): void {
  const base = cellIndex(arm, cohort, 0)
  const { cells, latency } = stratum
  cells[base + EVALUATIONS]! += 1
  cells[base + ALLOW + outcome]! += 1
  if (first) {
    cells[base + SESSIONS]! += 1
    cells[base + FIRST_ALLOW + outcome]! += 1
  }
  latency[binIndex(arm, cohort, binOf(durationMs))]! += 1
}

/** Count one call that both arms judged before the session could have been changed by the canary. */
export function recordPair(
  stratum: Stratum,
  cohort: number,
  stable: number,
  canary: number,
  stableMs: number,
  canaryMs: number,
  first: boolean,
): void {
  countPair(stratum.pairs, cohort, stable, canary)
  countLatencies(stratum.pairedLatency, cohort, stableMs, canaryMs)
  if (first) stratum.pairedSessions[cohort]! += 1
}

/** Count one call that both arms judged after the canary's answer had changed the session. */
export function recordPairAfter(stratum: Stratum, cohort: number, stable: number, canary: number): void {
  countPair(stratum.pairsAfter, cohort, stable, canary)
}

/** Count one scan of a text by all scanners of a release. `first`: it is the session's first. */
export function recordScan(
  stratum: Stratum,
  arm: ArmIndex,
  cohort: number,
  result: ScanResult,
  durationMs: number,
  first: boolean,
): void {
  const base = cellIndex(arm, cohort, 0)
  const { cells, scanLatency } = stratum
  cells[base + SCANS]! += 1
  if (first) cells[base + SCAN_SESSIONS]! += 1
  if (result === "error") cells[base + SCAN_ERROR]! += 1
  else if (result !== "clean") cells[base + SCAN_FLAGGED]! += 1
  scanLatency[binIndex(arm, cohort, binOf(durationMs))]! += 1
}

/** Count one text that both arms scanned before the session could have been changed by the canary. */
export function recordScanPair(
  stratum: Stratum,
  cohort: number,
  stable: number,
  canary: number,
  stableMs: number,
  canaryMs: number,
  first: boolean,
): void {
  countPair(stratum.scanPairs, cohort, stable, canary)
  countLatencies(stratum.pairedScanLatency, cohort, stableMs, canaryMs)
  if (first) stratum.scanPairedSessions[cohort]! += 1
}

/** Count one event that a monitor saw, and whether it raised an alert. `first`: it is the session's first. */
export function recordObservation(
  stratum: Stratum,
  arm: ArmIndex,
  cohort: number,
  alerted: boolean,
  first: boolean,
): void {
  const base = cellIndex(arm, cohort, 0)
  stratum.cells[base + OBSERVATIONS]! += 1
  if (first) stratum.cells[base + OBSERVED_SESSIONS]! += 1
  if (alerted) stratum.cells[base + ALERTS]! += 1
}

function countPair(pairs: Float64Array, cohort: number, stable: number, canary: number): void {
  pairs[pairIndex(cohort, stable, canary)]! += 1
}

function countLatencies(latency: Uint32Array, cohort: number, stableMs: number, canaryMs: number): void {
  latency[binIndex(0, cohort, binOf(stableMs))]! += 1
  latency[binIndex(1, cohort, binOf(canaryMs))]! += 1
}

/** Add evidence of two processes, or of two lives of one. Order and grouping do not matter. For many processes there is `mergePacked`. */
export const mergeEvidence = (a: Evidence, b: Evidence): Evidence => combine(a, b, 1)

/** Take an earlier snapshot of the same counter away: the window between the two. */
export const subtractEvidence = (later: Evidence, earlier: Evidence): Evidence => combine(later, earlier, -1)

/** Copy evidence, so that recording may go on while the copy is read. */
export function snapshotEvidence({ generation, strata }: Evidence): Evidence {
  return { generation, strata: strata.map(copyOf) }
}

function combine(a: Evidence, b: Evidence, sign: 1 | -1): Evidence {
  if (a.generation !== b.generation) {
    throw new RangeError(`evidence of generation ${a.generation} and of ${b.generation} cannot be combined`)
  }
  const strata: Stratum[] = a.strata.map(copyOf)
  b.strata.forEach((stratum, i) => {
    const into = (strata[i] ??= createStratum())
    for (const name of ARRAYS) addTo(into[name], stratum[name], sign)
  })
  return { generation: a.generation, strata }
}

function copyOf(stratum: Stratum): Stratum {
  const copy = createStratum()
  for (const name of ARRAYS) copy[name].set(stratum[name])
  return copy
}

function addTo(into: Float64Array | Uint32Array, from: Float64Array | Uint32Array, sign: 1 | -1): void {
  for (let i = nextUsed(from, 0); i < from.length; i = nextUsed(from, i + 1)) into[i]! += sign * from[i]!
}
