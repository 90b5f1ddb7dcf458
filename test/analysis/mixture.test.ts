import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { bernoulliLower, bernoulliUpper } from "../../src/analysis/bernoulli.js"
import { bound, logE, lower, twoSidedBound, upper } from "../../src/analysis/mixture.js"
import { relativeError, vectors } from "./vectors.js"

const information = fc.double({ min: 1e-3, max: 1e9, noNaN: true })
const precision = fc.double({ min: 1, max: 1e7, noNaN: true })
const level = fc.double({ min: 1e-6, max: 0.5, noNaN: true })

describe("normal mixture", () => {
  // scipy 1.17.1: brentq on the formula with scipy.stats.norm.logcdf.
  it.each([
    [100, 0.05, 2500, 110.25240560109931],
    [1e4, 0.05, 2500, 278.9988324806005],
    [1e6, 0.01, 2500, 3721.9288474498967],
  ])("bounds a score of information %d at %d", (v, alpha, rho, expected) => {
    expect(relativeError(bound(v, alpha, rho), expected)).toBeLessThan(1e-12)
  })

  it("says nothing without information", () => {
    expect(logE(0, 0, 2500)).toBeCloseTo(0, 12)
  })

  it("reaches 1/alpha exactly at the bound", () => {
    fc.assert(
      fc.property(information, level, precision, (v, alpha, rho) => {
        expect(logE(bound(v, alpha, rho), v, rho)).toBeCloseTo(-Math.log(alpha), 8)
      }),
    )
  })

  it("is inside the two-sided bound of the same level, and the outer end of the one of twice the level", () => {
    fc.assert(
      fc.property(information, level, precision, (v, alpha, rho) => {
        const one = bound(v, alpha, rho)
        expect(one).toBeLessThanOrEqual(twoSidedBound(v, alpha, rho))
        expect(one).toBeGreaterThanOrEqual(twoSidedBound(v, Math.min(1, 2 * alpha), rho) * (1 - 1e-12))
      }),
    )
  })

  it("has a lower bound that rises and an upper bound that falls with alpha", () => {
    fc.assert(
      fc.property(
        information,
        level,
        precision,
        fc.double({ min: -1, max: 1, noNaN: true }),
        (v, alpha, rho, estimate) => {
          expect(lower(estimate, v, alpha, rho)).toBeGreaterThan(lower(estimate, v, alpha / 2, rho))
          expect(upper(estimate, v, alpha, rho)).toBeLessThan(upper(estimate, v, alpha / 2, rho))
        },
      ),
    )
  })

  it("has an e-value that grows with the score", () => {
    fc.assert(
      fc.property(information, precision, fc.double({ min: -30, max: 30, noNaN: true }), (v, rho, z) => {
        const root = Math.sqrt(v + rho)
        expect(logE((z + 0.01) * root, v, rho)).toBeGreaterThan(logE(z * root, v, rho))
      }),
    )
  })

  type Bound = { oneSided: boolean; rho: number; v: number; alpha: number; bound: number }
  vectors<Bound>("stats-normal-mixture.json", "bound", (cases) => {
    for (const c of cases) {
      const actual = c.oneSided ? bound(c.v, c.alpha, c.rho) : twoSidedBound(c.v, c.alpha, c.rho)
      expect(relativeError(actual, c.bound), JSON.stringify(c)).toBeLessThan(1e-9)
    }
  })
  type LogE = { oneSided: boolean; rho: number; v: number; s: number; logE: number }
  vectors<LogE>("stats-normal-mixture.json", "logE", (cases) => {
    const oneSided = cases.filter((c) => c.oneSided)
    expect(oneSided.length).toBeGreaterThan(100)
    for (const c of oneSided) {
      expect(Math.abs(logE(c.s, c.v, c.rho) - c.logE), JSON.stringify(c)).toBeLessThan(
        1e-9 * Math.max(1, Math.abs(c.logE)),
      )
    }
  })
  type Cs = {
    est: number
    se: number
    deltaMax: number
    tau: number
    alpha: number
    lower: number
    upper: number
    logEWorse: number
    logEWithin: number
  }
  vectors<Cs>("stats-asymp-cs.json", "oneSidedCS", (cases) => {
    for (const c of cases) {
      const v = 1 / (c.se * c.se)
      const rho = 1 / (c.tau * c.tau)
      const score = (c.est - c.deltaMax) * v
      const actual = [
        lower(c.est, v, c.alpha, rho),
        upper(c.est, v, c.alpha, rho),
        logE(score, v, rho),
        logE(-score, v, rho),
      ]
      const expected = [c.lower, c.upper, c.logEWorse, c.logEWithin]
      expected.forEach((y, i) => expect(relativeError(actual[i] ?? NaN, y), JSON.stringify(c)).toBeLessThan(1e-6))
    }
  })
  type Growthbook = { n: number; s2: number; alpha: number; rho1: number; rho2: number; half1: number; half2: number }
  vectors<Growthbook>("stats-asymp-cs.json", "growthbook", (cases) => {
    // gbstats: half-width of a mean of n values of variance s2, its rho in units of standard deviations.
    for (const c of cases) {
      const v = c.n / c.s2
      const rho = (rhoOfGbstats: number): number => 1 / (c.s2 * rhoOfGbstats ** 2)
      expect(relativeError(twoSidedBound(v, c.alpha, rho(c.rho2)) / v, c.half2), JSON.stringify(c)).toBeLessThan(1e-9)
      const exact = bound(v, c.alpha, rho(c.rho1)) / v
      expect(exact).toBeLessThanOrEqual(c.half1)
      expect(exact).toBeGreaterThan(c.half1 * 0.9)
    }
  })
})

describe("bounds of 0/1 outcomes", () => {
  it("bounds zero events, and never says zero", () => {
    // scipy 1.17.1: brentq on the Beta(1/2, 1/2) mixture.
    expect(bernoulliUpper(0, 200, 0.001)).toBeCloseTo(0.049388216974206034, 12)
    expect(bernoulliUpper(0, 1e8, 0.05)).toBeGreaterThan(0)
    expect(bernoulliUpper(0, 1e8, 0.05)).toBeLessThan(2e-7)
    expect(bernoulliUpper(0, 0, 0.05)).toBe(1)
    expect(bernoulliUpper(10, 10, 0.05)).toBe(1)
  })

  it("has a lower bound that is zero for zero events only", () => {
    expect(bernoulliLower(0, 100, 0.05)).toBe(0)
    expect(bernoulliLower(1, 1e5, 0.05)).toBeGreaterThan(0)
    expect(bernoulliLower(1, 1e5, 0.05)).toBeLessThan(1e-5)
    expect(bernoulliLower(50, 50, 0.05)).toBeGreaterThan(0.85)
  })

  vectors<{ x: number; n: number; alpha: number; upper: number }>("stats-bernoulli.json", "bernoulliUpper", (cases) => {
    for (const c of cases) {
      expect(relativeError(bernoulliUpper(c.x, c.n, c.alpha), c.upper), JSON.stringify(c)).toBeLessThan(1e-6)
    }
  })
})
