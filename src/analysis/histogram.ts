import { BIN_MIN_LOG2_SECONDS, BINS, BINS_PER_OCTAVE, COHORTS } from "../model/evidence.js"
import { checkLength, type ArmIndex } from "./counts.js"
import { total } from "./rates.js"

/** One arm's durations, read once: the rows stay where they are. */
export interface Histogram {
  /** `[cohort][bin]`, from `offset` on. */
  readonly data: Uint32Array
  readonly offset: number
  /** Bins per cohort. */
  readonly bins: number
  /** Durations per cohort. */
  readonly totals: Float64Array
  /** Durations per bin, all cohorts. */
  readonly pooled: Float64Array
  /** Bins in use per cohort: none from here on has anything in it. */
  readonly used: Int32Array
}

const LOG2_MS = Math.log2(1000)
const BLOCK = 16

/** Read one arm of a latency array `[arm][cohort][bin]`. `name` is for the error: `strata[2].latency`. */
export function readHistogram(data: Uint32Array, arm: ArmIndex, name: string): Histogram {
  checkLength(data, 2 * COHORTS * BINS, name)
  const offset = arm * COHORTS * BINS
  const totals = new Float64Array(COHORTS)
  const pooled = new Float64Array(BINS)
  const used = new Int32Array(COHORTS)
  // Half a megabyte of mostly zeros, and the greater part of what a judgement costs: both empty ends of a row are skipped.
  for (let cohort = 0; cohort < COHORTS; cohort++) {
    const start = offset + cohort * BINS
    const row = data.subarray(start, start + BINS)
    let first = 0
    while (first + BLOCK <= BINS && isEmptyBlock(row, first)) first += BLOCK
    let end = BINS
    if (row[BINS - 1] === 0) {
      end -= 1
      while (end - BLOCK >= first && isEmptyBlock(row, end - BLOCK)) end -= BLOCK
    }
    let sum = 0
    for (let bin = first; bin < end; bin++) {
      const value = row[bin]!
      sum += value
      pooled[bin]! += value
    }
    totals[cohort] = sum
    used[cohort] = end
  }
  return { data, offset, bins: BINS, totals, pooled, used }
}

/** Sixteen zeros; unrolled for speed. */
function isEmptyBlock(row: Uint32Array, i: number): boolean {
  return (four(row, i) | four(row, i + 4) | four(row, i + 8) | four(row, i + 12)) === 0
}

const four = (row: Uint32Array, i: number): number => row[i]! | row[i + 1]! | row[i + 2]! | row[i + 3]!

/** Find the p-quantile of the durations as a position in bins; the fraction is interpolated inside the bin. */
export function quantilePosition(histogram: Histogram, p: number): number {
  const target = p * total(histogram.pooled)
  let below = 0
  for (let bin = 0; bin < histogram.bins; bin++) {
    const inside = histogram.pooled[bin] ?? 0
    if (inside > 0 && below + inside >= target) return bin + (target - below) / inside
    below += inside
  }
  return histogram.bins
}

/** Count the durations above a position in bins, per cohort. A position inside a bin splits the bin. */
export function exceedances(histogram: Histogram, position: number): number[] {
  const { data, offset, bins, used } = histogram
  const first = Math.floor(position)
  const sums: number[] = []
  for (let cohort = 0; cohort < used.length; cohort++) {
    const end = used[cohort] ?? 0
    const row = offset + cohort * bins
    let sum = first < end ? (first + 1 - position) * (data[row + first] ?? 0) : 0
    for (let bin = first + 1; bin < end; bin++) sum += data[row + bin]!
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
