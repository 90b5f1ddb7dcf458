import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  knownAbove,
  knownBelow,
  openHistogram,
  quantilePosition,
  type Histogram,
} from "../../src/analysis/histogram.js"
import { leastExcess, wagerLower, type Stake } from "../../src/analysis/wager.js"
import { runs } from "../runs.js"

const COHORTS = 3
const BINS = 40

/** `counts[bin]` are the durations of a bin in each cohort. `next`: what lies behind it in the same array. */
function open(counts: readonly (readonly number[])[], next = 0, coarse: Histogram["coarse"] = []): Histogram {
  const data = new Uint32Array(2 * COHORTS * BINS).fill(next, COHORTS * BINS)
  counts.forEach((row, bin) => data.set(row, bin * COHORTS))
  const totals = [0, 1, 2].map((k) => counts.reduce((sum, row) => sum + row[k]!, 0))
  return openHistogram(data, 0, BINS, totals, coarse)
}

const rows = fc.array(fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2)), { minLength: BINS, maxLength: BINS })
const inBin = (row: readonly number[] = []): number => row.reduce((a, b) => a + b, 0)

/** The quantile as it is defined: the first bin in which the share is reached, and how far into it. */
function defined(counts: readonly (readonly number[])[], p: number): number {
  const target = p * counts.reduce((sum, row) => sum + inBin(row), 0)
  let below = 0
  for (let bin = 0; bin < counts.length; bin++) {
    if (below >= target) return 0
    const inside = inBin(counts[bin])
    if (below + inside >= target) return bin + (target - below) / inside
    below += inside
  }
  throw new RangeError("more than all")
}

describe("a histogram", () => {
  it("has its quantile where the definition has it, wherever it was looked at before", () => {
    fc.assert(
      fc.property(
        rows,
        fc.array(fc.nat(BINS), { maxLength: 3 }),
        fc.constantFrom(0, 0.01, 0.25, 0.5, 0.75, 0.99, 1),
        (counts, before, p) => {
          fc.pre(counts.some((row) => inBin(row) > 0))
          const histogram = open(counts)
          for (const bin of before) histogram.above(bin)
          expect(quantilePosition([histogram], p)).toBe(defined(counts, p))
        },
      ),
      { numRuns: runs(300) },
    )
  })

  it("ends a quantile with the bin in which its share is reached, not in the next that has anything", () => {
    const counts = Array.from({ length: BINS }, (_, bin) => (bin === 3 || bin === 9 ? [1, 0, 0] : [0, 0, 0]))
    expect(quantilePosition([open(counts)], 0.5)).toBe(4)
    expect(quantilePosition([open(counts)], 1)).toBe(10)
    expect(quantilePosition([open(counts)], 0)).toBe(0)
  })

  it("counts above each bin as a sum does, up and down", () => {
    fc.assert(
      fc.property(rows, fc.array(fc.nat(BINS), { minLength: 1, maxLength: 6 }), (counts, bins) => {
        const histogram = open(counts, 7)
        for (const bin of bins) {
          const sums = [0, 1, 2].map((k) => counts.slice(bin).reduce((sum, row) => sum + row[k]!, 0))
          expect(histogram.above(bin)).toEqual(sums)
          expect(histogram.at(bin)).toBe(inBin(counts[bin]))
        }
      }),
      { numRuns: runs(100) },
    )
  })

  it("has nothing behind its last bin, where the next arm begins", () => {
    const full = open(
      Array.from({ length: BINS }, () => [1, 1, 1]),
      7,
    )
    expect(full.end).toBe(BINS)
    expect(full.at(BINS)).toBe(0)
    expect(full.above(BINS)).toEqual([0, 0, 0])
  })

  it("knows how many there are at the ends of bins that are counted as one, and not inside", () => {
    const coarse = [
      [2, 5],
      [7, 9],
    ] as const
    const histogram = open([[1, 1, 1]], 0, coarse)
    expect([1.2, 2, 2.5, 3, 4.1, 5, 6, 7, 7.5, 9].map((at) => knownAbove(histogram, at))).toEqual([
      2, 2, 5, 5, 5, 5, 6, 7, 9, 9,
    ])
    expect([2, 2.5, 3, 4.9, 5, 6.5, 7, 8.5, 9, 9.5].map((at) => knownBelow(histogram, at))).toEqual([
      2, 2, 2, 2, 5, 6, 7, 7, 9, 9,
    ])
  })
})

describe("the least excess of several stakes", () => {
  const stake = fc
    .record({
      max: fc.double({ min: -0.2, max: 0.2, noNaN: true }),
      plus: fc.nat(200),
      minus: fc.nat(200),
      zero: fc.nat(400),
      deff: fc.double({ min: 1, max: 5, noNaN: true }),
    })
    .map(({ max, plus, minus, zero, deff }): Stake => ({
      game: { max, least: -1 },
      strata: [{ plus, minus, trials: plus + minus + zero, deff }],
    }))

  it("is that of the stake which proves least, to the precision of the bound", () => {
    fc.assert(
      fc.property(fc.array(stake, { minLength: 1, maxLength: 4 }), fc.constantFrom(0.05, 0.2, 0.9), (stakes, alpha) => {
        const each = stakes.map(({ game, strata }) => wagerLower(strata, game.least, alpha) - game.max)
        expect(leastExcess(stakes, alpha)).toBeCloseTo(Math.min(...each), 7)
      }),
      { numRuns: runs(200) },
    )
  })

  it("is boundless where there is nothing to prove", () => {
    expect(leastExcess([], 0.05)).toBe(Infinity)
  })
})
