import { BIN_MIN_LOG2_SECONDS, BINS, BINS_PER_OCTAVE, COHORTS } from "../model/evidence.js"
import { checkLength, type ArmIndex } from "./counts.js"
import { total, type PerCohort } from "./rates.js"

/** One arm's durations. The rows stay where they are, and only their upper ends are read: as far down as a quantile asks. */
export interface Histogram {
  /** `[cohort][bin]`, from `offset` on. */
  readonly data: Uint32Array
  readonly offset: number
  /** Bins per cohort. */
  readonly bins: number
  /** Durations per cohort: as many as there are evaluations, of which each leaves one. */
  readonly totals: PerCohort
  /** Durations in a bin, all cohorts together. */
  at(bin: number): number
  /** The uppermost bin that is not empty, if any is from `bin` on; else `bin` − 1. */
  last(bin: number): number
}

const LOG2_MS = Math.log2(1000)
/** Bins that are read at a time. */
const PIECE = 64
const BLOCK = 16

/** Open one arm of a latency array `[arm][cohort][bin]`. `name` is for the error: `strata[2].latency`. */
export function readHistogram(data: Uint32Array, arm: ArmIndex, totals: PerCohort, name: string): Histogram {
  checkLength(data, 2 * COHORTS * BINS, name)
  return openHistogram(data, arm * COHORTS * BINS, BINS, totals)
}

/** The same for rows of any length, one for each of `totals`. */
export function openHistogram(data: Uint32Array, offset: number, bins: number, totals: PerCohort): Histogram {
  const pooled = new Float64Array(bins)
  let readFrom = bins
  let last = -1

  // Half a megabyte of mostly zeros, and the greater part of what a judgement cost when it was read as a whole.
  function readDownTo(bin: number): void {
    while (readFrom > bin) {
      const end = readFrom
      readFrom = Math.max(0, end - PIECE)
      for (let cohort = 0; cohort < totals.length; cohort++) addRow(pooled, data, offset + cohort * bins, readFrom, end)
      for (let i = end - 1; last < 0 && i >= readFrom; i--) if (pooled[i]! > 0) last = i
    }
  }

  return {
    data,
    offset,
    bins,
    totals,
    at(bin) {
      if (bin < readFrom) readDownTo(bin)
      return pooled[bin] ?? 0
    },
    last(bin) {
      if (last < bin) readDownTo(bin)
      return Math.max(last, bin - 1)
    },
  }
}

function addRow(sum: Float64Array, data: Uint32Array, row: number, from: number, to: number): void {
  let bin = from
  for (; bin + BLOCK <= to; bin += BLOCK) {
    if (isEmptyBlock(data, row + bin)) continue
    for (let i = bin; i < bin + BLOCK; i++) sum[i]! += data[row + i]!
  }
  for (; bin < to; bin++) sum[bin]! += data[row + bin]!
}

/** Sixteen zeros; unrolled for speed. */
function isEmptyBlock(row: Uint32Array, i: number): boolean {
  return (four(row, i) | four(row, i + 4) | four(row, i + 8) | four(row, i + 12)) === 0
}

const four = (row: Uint32Array, i: number): number => row[i]! | row[i + 1]! | row[i + 2]! | row[i + 3]!

/** Find the p-quantile of durations, of all histograms together, as a position in bins; the fraction is interpolated inside the bin. */
export function quantilePosition(histograms: readonly Histogram[], p: number): number {
  const bins = histograms[0]?.bins ?? 0
  const all = histograms.reduce((sum, { totals }) => sum + total(totals), 0)
  if (all === 0) return bins
  const target = p * all
  let upTo = all
  for (let bin = bins - 1; bin >= 0; bin--) {
    let inside = 0
    for (const histogram of histograms) inside += histogram.at(bin)
    if (inside > 0 && upTo - inside < target) return bin + (target - (upTo - inside)) / inside
    upTo -= inside
  }
  return 0
}

/** Count the durations above a position in bins (and below `end`, a whole one), per cohort. A position inside a bin splits the bin. */
export function exceedances(histogram: Histogram, position: number, end: number = histogram.bins): number[] {
  const { data, offset, bins, totals } = histogram
  const first = Math.floor(position)
  const last = Math.min(histogram.last(first), end - 1)
  const sums: number[] = []
  for (let cohort = 0; cohort < totals.length; cohort++) {
    const row = offset + cohort * bins
    let sum = first <= last ? (first + 1 - position) * (data[row + first] ?? 0) : 0
    for (let bin = first + 1; bin <= last; bin++) sum += data[row + bin]!
    sums.push(sum)
  }
  return sums
}

/** Milliseconds at a position in bins. */
export function msAt(position: number): number {
  // Not `2 **`: its last bit is another one on Node.js 24 than on 22, and a verdict is to replay on either.
  return 1000 * Math.exp(Math.LN2 * (BIN_MIN_LOG2_SECONDS + position / BINS_PER_OCTAVE))
}

/** Position in bins of a duration in ms, as if the overflow bin went on for ever. */
export function positionOf(ms: number): number {
  return Math.max(0, (Math.log2(ms) - LOG2_MS - BIN_MIN_LOG2_SECONDS) * BINS_PER_OCTAVE)
}
