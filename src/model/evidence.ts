/**
 * Evidence: counts that merge by addition and subtract for windows, so processes, restarts and stages combine exactly.
 * Sessions are hashed into {@link COHORTS} cohorts; verdicts take their variance from cohort totals, never from evaluations.
 */

/** Cohorts per arm. */
export const COHORTS = 64

/**
 * What is counted in each (arm, cohort), in the order of `Stratum.cells`. `first_*` count a session's first
 * evaluation; `scan_sessions` and `observed_sessions` count sessions with a scan, and with an event that a monitor saw.
 */
export const CELLS = [
  "evaluations",
  "allow",
  "deny",
  "escalate",
  "error",
  "sessions",
  "first_allow",
  "first_deny",
  "first_escalate",
  "first_error",
  "scans",
  "scan_flagged",
  "scan_error",
  "scan_sessions",
  "observations",
  "alerts",
  "observed_sessions",
] as const

/** What is counted of each arm and cohort, by name. */
export type Cell = (typeof CELLS)[number]

/** Latency bins per row: base-2 logarithmic, {@link BINS_PER_OCTAVE} to an octave from 2^-20 s up to 2^6 s, plus an overflow bin. */
export const BINS_PER_OCTAVE = 32
export const BIN_MIN_LOG2_SECONDS = -20
export const BIN_MAX_LOG2_SECONDS = 6

/** Number of latency bins in a row. */
export const BINS = (BIN_MAX_LOG2_SECONDS - BIN_MIN_LOG2_SECONDS) * BINS_PER_OCTAVE + 1

/** Sessions that started while one entry of the ramp was in force. Within a stratum the split between the arms is constant. */
export interface Stratum {
  /** `[arm][cohort][cell]`; only the first evaluations of a session, up to a cap, are counted here. */
  readonly cells: Float64Array
  /** `[cohort][stable outcome][canary outcome]`: calls judged by both arms that inference may use. */
  readonly pairs: Float64Array
  /** The same for calls that followed a disagreement acted on by the canary: shown, never inferred from. */
  readonly pairsAfter: Float64Array
  /** `[cohort]`: sessions with at least one pair that inference may use. */
  readonly pairedSessions: Float64Array
  /** `[arm][bin][cohort]`: duration of served evaluations. */
  readonly latency: Uint32Array
  /** `[arm][bin][cohort]`: duration of both sides of `pairs`. */
  readonly pairedLatency: Uint32Array
  /** `[arm][bin][cohort]`: duration of scans. */
  readonly scanLatency: Uint32Array
  /** `[cohort][stable result][canary result]`: texts scanned by both arms that inference may use. */
  readonly scanPairs: Float64Array
  /** `[cohort]`: sessions with at least one of these. */
  readonly scanPairedSessions: Float64Array
  /** `[arm][bin][cohort]`: duration of both sides of `scanPairs`. */
  readonly pairedScanLatency: Uint32Array
}

/** Bins of a latency array that are counted as one, from a bin on and up to another: what lies between is not known. */
export type BinRange = readonly [from: number, to: number]

/** All evidence of one generation of a rollout. */
export interface Evidence {
  readonly generation: number
  /** Salt of the state that it was counted under: a store that went back gives a generation's number twice. Absent: it is not known. */
  readonly salt?: string | undefined
  /** `strata[0]`: sessions from before the ramp (or while nothing is rolled out); `strata[i + 1]`: those of `ramp[i]`. */
  readonly strata: readonly Stratum[]
  /** Where durations are known less well than to a bin: ranges in order, apart from each other, each counted in its last bin. */
  readonly coarse?: Coarse | undefined
  /** What is known to be missing. Evidence with a gap may speak against a canary, and never for it. */
  readonly gap?: EvidenceGap | undefined
}

/** By what was timed; served and paired durations are ranged alike. */
export interface Coarse {
  readonly latency: readonly BinRange[]
  readonly scanLatency: readonly BinRange[]
}

/** That part of a fleet is not in the evidence. */
export interface EvidenceGap {
  readonly noData: "stale" | "errored"
  /** For people: who is missing, since when. */
  readonly detail: string
}

/** Find a count in `cells` of a stratum. `cell`: its index in `CELLS`. */
export const cellIndex = (arm: 0 | 1, cohort: number, cell: number): number =>
  (arm * COHORTS + cohort) * CELLS.length + cell

/** Find a count in `pairs` of a stratum. Outcomes: 0 allow, 1 deny, 2 escalate, 3 error. */
export const pairIndex = (cohort: number, stable: number, canary: number): number => (cohort * 4 + stable) * 4 + canary

/** Find a count in `latency` of a stratum. `bin`: 0 to `BINS` - 1, from `binLowerMs(bin)` on. */
export const binIndex = (arm: 0 | 1, cohort: number, bin: number): number => (arm * BINS + bin) * COHORTS + cohort

/** How many cells each array of a stratum has; the order is the one in which they are written down. */
export const LENGTHS: { readonly [K in keyof Stratum]: number } = {
  cells: 2 * COHORTS * CELLS.length,
  pairs: COHORTS * 16,
  pairsAfter: COHORTS * 16,
  pairedSessions: COHORTS,
  latency: 2 * COHORTS * BINS,
  pairedLatency: 2 * COHORTS * BINS,
  scanLatency: 2 * COHORTS * BINS,
  scanPairs: COHORTS * 16,
  scanPairedSessions: COHORTS,
  pairedScanLatency: 2 * COHORTS * BINS,
}
export const ARRAYS = Object.keys(LENGTHS) as readonly (keyof Stratum)[]

/** Make a stratum with nothing in it: about 1.8 MB, allocated once a stage, never while recording. */
export function createStratum(): Stratum {
  const sums = (name: keyof Stratum): Float64Array => new Float64Array(LENGTHS[name])
  const counts = (name: keyof Stratum): Uint32Array => new Uint32Array(LENGTHS[name])
  return {
    cells: sums("cells"),
    pairs: sums("pairs"),
    pairsAfter: sums("pairsAfter"),
    pairedSessions: sums("pairedSessions"),
    latency: counts("latency"),
    pairedLatency: counts("pairedLatency"),
    scanLatency: counts("scanLatency"),
    scanPairs: sums("scanPairs"),
    scanPairedSessions: sums("scanPairedSessions"),
    pairedScanLatency: counts("pairedScanLatency"),
  }
}

/** Counts that {@link isEmptyBlock} looks at. */
export const BLOCK = 16

/** Tell whether the counts of a block from `i` on are 0: nearly all of evidence is. Unrolled for speed. */
export function isEmptyBlock(counts: Uint32Array, i: number): boolean {
  return (four(counts, i) | four(counts, i + 4) | four(counts, i + 8) | four(counts, i + 12)) === 0
}

const four = (counts: Uint32Array, i: number): number => counts[i]! | counts[i + 1]! | counts[i + 2]! | counts[i + 3]!
