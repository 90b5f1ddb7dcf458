import { BIN_MIN_LOG2_SECONDS, BINS, BINS_PER_OCTAVE, BLOCK, COHORTS, isEmptyBlock } from "../model/evidence.js"
import type { BinRange } from "../model/evidence.js"
import { checkLength, type ArmIndex } from "./counts.js"
import { total, type PerCohort } from "./rates.js"

/** One arm's durations. They stay where they are, and only the upper ones are read: as far down as a quantile asks. */
export interface Histogram {
  /** `[bin][cohort]`, from `offset` on. */
  readonly data: Uint32Array
  readonly offset: number
  readonly bins: number
  /** Durations per cohort: as many as there are evaluations, of which each leaves one. */
  readonly totals: PerCohort
  /** The bin after the uppermost one that is not empty; 0 when all are. */
  readonly end: number
  /** Bins that are counted as one, in their last. */
  readonly coarse: readonly BinRange[]
  /** Durations in a bin, all cohorts together. */
  at(bin: number): number
}

const LOG2_MS = Math.log2(1000)

/** Open one arm of a latency array `[arm][bin][cohort]`. `name` is for the error: `strata[2].latency`. */
export function readHistogram(
  data: Uint32Array,
  arm: ArmIndex,
  totals: PerCohort,
  name: string,
  coarse?: readonly BinRange[],
): Histogram {
  checkLength(data, 2 * COHORTS * BINS, name)
  return openHistogram(data, arm * COHORTS * BINS, BINS, totals, coarse)
}

/** The same for any number of bins and cohorts, one for each of `totals`. */
export function openHistogram(
  data: Uint32Array,
  offset: number,
  bins: number,
  totals: PerCohort,
  coarse: readonly BinRange[] = [],
): Histogram {
  const end = total(totals) === 0 ? 0 : endOf(data, offset, offset + bins * totals.length, totals.length)
  // From the upper end down, as far as anybody has asked.
  const pooled: number[] = []
  return {
    data,
    offset,
    bins,
    totals,
    end,
    coarse,
    at(bin) {
      while (pooled.length < end - bin)
        pooled.push(sumOf(data, offset + (end - 1 - pooled.length) * totals.length, totals.length))
      return pooled[end - 1 - bin] ?? 0
    },
  }
}

function endOf(data: Uint32Array, from: number, to: number, cohorts: number): number {
  let end = to
  while (end - BLOCK >= from && isEmptyBlock(data, end - BLOCK)) end -= BLOCK
  while (end > from && data[end - 1] === 0) end--
  return Math.ceil((end - from) / cohorts)
}

function sumOf(data: Uint32Array, from: number, cohorts: number): number {
  let sum = 0
  for (let i = from; i < from + cohorts; i++) sum += data[i]!
  return sum
}

/** Find the p-quantile of durations, of all histograms together, as a position in bins; the fraction is interpolated inside the bin. */
export function quantilePosition(histograms: readonly Histogram[], p: number): number {
  const bins = histograms[0]?.bins ?? 0
  const all = histograms.reduce((sum, { totals }) => sum + total(totals), 0)
  if (all === 0) return bins
  const target = p * all
  let upTo = all
  const end = histograms.reduce((most, histogram) => Math.max(most, histogram.end), 0)
  for (let bin = end - 1; bin >= 0; bin--) {
    let inside = 0
    for (const histogram of histograms) inside += histogram.at(bin)
    if (inside > 0 && upTo - inside < target) return bin + (target - (upTo - inside)) / inside
    upTo -= inside
  }
  return 0
}

/** Count the durations above a position in bins (and below `end`, a whole one), per cohort. A position inside a bin splits the bin. */
export function exceedances(histogram: Histogram, position: number, end: number = histogram.bins): number[] {
  const { data, offset, totals } = histogram
  const first = Math.floor(position)
  const upTo = Math.min(histogram.end, end)
  const sums: number[] = []
  for (let cohort = 0; cohort < totals.length; cohort++) {
    sums.push(first < upTo ? (first + 1 - position) * data[offset + first * totals.length + cohort]! : 0)
  }
  for (let bin = first + 1; bin < upTo; bin++) {
    const row = offset + bin * totals.length
    for (let cohort = 0; cohort < totals.length; cohort++) sums[cohort]! += data[row + cohort]!
  }
  return sums
}

/** The next position from `position` on up to which is known how many durations there are. */
export function knownAbove({ coarse }: Histogram, position: number): number {
  const bin = Math.ceil(position)
  return coarse.find(([from, to]) => from < bin && bin < to)?.[1] ?? bin
}

/** The same downwards. */
export function knownBelow({ coarse }: Histogram, position: number): number {
  const bin = Math.floor(position)
  return coarse.find(([from, to]) => from < bin && bin < to)?.[0] ?? bin
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
