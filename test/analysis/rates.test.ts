import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { logE, lower, upper } from "../../src/analysis/mixture.js"
import { pairedDelta } from "../../src/analysis/pairs.js"
import {
  clusteredDeff,
  clusterVariance,
  designEffect,
  kish,
  ownDeff,
  rateAgainst,
  rateDelta,
  type Tally,
} from "../../src/analysis/rates.js"
import { lateStart, logEWithin, logEWorse, lookAt, pool, startMixture, type Look } from "../../src/analysis/strata.js"
import { relativeError, vectors } from "./vectors.js"

type Arm = { x: number[]; n: number[]; sessions: number }
type Bounds = Record<string, { lower: number; upper: number; logEWorse: number; logEWithin: number }>
/** A tally whose rows can be mapped. */
type Rows = Tally & { readonly events: Float64Array; readonly trials: Float64Array }
const tally = (arm: Arm): Tally => ({
  events: Float64Array.from(arm.x),
  trials: Float64Array.from(arm.n),
  sessions: arm.sessions,
})

function expectBounds(estimate: number, variance: number, deltaMax: number, tau: number, bounds: Bounds): void {
  const v = 1 / variance
  const rho = 1 / (tau * tau)
  for (const [alpha, expected] of Object.entries(bounds)) {
    const score = (estimate - deltaMax) * v
    expect(relativeError(lower(estimate, v, Number(alpha), rho), expected.lower)).toBeLessThan(1e-6)
    expect(relativeError(upper(estimate, v, Number(alpha), rho), expected.upper)).toBeLessThan(1e-6)
    expect(relativeError(logE(score, v, rho), expected.logEWorse)).toBeLessThan(1e-6)
    expect(relativeError(logE(-score, v, rho), expected.logEWithin)).toBeLessThan(1e-6)
  }
}

const cohorts = fc.array(
  fc.record({ trials: fc.integer({ min: 0, max: 60 }), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  { minLength: 64, maxLength: 64 },
)
const arms = cohorts.map((rows): Rows => {
  const trials = Float64Array.from(rows, (row, k) => (k < 2 ? row.trials + 1 : row.trials))
  const events = trials.map((n, k) => Math.floor(n * (rows[k]?.share ?? 0)))
  return { events, trials, sessions: Math.max(1, Math.round(trials.reduce((a, b) => a + b, 0) / 5)) }
})

describe("rates", () => {
  it("compares rates, not counts", () => {
    const stable = { events: new Float64Array(64).fill(3), trials: new Float64Array(64).fill(30), sessions: 640 }
    const canary = { events: new Float64Array(64).fill(1), trials: new Float64Array(64).fill(5), sessions: 64 }
    expect(rateDelta(stable, canary, 0.02).estimate).toBeCloseTo(0.1, 12)
  })

  it("keeps a variance where nothing happened at all", () => {
    const nothing = { events: new Float64Array(64), trials: new Float64Array(64).fill(1), sessions: 20 }
    const { canaryVariance } = rateDelta(nothing, nothing, 0.01)
    // At the limit the canary would fail one call in a hundred more: that is the noise to beat.
    expect(canaryVariance).toBeGreaterThan((0.01 * 0.99) / 64)
  })

  it("takes calls that go their own ways for independent", () => {
    const trials = new Float64Array(64).fill(40)
    const events = trials.map((_, k) => 2 + (k % 3))
    expect(designEffect({ events, trials, sessions: 2560 })).toBe(1)
    expect(designEffect({ events: trials.map((n, k) => (k % 16 === 0 ? n : 0)), trials, sessions: 64 })).toBeCloseTo(
      40 * (64 / 63),
      9,
    )
  })

  it("knows no variance of a single cohort", () => {
    const trials = new Float64Array(64)
    trials[7] = 12
    expect(clusterVariance(new Float64Array(64), trials)).toBe(Infinity)
    expect(
      lookAt(rateDelta({ events: trials, trials, sessions: 3 }, { events: trials, trials, sessions: 3 }, 0), 0),
    ).toEqual({
      score: 0,
      information: 0,
    })
  })

  it("does not depend on which cohort is which", () => {
    fc.assert(
      fc.property(arms, arms, fc.integer({ min: 1, max: 63 }), (stable, canary, by) => {
        const turn = (a: Float64Array): Float64Array => Float64Array.from([...a.subarray(by), ...a.subarray(0, by)])
        const turned = (t: Rows): Tally => ({ ...t, events: turn(t.events), trials: turn(t.trials) })
        const before = rateDelta(stable, canary, 0.02)
        const after = rateDelta(turned(stable), turned(canary), 0.02)
        expect(relativeError(after.variance, before.variance)).toBeLessThan(1e-9)
        expect(after.estimate).toBeCloseTo(before.estimate, 12)
      }),
    )
  })

  it("agrees with the merge of what two processes counted, in either order", () => {
    fc.assert(
      fc.property(arms, arms, arms, (a, b, canary) => {
        const merge = (x: Rows, y: Rows): Tally => ({
          events: x.events.map((v, k) => v + (y.events[k] ?? 0)),
          trials: x.trials.map((v, k) => v + (y.trials[k] ?? 0)),
          sessions: x.sessions + y.sessions,
        })
        expect(rateDelta(merge(a, b), canary, 0.02)).toEqual(rateDelta(merge(b, a), canary, 0.02))
      }),
    )
  })

  it("gets more evidence of harm from more harm", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -0.5, max: 0.5, noNaN: true }),
        fc.double({ min: 1e-7, max: 1e-2, noNaN: true }),
        (estimate, variance) => {
          const at = (shift: number) => [lookAt({ estimate: estimate + shift, variance, deff: 1 }, 0.02)]
          expect(logEWorse(at(0.001), 2500)).toBeGreaterThanOrEqual(logEWorse(at(0), 2500))
          expect(logEWithin(at(0.001), 2500)).toBeLessThanOrEqual(logEWithin(at(0), 2500))
        },
      ),
    )
  })

  it("bounds one arm against an absolute limit", () => {
    const canary = { events: new Float64Array(64).fill(1), trials: new Float64Array(64).fill(20), sessions: 128 }
    const { estimate, variance } = rateAgainst(canary, 0.02, canary)
    expect(estimate).toBeCloseTo(0.05, 12)
    expect(variance).toBeGreaterThanOrEqual((0.02 * 0.98) / 1280)
    expect(rateAgainst({ ...canary, events: canary.trials }, 1, canary).variance).toBeGreaterThan(0)
  })

  it("pools identical halves to the whole, but for small-sample and floor terms", () => {
    fc.assert(
      fc.property(arms, arms, (stable, canary) => {
        const double = (t: Rows): Tally => ({
          events: t.events.map((x) => 2 * x),
          trials: t.trials.map((x) => 2 * x),
          sessions: 2 * t.sessions,
        })
        // Both halves use the same cohorts, so no small-sample term differs: below the floors' own, pooling adds no noise.
        const one = lookAt(rateDelta(stable, canary, 0.02), 0.02)
        const halves = pool([one, one])
        const whole = rateDelta(double(stable), double(canary), 0.02)
        expect(0.02 + halves.score / halves.information).toBeCloseTo(whole.estimate, 9)
        const raw = clusterVariance(stable.events, stable.trials) + clusterVariance(canary.events, canary.trials)
        expect(1 / halves.information).toBeGreaterThanOrEqual(raw / 2 - 1e-15)
      }),
    )
  })

  type Ratio = {
    canary: Arm
    stable: Arm
    deltaMax: number
    tau: number
    est: number
    se: number
    varCanary: number
    varStable: number
    rawVarCanary: number
    rawVarStable: number
    deff: number
    kishStable: number
    bounds: Bounds
  }
  vectors<Ratio>("stats-ratio-buckets.json", "ratioDelta", (cases) => {
    for (const c of cases) {
      const stable = tally(c.stable)
      const canary = tally(c.canary)
      const delta = rateDelta(stable, canary, c.deltaMax)
      const checks: [number, number][] = [
        [delta.estimate, c.est],
        [Math.sqrt(delta.variance), c.se],
        [delta.canaryVariance, c.varCanary],
        [delta.stableVariance, c.varStable],
        [clusterVariance(canary.events, canary.trials), c.rawVarCanary],
        [clusterVariance(stable.events, stable.trials), c.rawVarStable],
        [designEffect(stable), c.deff],
        [kish(stable), c.kishStable],
      ]
      for (const [actual, expected] of checks) expect(relativeError(actual, expected)).toBeLessThan(1e-6)
      expectBounds(delta.estimate, delta.variance, c.deltaMax, c.tau, c.bounds)
    }
  })

  type Pairs = {
    plus: number[]
    minus: number[]
    stable: number[]
    n: number[]
    sessions: number
    deltaMax: number
    tau: number
    est: number
    se: number
    deff: number
    bounds: Bounds
  }
  vectors<Pairs>("stats-paired-shadow.json", "pairedDelta", (cases) => {
    for (const c of cases) {
      const delta = pairedDelta(
        {
          plus: Float64Array.from(c.plus),
          minus: Float64Array.from(c.minus),
          stable: Float64Array.from(c.stable),
          trials: Float64Array.from(c.n),
          sessions: c.sessions,
        },
        c.deltaMax,
      )
      expect(relativeError(delta.estimate, c.est)).toBeLessThan(1e-6)
      expect(relativeError(Math.sqrt(delta.variance), c.se)).toBeLessThan(1e-6)
      expect(relativeError(delta.deff, c.deff)).toBeLessThan(1e-6)
      expectBounds(delta.estimate, delta.variance, c.deltaMax, c.tau, c.bounds)
    }
  })
})

describe("small tallies, worked out by hand", () => {
  const flat = (events: number, trials: number, sessions: number): Tally => ({
    events: Array.from({ length: 64 }, () => events),
    trials: Array.from({ length: 64 }, () => trials),
    sessions,
  })
  const two = (events: readonly [number, number], trials: readonly [number, number], sessions: number): Tally => ({
    events,
    trials,
    sessions,
  })

  it("have a variance from two cohorts on", () => {
    // 2/1 · (1² + 1²) / 20², at a rate of 0.3.
    expect(clusterVariance([2, 4], [10, 10])).toBeCloseTo(0.01, 15)
    expect(clusterVariance([2, 4, 0], [10, 10, 0])).toBeCloseTo(0.01, 15)
    expect(clusterVariance([2, 0], [10, 0])).toBe(Infinity)
  })

  it("have sessions of at least one call, and at least one session", () => {
    expect(kish(flat(0, 10, 64))).toBe(10)
    expect(kish(flat(0, 1, 128))).toBe(1)
    expect(kish(flat(0, 10, 1))).toBe(640)
    expect(kish(flat(0, 10, 0))).toBe(640)
  })

  it("tell their own design effect from ten events and ten others on", () => {
    // All events in one of two cohorts: 2 · (5² + 5²) / 20² · 20 / ¼.
    expect(designEffect(two([10, 0], [10, 10], 20))).toBeCloseTo(20, 12)
    expect(designEffect(two([9, 0], [10, 10], 20))).toBe(1)
    expect(designEffect(two([10, 1], [10, 10], 20))).toBe(1)
  })

  it("cluster by the prior where sessions are more than single calls, and not at all where they are not", () => {
    expect(clusteredDeff(flat(0, 10, 640))).toBe(1)
    expect(clusteredDeff(flat(0, 3, 128))).toBeCloseTo(1.05, 12)
  })

  it("have the larger binomial variance of stable's rate and the limit's", () => {
    // No cohort differs from another: the floor alone is left. Stable's rate is smoothed, 576½ of 641.
    const arm = flat(9, 10, 640)
    const rate = 576.5 / 641
    expect(rateDelta(arm, arm, 0.2).canaryVariance).toBeCloseTo((rate * (1 - rate)) / 640, 15)
    expect(rateDelta(arm, arm, 0.05).canaryVariance).toBeCloseTo((rate * (1 - rate)) / 640, 15)
    const rare = flat(1, 10, 640)
    const boundary = 64.5 / 641 + 0.05
    expect(rateDelta(rare, rare, 0.05).canaryVariance).toBeCloseTo((boundary * (1 - boundary)) / 640, 15)
  })

  it("count what is counted more than once a trial as every trial", () => {
    const alerts = flat(20, 10, 640)
    expect(rateDelta(alerts, alerts, 0.01).stableVariance).toBeCloseTo((640.5 * 0.5) / 641 ** 2 / 640, 15)
  })

  it("have the variance of one event where the limit itself has none", () => {
    expect(rateAgainst(flat(1, 20, 1280), 0.02, flat(1, 20, 1280)).variance).toBeCloseTo((0.02 * 0.98) / 1280, 15)
    expect(rateAgainst(flat(20, 20, 1280), 1, flat(20, 20, 1280)).variance).toBeCloseTo(1 / 1281 / 1280, 15)
    const none = Array.from({ length: 64 }, () => 0)
    const pairs = { plus: none, minus: none, stable: none, trials: flat(0, 10, 0).trials, sessions: 640 }
    expect(pairedDelta(pairs, 0).variance).toBeCloseTo(1 / 641 / 640, 15)
  })

  it("keep the prior where outcomes have no variance, and mix it in from ten of either kind on", () => {
    const sizes = { trials: 1000, cohorts: 64 }
    expect(ownDeff({ variance: 0, binomial: 0 }, { ...sizes, events: 500 }, 3)).toBe(3)
    expect(ownDeff({ variance: 1e-5, binomial: 0 }, { ...sizes, events: 500 }, 3)).toBe(3)
    const spread = { variance: 1e-5, binomial: 0.01 }
    expect(ownDeff(spread, { ...sizes, events: 990 }, 3)).toBeCloseTo((10 * 3 + 63) / 73, 12)
  })
})

const logEOf = ({ score, information }: Look, rho: number): number => logE(score, information, rho)

describe("strata", () => {
  it("give half of the weight to harm from the very first call, and are an average at most", () => {
    expect(lateStart([])).toBe(0)
    // ½·E + ½·(½·E + ½) of one stratum; of three, what starts later counts as well.
    expect(lateStart([Math.log(100)])).toBeCloseTo(Math.log(75.25), 12)
    expect(lateStart([0, 0, 0])).toBeCloseTo(0, 12)
    expect(lateStart([-50, -50, Math.log(2400)])).toBeCloseTo(Math.log(2400 / 24 + 1 / 8), 9)
  })

  it("says nothing before the first stratum, and nothing from empty ones", () => {
    expect(startMixture([])).toBe(0)
    expect(
      logEWorse(
        [
          { score: 0, information: 0 },
          { score: 0, information: 0 },
        ],
        2500,
      ),
    ).toBeCloseTo(0, 12)
  })

  it("hears a regression that starts late in spite of what was good before", () => {
    const good = { score: -0.02 * 1e6, information: 1e6 }
    const bad = { score: 0.03 * 1e5, information: 1e5 }
    expect(logEWorse([good, bad], 2500)).toBeGreaterThan(Math.log(20))
    expect(startMixture([logEWorse([pool([good, bad])], 2500)])).toBeLessThan(Math.log(20))
  })

  type Epochs = {
    epochs: { est: number; se: number }[]
    deltaMax: number
    tau: number
    est: number
    se: number
    alpha: number
    lower: number
    upper: number
    logEWithin: number
    logEWorse: number
    logEStartMix: number
  }
  vectors<Epochs>("stats-epochs.json", "epochs", (cases) => {
    for (const c of cases) {
      const looks = c.epochs.map((e) => lookAt({ estimate: e.est, variance: e.se * e.se, deff: 1 }, c.deltaMax))
      const rho = 1 / (c.tau * c.tau)
      const { score, information } = pool(looks)
      const estimate = c.deltaMax + score / information
      const checks: [number, number][] = [
        [estimate, c.est],
        [1 / Math.sqrt(information), c.se],
        [lower(estimate, information, c.alpha, rho), c.lower],
        [upper(estimate, information, c.alpha, rho), c.upper],
        [logE(score, information, rho), c.logEWorse],
        [logEWithin(looks, rho), c.logEWithin],
        [startMixture(looks.map((_, from) => logEOf(pool(looks.slice(from)), rho))), c.logEStartMix],
      ]
      for (const [actual, expected] of checks) expect(relativeError(actual, expected)).toBeLessThan(1e-6)
    }
  })
})
