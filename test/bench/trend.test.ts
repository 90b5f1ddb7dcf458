import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { growthOf, t975, trendOf } from "../../bench/soak/trend.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { runs } from "../runs.js"

const LIMIT = 2_000

/** Memory that is looked at every 30 s: it grows by so much a second, and is off by up to `noise`. */
const points = (growth: number, noise: number, seed = 1, count = 16) => {
  const random = sfc32(seed)
  return Array.from({ length: count }, (_, i) => ({
    at: 30 * i,
    value: 25e6 + growth * 30 * i + noise * (2 * random() - 1),
  }))
}

describe("the trend of a soak", () => {
  it("has the slope of a line, and no doubt about it", () => {
    fc.assert(
      fc.property(fc.integer({ min: -10_000, max: 10_000 }), (growth) => {
        const { slope, low, high } = trendOf(points(growth, 0))
        expect(slope).toBeCloseTo(growth, 3)
        expect([low, high].map((end) => Math.round(end))).toEqual([growth, growth])
      }),
      { numRuns: runs(20) },
    )
  })

  it("holds the true slope in its interval as often as it says", () => {
    const seeds = Array.from({ length: 400 }, (_, i) => i + 1)
    const held = seeds.filter((seed) => {
      const { low, high } = trendOf(points(500, 300_000, seed))
      return low <= 500 && 500 <= high
    })
    // 95 % of 400, and three standard deviations of that.
    expect(held.length).toBeGreaterThanOrEqual(367)
    expect(held.length).toBeLessThanOrEqual(393)
  })

  it.each([
    ["flat", 0, 100_000],
    ["flat", -5_000, 100_000],
    ["flat", 1_000, 1_000],
    ["grows", 4_000, 100_000],
    ["open", 0, 5_000_000],
    ["open", 2_000, 100_000],
  ] as const)("finds %s what grows by %d bytes a second and is off by up to %d", (growth, slope, noise) => {
    expect(growthOf(trendOf(points(slope, noise)), LIMIT)).toBe(growth)
  })

  it("is not told of too few points", () => {
    expect(() => trendOf(points(0, 1, 1, 7))).toThrow("a trend needs 8 points or more, got 7")
  })

  it.each([
    [6, 2.4469],
    [14, 2.1448],
    [60, 2.0003],
  ])("takes the quantile of Student's t with %d degrees from the tables", (degrees, value) => {
    expect(Math.abs(t975(degrees) - value)).toBeLessThan(0.002)
  })
})
