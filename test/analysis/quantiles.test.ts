import { describe, expect, it } from "vitest"
import {
  exceedances,
  msAt,
  openHistogram,
  positionOf,
  quantilePosition,
  readHistogram,
  type Histogram,
} from "../../src/analysis/histogram.js"
import { judge } from "../../src/analysis/judge.js"
import { logE } from "../../src/analysis/mixture.js"
import { latencyDelta, pairedLatencyDelta } from "../../src/analysis/quantiles.js"
import { rateDelta } from "../../src/analysis/rates.js"
import { binLowerMs, binOf } from "../../src/evidence/histogram.js"
import { BINS, COHORTS, binIndex } from "../../src/model/evidence.js"
import { addTo, alike, enforce, input, on, serve, uniforms, type World } from "./traffic.js"
import { relativeError, vectors } from "./vectors.js"

/** Both arms of one latency array from durations in ms, dealt to the cohorts in turn. */
function histograms(stable: readonly number[], canary: readonly number[]): [Histogram, Histogram] {
  const data = new Uint32Array(2 * COHORTS * BINS)
  stable.forEach((ms, i) => (data[binIndex(0, i % COHORTS, binOf(ms))]! += 1))
  canary.forEach((ms, i) => (data[binIndex(1, i % COHORTS, binOf(ms))]! += 1))
  const dealt = (durations: readonly number[]): number[] => {
    const totals = Array.from({ length: COHORTS }, () => 0)
    durations.forEach((_, i) => (totals[i % COHORTS]! += 1))
    return totals
  }
  return [readHistogram(data, 0, dealt(stable), "test"), readHistogram(data, 1, dealt(canary), "test")]
}

const ramp = (count: number, from: number, to: number): number[] =>
  Array.from({ length: count }, (_, i) => from + ((to - from) * ((i * 7919) % count)) / count)

function excess(stable: readonly number[], canary: readonly number[], maxMs: number) {
  const [s, c] = histograms(stable, canary)
  return latencyDelta({ histogram: s, sessions: 500 }, { histogram: c, sessions: 500 }, maxMs)
}

describe("histograms", () => {
  it("use the bins in which evidence is recorded", () => {
    for (const ms of [0.002, 0.1, 1, 7.3, 160, 63_000]) {
      const bin = binOf(ms)
      expect(Math.floor(positionOf(ms) + 1e-9)).toBe(bin)
      expect(relativeError(msAt(bin), binLowerMs(bin))).toBeLessThan(1e-12)
    }
    expect(positionOf(0)).toBe(0)
  })

  it("interpolate a quantile to a bin's width", () => {
    const [stable] = histograms(ramp(20_000, 10, 110), [])
    for (const p of [0.5, 0.9, 0.99]) {
      expect(relativeError(msAt(quantilePosition([stable], p)), 10 + 100 * p)).toBeLessThan(0.001)
    }
  })

  it("count what is above a position, splitting its bin", () => {
    const [stable] = histograms([1, 1, 1, 1, 2, 4], [])
    const sum = (position: number): number => exceedances(stable, position).reduce((a, b) => a + b, 0)
    expect(quantilePosition([stable], 0.5)).toBeCloseTo(binOf(1) + 0.75, 9)
    expect(sum(binOf(1))).toBe(6)
    expect(sum(binOf(1) + 0.25)).toBe(5)
    expect(sum(binOf(1) + 1)).toBe(2)
    expect(sum(binOf(4) + 1)).toBe(0)
    expect(sum(BINS)).toBe(0)
  })

  it("count what is in the overflow bin and in rows of every length", () => {
    const [stable] = histograms([1e9, 0.0000001, 63_500], [])
    expect([0, 1, BINS - 3, BINS - 2, BINS - 1, BINS].map(stable.at)).toEqual([1, 0, 0, 1, 1, 0])
    expect(exceedances(stable, 0.25).slice(0, 4)).toEqual([1, 0.75, 1, 0])
  })

  it("read as far down as they are asked, in whatever order", () => {
    const durations = ramp(500, 1, 300)
    const [once] = histograms(durations, [])
    const [twice] = histograms(durations, [])
    const below = exceedances(once, binOf(2))
    expect(twice.last(binOf(299))).toBe(binOf(Math.max(...durations)))
    expect(twice.last(BINS - 1)).toBe(BINS - 2)
    expect(exceedances(twice, binOf(200)).reduce((a, b) => a + b, 0)).toBeLessThan(200)
    expect(exceedances(twice, binOf(2))).toEqual(below)
    expect(below.reduce((a, b) => a + b, 0)).toBe(durations.filter((ms) => binOf(ms) >= binOf(2)).length)
  })

  it("have one quantile together", () => {
    const [low, high] = histograms(ramp(900, 1, 2), ramp(100, 50, 60))
    const together = msAt(quantilePosition([low, high], 0.95))
    expect(relativeError(together, 55)).toBeLessThan(0.03)
    expect(quantilePosition([], 0.5)).toBe(0)
    const [, empty] = histograms([1], [])
    expect(quantilePosition([empty], 0.5)).toBe(BINS)
  })
})

describe("latency", () => {
  const calm = ramp(6400, 5, 25)

  it("makes stable's share of slow calls exactly one in a hundred, also when most durations are alike", () => {
    for (const durations of [calm, calm.map(() => 10)]) {
      const [stable] = histograms(durations, [])
      const slow = exceedances(stable, quantilePosition([stable], 0.99)).reduce((a, b) => a + b, 0)
      expect(slow).toBeCloseTo(64, 6)
    }
  })

  it("has the true excess between its two roundings", () => {
    const slower = calm.map((ms, i) => (i % 50 === 0 ? ms + 60 : ms))
    const { worse, within } = excess(calm, slower, 20)
    expect(worse.estimate).toBeCloseTo(0.02 - 0.01, 3)
    expect(worse.estimate).toBeLessThanOrEqual(within.estimate)
  })

  it("takes a limit finer than the bins neither for breached nor for met", () => {
    // All of canary is 0.5 % slower than all of stable, and the limit is 0.3 %: bins are 2.2 % wide.
    const { worse, within } = excess(
      calm.map(() => 100),
      calm.map(() => 100.5),
      0.3,
    )
    expect(worse.estimate).toBeCloseTo(-0.01, 9)
    expect(within.estimate).toBeCloseTo(0.99, 9)
  })

  it("knows nothing beyond the overflow bin", () => {
    const endless = calm.map(() => 100_000)
    const { worse, within } = excess(endless, endless, 50)
    expect(worse.estimate).toBeCloseTo(-0.01, 9)
    expect(within.estimate).toBeCloseTo(0.99, 9)
    const slow = excess(calm, endless, 50)
    expect(slow.worse.estimate).toBeCloseTo(0.99, 9)
    const beyond = excess(calm, endless, 200_000)
    expect(beyond.worse.estimate).toBeCloseTo(-0.01, 9)
    expect(beyond.within.estimate).toBeCloseTo(0.99, 9)
  })

  it("uses the pairing: what is slow in both arms is no noise, and a variance stays where nothing differs", () => {
    const [stable, canary] = histograms(
      calm,
      calm.map((ms) => ms + 30),
    )
    const { worse } = pairedLatencyDelta(stable, canary, 640, 10)
    expect(worse.estimate).toBeGreaterThan(0.2)
    const same = pairedLatencyDelta(stable, stable, 640, 10)
    expect(same.within.estimate).toBeCloseTo(-0.01, 3)
    expect(same.worse.variance).toBeGreaterThan(0)
    // 64 of stable's calls are slow and no call of the canary is slower than that by 10 ms: 64 discordant calls.
    expect(same.within.variance).toBeGreaterThanOrEqual(64 / 6400 ** 2)
    expect(same.within.variance).toBeLessThan((3 * 64) / 6400 ** 2)
    const equal = pairedLatencyDelta(stable, stable, 640, 0)
    expect(equal.worse.variance).toBeGreaterThan(0)
  })

  const world = (over: Partial<World>): World => ({
    sessions: 3000,
    weightBp: 5000,
    random: uniforms(3),
    stable: () => "allow",
    canary: alike,
    ...over,
  })
  const p99 = enforce("latency_p99_delta_max", 20)

  it("breaches on a slower tail and shows the milliseconds", () => {
    const tail = (random: () => number): number => (random() < 0.05 ? 200 : 5 + 10 * random())
    for (const shadow of [false, true]) {
      const strata = [serve(world({ canaryMs: tail, shadow }))]
      const verdict = judge(input([p99], strata, { weights: [5000], shadow }))
      expect(verdict).toMatchObject({ result: "breach", cause: "latency_p99_delta_max" })
      const latency = on(verdict, "latency_p99_delta_max")
      expect(latency).toMatchObject({ unit: "ms", max: 20, method: shadow ? "pairs" : "arms" })
      expect(latency.estimate).toBeCloseTo(0.04, 2)
      expect(latency.quantiles?.stableMs).toBeCloseTo(14.9, 0)
      expect(relativeError(latency.quantiles?.canaryMs ?? NaN, 200)).toBeLessThan(0.03)
      expect(latency.reason).toMatch(/20 ms slower/)
    }
  })

  it("passes equal releases on pairs", () => {
    expect(judge(input([p99], [serve(world({ shadow: true }))], { weights: [5000], shadow: true })).result).toBe("pass")
  })

  it("waits for 1,000 durations of stable and 50 of the canary", () => {
    const noData = (sessions: number, weightBp: number) =>
      on(judge(input([p99], [serve(world({ sessions, weightBp }))], { weights: [weightBp] })), "latency_p99_delta_max")
        .noData
    expect(noData(120, 2000)).toBe("insufficient")
    expect(noData(600, 2000)).toBeUndefined()
    expect(noData(600, 50)).toBe("insufficient")
    expect(noData(600, 9000)).toBe("insufficient")
    const few = (durations: number) => {
      const stratum = serve(world({ sessions: 600, weightBp: 0 }))
      for (let i = 0; i < durations; i++) {
        addTo(stratum, 1, i, { evaluations: 1, allow: 1, sessions: 1 })
        stratum.latency[binIndex(1, i, binOf(10))]! += 1
      }
      return on(judge(input([p99], [stratum])), "latency_p99_delta_max").noData
    }
    expect(few(49)).toBe("insufficient")
    expect(few(50)).toBeUndefined()
  })

  type Exceedance = {
    gamma: number
    p: number
    deltaMax: number
    canary: { hist: [number, number][][]; sessions: number }
    stable: { hist: [number, number][][]; sessions: number }
    qStable: number
    threshold: number
    est: number
    se: number
    deff: number
    tau: number
    logEWorse: number
    logEWithin: number
  }
  vectors<Exceedance>("stats-quantile-exceedance.json", "quantileDelta", (cases) => {
    for (const c of cases) {
      // The file has other bins (γ = 1.02 from `origin` on, 32 cohorts) and interpolates both thresholds.
      const origin = 400
      const read = (rows: [number, number][][]): Histogram => {
        const bins = 1000
        const data = new Uint32Array(rows.length * bins)
        rows.forEach((row, k) => row.forEach(([bin, n]) => (data[k * bins + origin + bin]! += n)))
        return openHistogram(
          data,
          0,
          bins,
          rows.map((row) => row.reduce((sum, [, n]) => sum + n, 0)),
        )
      }
      const [stable, canary] = [read(c.stable.hist), read(c.canary.hist)]
      const quantile = quantilePosition([stable], c.p)
      expect(relativeError(c.gamma ** (quantile - origin), c.qStable)).toBeLessThan(1e-9)
      const threshold = origin + Math.log(c.qStable + c.deltaMax) / Math.log(c.gamma)
      const delta = rateDelta(
        { events: exceedances(stable, quantile), trials: stable.totals, sessions: c.stable.sessions },
        { events: exceedances(canary, threshold), trials: canary.totals, sessions: c.canary.sessions },
        0,
        1 - c.p,
      )
      expect(relativeError(delta.estimate, c.est)).toBeLessThan(1e-6)
      expect(relativeError(Math.sqrt(delta.variance), c.se)).toBeLessThan(1e-6)
      expect(relativeError(delta.deff, c.deff)).toBeLessThan(1e-6)
      const [v, rho] = [1 / delta.variance, 1 / (c.tau * c.tau)]
      expect(relativeError(logE(delta.estimate * v, v, rho), c.logEWorse)).toBeLessThan(1e-6)
      expect(relativeError(logE(-delta.estimate * v, v, rho), c.logEWithin)).toBeLessThan(1e-6)
    }
  })
})
