import { msAt, openHistogram, quantilePosition } from "../analysis/histogram.js"
import { binOf } from "../evidence/histogram.js"
import { BINS } from "../model/evidence.js"

/** Quantiles of durations, ms, to 2.2 %. */
export interface Quantiles {
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
}

/** Durations of any number of evaluations, in a histogram of a few kilobytes. */
export function createDurations() {
  const bins = new Uint32Array(BINS)
  let count = 0
  const at = (p: number): number => msAt(quantilePosition([openHistogram(bins, 0, BINS, [count])], p))
  return {
    record(ms: number): void {
      bins[binOf(ms)]! += 1
      count += 1
    },
    /** Null: there were none. */
    quantiles: (): Quantiles | null => (count === 0 ? null : { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }),
  }
}
