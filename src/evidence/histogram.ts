import { BIN_MAX_LOG2_SECONDS, BIN_MIN_LOG2_SECONDS, BINS, BINS_PER_OCTAVE } from "../model/evidence.js"

const LOG2_MS = Math.log2(1000)
const MIN_MS = 1000 * 2 ** BIN_MIN_LOG2_SECONDS
const MAX_MS = 1000 * 2 ** BIN_MAX_LOG2_SECONDS

/** Bin of a duration in ms. Below the first bin counts in it, above the last in the overflow bin; NaN in the first. */
export function binOf(durationMs: number): number {
  if (!(durationMs > MIN_MS)) return 0
  if (durationMs >= MAX_MS) return BINS - 1
  return Math.floor((Math.log2(durationMs) - LOG2_MS - BIN_MIN_LOG2_SECONDS) * BINS_PER_OCTAVE)
}

/** Lower edge of a bin, ms. Bins are 2^(1/32) wide, 2.2 %. */
export function binLowerMs(bin: number): number {
  return 1000 * 2 ** (BIN_MIN_LOG2_SECONDS + bin / BINS_PER_OCTAVE)
}
