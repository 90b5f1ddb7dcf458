import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  msAt,
  openHistogram,
  positionOf,
  quantilePosition,
  readHistogram,
  type Histogram,
} from "../../src/analysis/histogram.js"
import { judge } from "../../src/analysis/judge.js"
import { logE } from "../../src/analysis/mixture.js"
import { FASTER, SLOWER, latencyDelta, pairedLatency } from "../../src/analysis/quantiles.js"
import { rateDelta } from "../../src/analysis/rates.js"
import { leastExcess, pooledLogE, type Wager } from "../../src/analysis/wager.js"
import { binLowerMs, binOf } from "../../src/evidence/histogram.js"
import { joinRanges, rangesFor } from "../../src/evidence/ranges.js"
import { BINS, COHORTS, binIndex } from "../../src/model/evidence.js"
import { runs } from "../runs.js"
import { addTo, alike, enforce, input, on, serve, uniforms, type World } from "./traffic.js"
import { relativeError, vectors } from "./vectors.js"

/** Both arms of one latency array from durations in ms, dealt to the cohorts in turn. */
function histograms(
  stable: readonly number[],
  canary: readonly number[],
  ranges: ReturnType<typeof rangesFor> = [],
): [Histogram, Histogram] {
  const data = new Uint32Array(2 * COHORTS * BINS)
  const bin = (ms: number): number => {
    const exact = binOf(ms)
    return (ranges.find(([from, to]) => from <= exact && exact < to)?.[1] ?? exact + 1) - 1
  }
  stable.forEach((ms, i) => (data[binIndex(0, i % COHORTS, bin(ms))]! += 1))
  canary.forEach((ms, i) => (data[binIndex(1, i % COHORTS, bin(ms))]! += 1))
  const dealt = (durations: readonly number[]): number[] => {
    const totals = Array.from({ length: COHORTS }, () => 0)
    durations.forEach((_, i) => (totals[i % COHORTS]! += 1))
    return totals
  }
  const coarse = joinRanges(ranges)
  return [readHistogram(data, 0, dealt(stable), "test", coarse), readHistogram(data, 1, dealt(canary), "test", coarse)]
}

const ramp = (count: number, from: number, to: number): number[] =>
  Array.from({ length: count }, (_, i) => from + ((to - from) * ((i * 7919) % count)) / count)

function excess(stable: readonly number[], canary: readonly number[], maxMs: number) {
  const [s, c] = histograms(stable, canary)
  return latencyDelta({ histogram: s, sessions: 500 }, { histogram: c, sessions: 500 }, maxMs)
}

/** What the ranges of a limit leave of the answers of bins. */
describe("ranges of bins", () => {
  const times = fc.array(fc.double({ min: 0.001, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 200 })
  const limits = fc.constantFrom(0, 0.5, 5, 50, 1000)

  it("cover all bins, each a quarter of the limit or a bin more than 1/32 of a duration wide at most", () => {
    for (const limit of [0, 0.1, 5, 50, 1000, 60_000]) {
      const ranges = rangesFor(limit)
      expect(ranges.map(([from]) => from)).toEqual([0, ...ranges.slice(0, -1).map(([, to]) => to)])
      expect(ranges.at(-1)).toEqual([BINS - 1, BINS])
      for (const [from, to] of ranges.slice(0, -1)) {
        const width = binLowerMs(to - 1) - binLowerMs(from)
        expect(width).toBeLessThan(Math.max(limit / 4, binLowerMs(from) / 32))
      }
    }
  })

  it("join where they overlap, and are none where they are a bin wide", () => {
    expect(
      joinRanges([
        [7, 9],
        [0, 3],
        [9, 10],
        [2, 4],
        [4, 6],
        [0, 3],
      ]),
    ).toEqual([
      [0, 4],
      [4, 6],
      [7, 9],
    ])
  })

  it("say less than bins on either side, and never the contrary", () => {
    fc.assert(
      fc.property(times, times, limits, limits, (stable, canary, maxMs, limit) => {
        const compare = ([s, c]: [Histogram, Histogram]) => {
          const served = latencyDelta({ histogram: s, sessions: 9 }, { histogram: c, sessions: 9 }, maxMs)
          return [served.worse.estimate, served.within.estimate] as const
        }
        const [worse, within] = compare(histograms(stable, canary))
        const [coarseWorse, coarseWithin] = compare(histograms(stable, canary, rangesFor(limit)))
        expect(coarseWorse).toBeLessThanOrEqual(worse + 1e-12)
        expect(coarseWithin).toBeGreaterThanOrEqual(within - 1e-12)
      }),
      { numRuns: runs(40) },
    )
  })

  it("of a limit resolve it: half the limit passes beside it, and twice the limit is beyond it", () => {
    const stable = ramp(4000, 1, 100)
    const slower = (ms: number): number[] => stable.map((duration) => duration + ms)
    const compare = (canary: number[]) => {
      const [s, c] = histograms(stable, canary, rangesFor(40))
      return latencyDelta({ histogram: s, sessions: 500 }, { histogram: c, sessions: 500 }, 40)
    }
    expect(compare(slower(10)).within.estimate).toBeLessThan(0)
    expect(compare(slower(90)).worse.estimate).toBeGreaterThan(0)
  })
})

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
    const sum = (position: number): number => stable.exceedances(position).reduce((a, b) => a + b, 0)
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
    expect(stable.exceedances(0.25).slice(0, 4)).toEqual([1, 0.75, 1, 0])
  })

  it("read as far down as they are asked, in whatever order", () => {
    const durations = ramp(500, 1, 300)
    const [once] = histograms(durations, [])
    const [twice] = histograms(durations, [])
    const below = once.exceedances(binOf(2))
    expect(twice.end).toBe(binOf(Math.max(...durations)) + 1)
    expect(twice.exceedances(binOf(200)).reduce((a, b) => a + b, 0)).toBeLessThan(200)
    expect(twice.exceedances(binOf(2))).toEqual(below)
    expect(below.reduce((a, b) => a + b, 0)).toBe(durations.filter((ms) => binOf(ms) >= binOf(2)).length)
  })

  it("count every bin of every cohort, wherever the array begins and ends", () => {
    // 200 bins of three cohorts from the seventh cell on, among counts of others.
    const [bins, offset, cohorts] = [200, 7, 3]
    const filled = [0, 1, 7, 8, 15, 16, 17, 63, 64, 127, 128, 150, 190]
    for (const upTo of [0, 1, 17, 128, 190, 191]) {
      const data = new Uint32Array(offset + cohorts * bins + 9).fill(1000)
      data.fill(0, offset, offset + cohorts * bins)
      filled.forEach((bin, i) => bin < upTo && (data[offset + bin * cohorts + (i % cohorts)] = i + 1))
      const read = (cohort: number, bin: number): number => data[offset + bin * cohorts + cohort]!
      const all = Array.from({ length: bins }, (_, bin) => read(0, bin) + read(1, bin) + read(2, bin))
      const open = (): Histogram => openHistogram(data, offset, bins, [1, 1, 1])
      expect(open().end).toBe(Math.max(0, ...filled.filter((bin) => bin < upTo).map((bin) => bin + 1)))
      const once = open()
      expect(all.map((_, bin) => once.at(bins - 1 - bin))).toEqual(all.toReversed())
      expect(once.at(bins)).toBe(0)
      for (const bin of [0, 64, 1, 15, 100, 16, 63, 189, 199, 190, 191]) {
        expect(open().at(bin)).toBe(all[bin])
        const above = (cohort: number, from: number): number =>
          Array.from({ length: Math.max(0, bins - from) }, (_, i) => read(cohort, from + i)).reduce((a, b) => a + b, 0)
        const split = [0, 1, 2].map((c) => read(c, bin) / 4 + above(c, bin + 1))
        expect(open().exceedances(bin + 0.75)).toEqual(split)
        // Whatever was asked before, above it or below.
        expect(once.exceedances(bin + 0.75)).toEqual(split)
        expect(once.above(bin)).toEqual([0, 1, 2].map((c) => above(c, bin)))
        expect(once.reached()).toBe(Math.min(bin, once.end))
      }
    }
    // Without a single evaluation nothing is read.
    expect(openHistogram(new Uint32Array(400).fill(1), 0, 200, [0, 0]).end).toBe(0)
  })

  it("are of one arm and of the length that evidence has", () => {
    const data = new Uint32Array(2 * COHORTS * BINS)
    data[binIndex(0, 63, BINS - 1)] = 3
    data[binIndex(1, 0, 0)] = 5
    const totals = Array.from({ length: COHORTS }, () => 1)
    expect(readHistogram(data, 0, totals, "test").at(BINS - 1)).toBe(3)
    expect(readHistogram(data, 0, totals, "test").at(0)).toBe(0)
    expect(readHistogram(data, 1, totals, "test").at(0)).toBe(5)
    expect(readHistogram(data, 1, totals, "test").at(BINS - 1)).toBe(0)
    for (const length of [data.length - 1, data.length + 1]) {
      expect(() => readHistogram(new Uint32Array(length), 0, totals, "here")).toThrow(
        `evidence.here: must have ${data.length}`,
      )
    }
  })

  it("know where durations are from a nanosecond to hours", () => {
    // 2^-20 s is position 0; 32 bins to each doubling.
    expect(positionOf(1000 / 2 ** 20)).toBeCloseTo(0, 9)
    expect(positionOf(1000)).toBeCloseTo(640, 9)
    expect(positionOf(4_000_000)).toBeCloseTo(640 + 32 * Math.log2(4000), 9)
    expect(positionOf(1e-6)).toBe(0)
    expect(msAt(640)).toBeCloseTo(1000, 9)
    expect(msAt(672)).toBeCloseTo(2000, 9)
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
      const slow = stable.exceedances(quantilePosition([stable], 0.99)).reduce((a, b) => a + b, 0)
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

  it("rounds the threshold to whole bins, up for a breach and down for a pass", () => {
    const bin = binOf(10)
    for (const maxMs of [5, 7.3, 50]) {
      const from = binOf(10 + maxMs) - 6
      const ladder = Array.from({ length: 640 }, (_, i) => binLowerMs(from + Math.floor(i / 64)) * 1.001)
      const { worse, within } = excess(
        calm.map(() => 10),
        ladder,
        maxMs,
      )
      const share = (isSlow: (bin: number) => boolean): number => ladder.filter((ms) => isSlow(binOf(ms))).length / 640
      expect(worse.estimate).toBeCloseTo(share((k) => binLowerMs(k) >= binLowerMs(bin + 1) + maxMs) - 0.01, 9)
      expect(within.estimate).toBeCloseTo(share((k) => binLowerMs(k + 1) > binLowerMs(bin) + maxMs) - 0.01, 9)
    }
  })

  it("has the variance of a share that is known to be 1 %, and in pairs that of discordant calls and one more", () => {
    // 100 calls a cohort, of which one is slow in stable and none in the canary; each is a session of its own.
    const [stable, canary] = histograms(
      calm.map(() => 10),
      calm.map(() => 10),
    )
    const sessions = 6400
    const arms = latencyDelta({ histogram: stable, sessions }, { histogram: canary, sessions }, 5)
    expect(arms.worse.estimate).toBeCloseTo(-0.01, 12)
    expect(arms.worse.variance).toBeCloseTo((2 * 0.01 * 0.99) / 6400, 15)
    const pairs = pairedLatency(stable, canary, sessions, 5)
    expect(pairs.worse.variance).toBeCloseTo(65 / 6400 ** 2, 15)
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
    const last = excess(
      calm,
      calm.map(() => 63_500),
      200_000,
    )
    expect(last.within.estimate).toBeCloseTo(-0.01, 9)
  })

  it("uses the pairing: what is slow in both arms is no noise, and a variance stays where nothing differs", () => {
    const [stable, canary] = histograms(
      calm,
      calm.map((ms) => ms + 30),
    )
    const { worse } = pairedLatency(stable, canary, 640, 10)
    expect(worse.estimate).toBeGreaterThan(0.2)
    const same = pairedLatency(stable, stable, 640, 10)
    expect(same.within.estimate).toBeCloseTo(-0.01, 3)
    expect(same.worse.variance).toBeGreaterThan(0)
    // 64 of stable's calls are slow and no call of the canary is slower than that by 10 ms: 64 discordant calls.
    expect(same.within.variance).toBeGreaterThanOrEqual(64 / 6400 ** 2)
    expect(same.within.variance).toBeLessThan((3 * 64) / 6400 ** 2)
    const equal = pairedLatency(stable, stable, 640, 0)
    expect(equal.worse.variance).toBeGreaterThan(0)
  })

  it("bets on calls that are slow in one arm only, and on the canary's slow calls", () => {
    // 128 of 6,400 calls are at 100 ms in stable, so that half of them are above its p99; the canary has them at 40 ms, but for 32.
    const stable = calm.map((_, i) => (i % 50 === 0 ? 100 : 10))
    const canary = calm.map((_, i) => (i % 200 === 0 ? 300 : i % 50 === 0 ? 40 : 10))
    const { worse, within, wagers } = pairedLatency(...histograms(stable, canary), 640, 20)
    expect(worse.estimate).toBeCloseTo(0.005 - 0.01, 6)
    expect(within.estimate).toBeCloseTo(0.005 - 0.01, 6)
    // The canary's p99 is 300 ms, which half of its 32 slowest are above; none of stable's is above 280 ms.
    const [net, slow, netThere, slowThere] = wagers.worse as readonly Wager[]
    expect(net!.plus - net!.minus).toBeCloseTo(32 - 64, 6)
    expect(slow).toMatchObject({ plus: 32, minus: 0, trials: 6400 })
    expect(netThere!.plus - netThere!.minus).toBeCloseTo(64 - 128, 6)
    expect(slowThere).toMatchObject({ plus: 0, minus: 128, trials: 6400 })
    // No bin is cut by a limit here, so a pass has the same to bet on.
    expect(wagers.within).toEqual(
      wagers.worse.map(({ plus, minus, ...rest }) => ({ plus: minus, minus: plus, ...rest })),
    )
    for (const { bets } of [...SLOWER, ...FASTER]) {
      expect(bets?.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12)
    }
    expect(SLOWER.map(({ max }) => max)).toEqual([0, 1 - 0.99, 0, 0.99 - 1])
    expect(FASTER.map(({ max }) => max)).toEqual([0, 0.99 - 1, 0, 1 - 0.99])
  })

  it("counts slow calls that come in one lump for one, in the canary and in stable", () => {
    const even = (ms: number) => calm.map((_, i) => (i < 128 ? ms : 10))
    const lump = (ms: number) => calm.map((_, i) => (i % 64 === 5 ? ms : 10))
    const deffs = (stable: readonly number[], canary: readonly number[]): number[] =>
      pairedLatency(...histograms(stable, canary), 640, 20).wagers.worse.map(({ deff }) => deff)
    expect(Math.max(...deffs(even(100), even(300)))).toBeLessThan(2)
    // Net counts have the lump whoever made it; a share has it in its own arm, and else as a prior. First as seen from stable's p99.
    const [net, share] = deffs(even(100), lump(300))
    const [netOfStable, prior] = deffs(lump(100), even(300))
    const [, , netThere, priorThere] = deffs(even(100), lump(100))
    const [, , netOfStableThere, shareThere] = deffs(lump(100), even(100))
    for (const deff of [net, share, netOfStable, netThere, netOfStableThere, shareThere]) {
      expect(deff).toBeGreaterThan(25)
    }
    for (const deff of [prior, priorThere]) expect(deff).toBeGreaterThan(5)
  })

  it("has an upper bound that is at its limit where a pass begins", () => {
    const stake = (lost: number) => {
      const [net, few, many] = [
        { plus: 30, minus: lost },
        { plus: 0, minus: lost },
        { plus: 60, minus: 0 },
      ] as const
      const sizes = { trials: 3000, deff: 1.5 }
      return FASTER.map((game, i) => ({ game, strata: [{ ...[net, few, net, many][i]!, ...sizes }] }))
    }
    for (const lost of [0, 3, 6, 9, 12, 15, 20, 30]) {
      const stakes = stake(lost)
      const logE = Math.min(...stakes.map(({ game, strata }) => pooledLogE(strata, game)))
      expect(leastExcess(stakes, 0.05) >= -1e-9).toBe(logE >= Math.log(20))
    }
    expect(leastExcess(stake(3), 0.05)).toBeGreaterThan(0)
    expect(leastExcess(stake(20), 0.05)).toBeLessThan(0)
  })

  it("is not deceived by the error of stable's p99 where the canary's tail is far flatter and exactly at the limit", () => {
    // Both arms are slow on the same 3 % of calls. In the same order, so that an error of T shifts one arm's count and hardly the other's.
    const p99 = (spread: number, middle: number): number => middle * 3 ** -spread
    const middle = (p99(-0.35, 120) + 50) / p99(-3, 1)
    const wrong = { stopped: 0, passed: 0 }
    const runs = 40
    for (let run = 0; run < runs; run++) {
      const random = uniforms(500 + run)
      const [stable, canary]: [number[], number[]] = [[], []]
      const verdicts = new Set<string>()
      for (const calls of [2000, 4000, 8000]) {
        while (stable.length < calls) {
          // Pareto tails of slow calls, of which a third is above the p99.
          const rank = random() < 0.03 ? 1 - random() : undefined
          stable.push(rank === undefined ? 10 : 120 * rank ** -0.35)
          canary.push(rank === undefined ? 10 : middle * rank ** -3)
        }
        const { wagers } = pairedLatency(...histograms(stable, canary), calls, 50)
        const logE = (games: typeof SLOWER, of: readonly Wager[] = []): number =>
          Math.min(...games.map((game, i) => pooledLogE([of[i]!], game)))
        if (logE(SLOWER, wagers.worse) >= Math.log(20)) verdicts.add("stopped")
        if (logE(FASTER, wagers.within) >= Math.log(20)) verdicts.add("passed")
      }
      if (verdicts.has("stopped")) wrong.stopped++
      if (verdicts.has("passed")) wrong.passed++
    }
    expect(wrong.stopped).toBeLessThanOrEqual(runs * 0.05)
    expect(wrong.passed).toBeLessThanOrEqual(runs * 0.05)
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
      // At half of the traffic served sessions would have more to say than pairs.
      const weightBp = shadow ? 500 : 5000
      const strata = [serve(world({ canaryMs: tail, shadow, weightBp }))]
      const verdict = judge(input([p99], strata, { weights: [weightBp], shadow }))
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
        rows.forEach((row, k) => row.forEach(([bin, n]) => (data[(origin + bin) * rows.length + k]! += n)))
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
        { events: stable.exceedances(quantile), trials: stable.totals, sessions: c.stable.sessions },
        { events: canary.exceedances(threshold), trials: canary.totals, sessions: c.canary.sessions },
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
