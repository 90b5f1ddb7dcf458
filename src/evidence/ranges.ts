import { BINS } from "../model/evidence.js"
import type { BinRange } from "../model/evidence.js"
import { binLowerMs } from "./histogram.js"

/**
 * Divide the bins into ranges that are as wide as a latency limit can bear: a quarter of the limit, or 1/32 of the duration where that is
 * more. A range of one bin loses nothing. All processes of a rollout have the same limit, and so the same ranges.
 */
export function rangesFor(limitMs: number): readonly BinRange[] {
  const ranges: BinRange[] = []
  // How slow what lies above the last bin is, is not known: it stays apart.
  const overflow = BINS - 1
  for (let from = 0; from < overflow;) {
    const lowerMs = binLowerMs(from)
    const upperMs = lowerMs + Math.max(limitMs / 4, lowerMs / 32)
    let to = from + 1
    while (to < overflow && binLowerMs(to) < upperMs) to++
    ranges.push([from, to])
    from = to
  }
  ranges.push([overflow, BINS])
  return ranges
}

/** Join ranges that share a bin; what lies between them stays apart. Answers those of more than one bin, in order. */
export function joinRanges(ranges: readonly BinRange[]): readonly BinRange[] {
  const joined: [number, number][] = []
  for (const [from, to] of ranges.toSorted(([a], [b]) => a - b)) {
    const last = joined.at(-1)
    if (last !== undefined && from < last[1]) last[1] = Math.max(last[1], to)
    else joined.push([from, to])
  }
  return joined.filter(([from, to]) => to - from > 1)
}
