import type { Outcome, ScanResult } from "../model/decision.js"
import { BINS, CELLS, COHORTS, cellIndex, pairIndex } from "../model/evidence.js"
import type { Cell, Evidence, Stratum } from "../model/evidence.js"
import { binOf } from "./histogram.js"

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

/** Make a stratum with nothing in it: about 1.8 MB, allocated once a stage, never while recording. */
export function createStratum(): Stratum {
  const rows = 2 * COHORTS
  return {
    cells: new Float64Array(rows * CELLS.length),
    pairs: new Float64Array(COHORTS * 16),
    pairsAfter: new Float64Array(COHORTS * 16),
    pairedSessions: new Float64Array(COHORTS),
    latency: new Uint32Array(rows * BINS),
    pairedLatency: new Uint32Array(rows * BINS),
    scanLatency: new Uint32Array(rows * BINS),
    scanPairs: new Float64Array(COHORTS * 16),
    scanPairedSessions: new Float64Array(COHORTS),
    pairedScanLatency: new Uint32Array(rows * BINS),
  }
}

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
  latency[(arm * COHORTS + cohort) * BINS + binOf(durationMs)]! += 1
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
  scanLatency[(arm * COHORTS + cohort) * BINS + binOf(durationMs)]! += 1
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
  latency[cohort * BINS + binOf(stableMs)]! += 1
  latency[(COHORTS + cohort) * BINS + binOf(canaryMs)]! += 1
}

/** Make a stratum of every array of `a` and its twin in `b`. */
function combine(a: Stratum, b: Stratum, op: (x: number, y: number) => number): Stratum {
  const floats = (x: Float64Array, y: Float64Array): Float64Array => x.map((value, i) => op(value, y[i] ?? 0))
  const counts = (x: Uint32Array, y: Uint32Array): Uint32Array => x.map((value, i) => op(value, y[i] ?? 0))
  return {
    cells: floats(a.cells, b.cells),
    pairs: floats(a.pairs, b.pairs),
    pairsAfter: floats(a.pairsAfter, b.pairsAfter),
    pairedSessions: floats(a.pairedSessions, b.pairedSessions),
    latency: counts(a.latency, b.latency),
    pairedLatency: counts(a.pairedLatency, b.pairedLatency),
    scanLatency: counts(a.scanLatency, b.scanLatency),
    scanPairs: floats(a.scanPairs, b.scanPairs),
    scanPairedSessions: floats(a.scanPairedSessions, b.scanPairedSessions),
    pairedScanLatency: counts(a.pairedScanLatency, b.pairedScanLatency),
  }
}

function combineEvidence(a: Evidence, b: Evidence, op: (x: number, y: number) => number): Evidence {
  if (a.generation !== b.generation) {
    throw new RangeError(`evidence of generation ${a.generation} and of ${b.generation} cannot be combined`)
  }
  const strata: Stratum[] = []
  for (let i = 0; i < Math.max(a.strata.length, b.strata.length); i++) {
    strata.push(combine(a.strata[i] ?? createStratum(), b.strata[i] ?? createStratum(), op))
  }
  return { generation: a.generation, strata }
}

/** Add evidence of two processes, or of two lives of one. Order and grouping do not matter. */
export const mergeEvidence = (a: Evidence, b: Evidence): Evidence => combineEvidence(a, b, (x, y) => x + y)

/** Take an earlier snapshot of the same counter away: the window between the two. */
export const subtractEvidence = (later: Evidence, earlier: Evidence): Evidence =>
  combineEvidence(later, earlier, (x, y) => x - y)

/** Copy evidence, so that recording may go on while the copy is read. */
export function snapshotEvidence({ generation, strata }: Evidence): Evidence {
  return { generation, strata: strata.map((stratum) => combine(stratum, stratum, (x) => x)) }
}
