import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { PORTFOLIO, logReturn, type Bet, type Game } from "../../src/analysis/betting.js"
import { eventWager, pairedWager, type PairTally } from "../../src/analysis/pairs.js"
import { FASTER, SLOWER } from "../../src/analysis/quantiles.js"
import { ownDeff } from "../../src/analysis/rates.js"
import { logSumExp } from "../../src/analysis/special.js"
import { NO_WAGER, wagerLogE, wagerLower, type Wager } from "../../src/analysis/wager.js"
import { uniforms } from "./traffic.js"
import { relativeError, vectors } from "./vectors.js"

const DELTA = { max: 0.02, least: -1 } as const
const BUDGET = { max: 0.02, least: 0 } as const
const independent = (plus: number, minus: number, trials: number): Wager => ({ plus, minus, trials, deff: 1 })

const logReturns = (value: number, game: Game, bets: readonly Bet[] = PORTFOLIO): number[] =>
  bets.map((bet) => logReturn(bet, value, game))

/** Expected capital after one trial, of all bets together: what makes an e-value one. */
function expected(chances: readonly (readonly [value: number, chance: number])[], game: typeof DELTA | typeof BUDGET) {
  const returns = chances.map(([value, chance]) => ({ chance, logs: logReturns(value, game) }))
  return PORTFOLIO.map((_, i) => returns.reduce((sum, { chance, logs }) => sum + chance * Math.exp(logs[i]!), 0))
}

describe("betting", () => {
  it("is a fair game at the limit, and a losing one within it, whatever the discordance", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        fc.double({ min: 0, max: 0.02, noNaN: true }),
        (both, less) => {
          const minus = both / 2
          const plus = minus + DELTA.max
          const atLimit = expected(
            [
              [1, plus],
              [-1, minus],
              [0, 1 - plus - minus],
            ],
            DELTA,
          )
          for (const capital of atLimit) expect(capital).toBeCloseTo(1, 12)
          const within = expected(
            [
              [1, 0.02 - less],
              [0, 0.98 + less],
            ],
            BUDGET,
          )
          for (const capital of within) expect(capital).toBeLessThanOrEqual(1 + 1e-12)
        },
      ),
    )
  })

  it("plays a portfolio of weights that sum to 1, none of which can be ruined", () => {
    expect(PORTFOLIO.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12)
    for (const game of [DELTA, BUDGET, { max: 0.9, least: -1 }] as const) {
      for (const log of logReturns(game.least, game)) expect(log).toBeGreaterThan(Math.log(0.049))
    }
    expect(logSumExp(PORTFOLIO.map(({ weight }) => Math.log(weight)))).toBeCloseTo(0, 12)
  })

  type Bets = { m0: number; d: number[]; logCapital: number[]; logE: number }
  vectors<Bets>("stats-betting.json", "gridBet", (cases) => {
    const grid = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95].map((fraction) => ({ fraction, weight: 1 / 9 }))
    for (const c of cases) {
      const returns = c.d.map((d) => logReturns(d, { max: c.m0, least: -1 }, grid))
      const capitals = grid.map((_, i) => returns.reduce((sum, logs) => sum + logs[i]!, 0))
      c.logCapital.forEach((expected, i) => expect(relativeError(capitals[i] ?? NaN, expected)).toBeLessThan(1e-6))
      const whole = logSumExp(capitals.map((capital, i) => capital + Math.log(grid[i]!.weight)))
      expect(relativeError(whole, c.logE)).toBeLessThan(1e-6)
    }
  })
})

describe("wagers on outcomes", () => {
  // mpmath: the table of fractions and weights in docs/reference/verdicts.md, then ¾ of it and ¼ for strata to come.
  it.each([
    [5, 1, 60, DELTA, 0.306088129835924],
    [3, 0, 40, BUDGET, -0.44294456561513473],
    [60, 0, 1000, BUDGET, 20.391247345050065],
  ])("of %d and %d of %d are worth what the documented bets make of them", (plus, minus, trials, game, logE) => {
    expect(wagerLogE([independent(plus, minus, trials)], game)).toBeCloseTo(logE, 12)
  })

  it("on calls slower than a p99 are worth what the documented bets of their own make of them", () => {
    // mpmath; the five of the table for p99.
    expect(wagerLogE([independent(5, 1, 60)], SLOWER[1]!)).toBeCloseTo(0.7061783371283258, 12)
    expect(wagerLogE([independent(1, 0, 60)], FASTER[1]!)).toBeCloseTo(0.6594552455137214, 12)
  })

  it("bound the mean from below where the documented bets reach 20", () => {
    expect(wagerLower([independent(55, 5, 1000)], -1, 0.05)).toBeCloseTo(0.0302980501093603, 8)
    expect(wagerLower([independent(40, 0, 500)], 0, 0.05)).toBeCloseTo(0.0418599681726239, 8)
  })

  it("finds harm and not its absence", () => {
    expect(wagerLogE([independent(55, 5, 1000)], DELTA)).toBeGreaterThan(Math.log(20))
    expect(wagerLogE([independent(25, 5, 1000)], DELTA)).toBeLessThan(0.5)
    expect(wagerLogE([], DELTA)).toBe(0)
    expect(wagerLogE([NO_WAGER, NO_WAGER], DELTA)).toBeCloseTo(0, 12)
  })

  it("counts n calls of design effect d as n/d", () => {
    const thinned = { ...independent(110, 10, 2000), deff: 2 }
    expect(wagerLogE([thinned], DELTA)).toBeCloseTo(wagerLogE([independent(55, 5, 1000)], DELTA), 9)
  })

  it("adds strata as evidence, never as counts: their order and their split do not matter to a bound", () => {
    const [a, b, whole] = [independent(30, 2, 400), independent(25, 3, 600), independent(55, 5, 1000)]
    const bound = wagerLower([whole], -1, 0.05)
    expect(wagerLower([a, b], -1, 0.05)).toBeCloseTo(bound, 9)
    expect(wagerLower([b, NO_WAGER, a], -1, 0.05)).toBeCloseTo(bound, 9)
  })

  it("hears harm that begins in a later stratum", () => {
    const good = independent(0, 0, 5000)
    const bad = independent(90, 0, 1000)
    expect(wagerLogE([good, bad], DELTA)).toBeGreaterThan(Math.log(60))
    expect(wagerLogE([independent(90, 0, 6000)], DELTA)).toBeLessThan(Math.log(20))
  })

  it("has a lower bound that is the limit which the e-value just reaches", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 400 }),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 5000 }),
        fc.constantFrom(0.05, 0.01),
        (plus, minus, zero, alpha) => {
          const wager = independent(plus, minus, plus + minus + zero + 1)
          const lower = wagerLower([wager], -1, alpha)
          expect(lower).toBeLessThanOrEqual((plus - minus) / wager.trials)
          expect(wagerLower([wager], -1, alpha / 5)).toBeLessThanOrEqual(lower)
          // Of one stratum ¾ of the e-value starts with it, and ¼ waits.
          const logE = (max: number): number => {
            const mixed = Math.exp(wagerLogE([wager], { max, least: -1 }))
            return Math.log((mixed - 0.25) / 0.75)
          }
          if (lower <= -1 + 1e-6) return
          expect(logE(lower - 1e-6)).toBeGreaterThanOrEqual(-Math.log(alpha) - 1e-9)
          expect(logE(lower + 1e-6)).toBeLessThan(-Math.log(alpha))
        },
      ),
    )
  })

  it("bounds a rate at 0 or above, and knows nothing without data", () => {
    expect(wagerLower([independent(0, 0, 500)], 0, 0.05)).toBe(0)
    expect(wagerLower([independent(40, 0, 500)], 0, 0.05)).toBeGreaterThan(0.04)
    expect(wagerLower([NO_WAGER], 0, 0.05)).toBe(0)
    expect(wagerLower([], -1, 0.05)).toBe(-1)
  })

  it("is wrong in at most its share of runs on clustered calls exactly at the limit, looked at after every session", () => {
    const random = uniforms(7)
    const RUNS = 200
    let wrong = 0
    for (let run = 0; run < RUNS; run++) {
      const rows = { plus: new Float64Array(64), minus: new Float64Array(64), stable: new Float64Array(64) }
      const trials = new Float64Array(64)
      for (let sessions = 1; sessions <= 400; sessions++) {
        const k = Math.floor(random() * 64)
        const strict = random() < 0.1
        for (let call = 0; call < 10; call++) {
          trials[k]! += 1
          if (random() < (strict ? 0.32 : 0.02)) rows.stable[k]! += 1
          else if (strict && random() < 0.2 / 0.68) rows.plus[k]! += 1
        }
        if (sessions < 10 || sessions % 5 > 0) continue
        const wager = pairedWager({ ...rows, trials, sessions })
        if (wagerLogE([wager], DELTA) < Math.log(20)) continue
        wrong++
        break
      }
    }
    expect(wrong).toBeLessThanOrEqual(RUNS * 0.05)
  })
})

describe("design effect of what is bet on", () => {
  const trials = Array.from({ length: 64 }, () => 20)
  const zeros = Array.from({ length: 64 }, () => 0)
  const pairs = (plus: readonly number[]): PairTally => ({
    plus,
    minus: zeros,
    stable: zeros.map((_, k) => k % 2),
    trials,
    sessions: 128,
  })

  it("takes events that come in one lump for one, however few they are", () => {
    const lump = pairedWager(pairs(zeros.map((_, k) => (k === 3 ? 9 : 0))))
    expect(lump.deff).toBeGreaterThan(8.5)
    expect(lump.plus / lump.deff).toBeLessThan(1.05)
    const events = { events: zeros.map((_, k) => (k === 3 ? 9 : 0)), trials, sessions: 128 }
    const clustering = { events: zeros.map((_, k) => k % 2), trials, sessions: 128 }
    expect(eventWager(events, clustering).deff).toBeGreaterThan(8.5)
    // What has happened in every call, or never, tells nothing of how it clusters.
    expect(eventWager({ events: trials, trials, sessions: 128 }, clustering).deff).toBe(
      eventWager({ events: zeros, trials, sessions: 128 }, clustering).deff,
    )
  })

  // mpmath: m/(m−1) · Σ(D[k] − R·N[k])² / N² · N / (d − δ²).
  it("is the variance by cohorts over that of independent differences", () => {
    const tens = zeros.map(() => 10)
    const at = (values: Readonly<Record<number, number>>): number[] => zeros.map((_, k) => values[k] ?? 0)
    const lump = { plus: at({ 0: 9 }), minus: at({ 1: 3 }), stable: zeros, trials: tens, sessions: 640 }
    const wager = pairedWager(lump)
    expect(wager).toEqual({ plus: 9, minus: 3, trials: 640, deff: expect.closeTo(7.60708679076026, 12) as number })
    // Twelve that are spread: the prior of sessions of ten calls, 1.9, has ten cohorts' say beside 63.
    const plus = zeros.map((_, k) => (k < 8 ? 1 : 0))
    const minus = zeros.map((_, k) => (k >= 8 && k < 12 ? 1 : 0))
    const spread = pairedWager({ plus, minus, stable: zeros, trials: tens, sessions: 64 })
    expect(spread.deff).toBeCloseTo(1.1205136271341551, 12)
    const events = { events: at({ 3: 9 }), trials, sessions: 1280 }
    expect(eventWager(events, events)).toEqual({
      plus: 9,
      minus: 0,
      trials: 1280,
      deff: expect.closeTo(9.06372934697089, 12) as number,
    })
  })

  it("believes in a small one only as far as events and cohorts go", () => {
    const sizes = { trials: 1000, cohorts: 64 }
    const spread = { variance: 1e-5, binomial: 0.01 }
    expect(ownDeff(spread, { ...sizes, events: 9 }, 3)).toBe(3)
    expect(ownDeff(spread, { ...sizes, events: 10 }, 3)).toBeCloseTo((10 * 3 + 63) / 73, 12)
    expect(ownDeff(spread, { ...sizes, events: 991 }, 3)).toBe(3)
    expect(ownDeff({ variance: 4e-5, binomial: 0.01 }, { ...sizes, events: 1 }, 3)).toBeCloseTo(4, 12)
    expect(ownDeff({ variance: 1e-7, binomial: 0.01 }, { ...sizes, events: 500 }, 1)).toBe(1)
  })
})
