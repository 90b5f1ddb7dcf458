import { BIN_MIN_LOG2_SECONDS, BINS, BINS_PER_OCTAVE, BLOCK, COHORTS, isEmptyBlock } from "../model/evidence.js"
import type { BinRange } from "../model/evidence.js"
import { checkLength, type ArmIndex } from "./counts.js"
import { cohortZeros, total, type PerCohort } from "./rates.js"

/** One arm's durations. They stay where they are, and only the upper ones are read: as far down as somebody asks. */
export interface Histogram {
  readonly bins: number
  /** Durations per cohort: as many as there are evaluations, of which each leaves one. */
  readonly totals: PerCohort
  /** The bin after the uppermost one that is not empty; 0 when all are. */
  readonly end: number
  /** Bins that are counted as one, in their last. */
  readonly coarse: readonly BinRange[]
  /** Durations in a bin, all cohorts together. */
  at(bin: number): number
  /** Durations in `bin` and above it, per cohort: an array of the histogram's own, which the next call changes. */
  above(bin: number): readonly number[]
  /** The bin that `above` was last asked for: what is near to it is told sooner. */
  reached(): number
  /** Durations above a position in bins, per cohort. A position inside a bin splits the bin. */
  exceedances(position: number): number[]
}

const LOG2_MS = Math.log2(1000)
/** Bins that a search for a quantile goes at once. */
const STRIDE = 8

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

/** The same for any number of bins, and for a cohort for each of `totals`. */
export function openHistogram(
  data: Uint32Array,
  offset: number,
  bins: number,
  totals: PerCohort,
  coarse: readonly BinRange[] = [],
): Histogram {
  const cohorts = totals.length
  const rowOf = (bin: number): number => offset + bin * cohorts
  const end = total(totals) === 0 ? 0 : endOf(data, offset, rowOf(bins), cohorts)
  // Of what is in `reached` and above. Counts are whole, so what is added and taken away again leaves nothing behind.
  const sums = cohortZeros(cohorts)
  let reached = end

  function above(bin: number): readonly number[] {
    const to = Math.min(bin, end)
    if (to < reached) addRows(sums, data, rowOf(to), rowOf(reached), 1)
    else addRows(sums, data, rowOf(reached), rowOf(to), -1)
    reached = to
    return sums
  }

  return {
    bins,
    totals,
    end,
    coarse,
    at: (bin) => (bin < end ? sumOf(data, rowOf(bin), cohorts) : 0),
    above,
    reached: () => reached,
    exceedances(position) {
      const first = Math.floor(position)
      const counts = above(first + 1).slice()
      if (first >= end) return counts
      const row = rowOf(first)
      for (let cohort = 0; cohort < cohorts; cohort++) counts[cohort]! += (first + 1 - position) * data[row + cohort]!
      return counts
    },
  }
}

/** Add rows, cohort by cohort, so that a sum stays in a register. */
function addRows(sums: number[], data: Uint32Array, first: number, past: number, sign: 1 | -1): void {
  if (first === past) return
  const cohorts = sums.length
  for (let cohort = 0; cohort < cohorts; cohort++) {
    let sum = 0
    for (let i = first + cohort; i < past; i += cohorts) sum += data[i]!
    sums[cohort]! += sign * sum
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
  const all = histograms.reduce((sum, { totals }) => sum + total(totals), 0)
  if (all === 0) return histograms[0]?.bins ?? 0
  const target = p * all
  const upTo = (bin: number): number => histograms.reduce((rest, histogram) => rest - total(histogram.above(bin)), all)
  const end = histograms.reduce((most, histogram) => Math.max(most, histogram.end), 0)
  let bin = histograms.reduce((most, histogram) => Math.max(most, histogram.reached()), 0)
  while (bin < end && upTo(bin) < target) bin += STRIDE
  while (bin > 0 && upTo(bin) >= target) bin = Math.max(0, bin - STRIDE)
  let below = upTo(bin)
  if (below >= target) return 0
  for (;;) {
    const inside = histograms.reduce((sum, histogram) => sum + histogram.at(bin), 0)
    if (below + inside >= target) return bin + (target - below) / inside
    below += inside
    bin += 1
  }
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
