import { describe, expect, it } from "vitest"
import { judge } from "../../src/analysis/judge.js"
import { logBayesFactor, sampleRatio } from "../../src/analysis/srm.js"
import { advanceTrip, bet, ceilingOf, tripLogE, type TripState } from "../../src/analysis/trip.js"
import { createStratum } from "../../src/evidence/cells.js"
import type { Stratum } from "../../src/model/evidence.js"
import { addTo, enforce, input, on } from "./traffic.js"
import { relativeError, vectors } from "./vectors.js"

const DENY = [enforce("deny_rate_delta_max")]

function sessions(stratum: Stratum, arm: 0 | 1, good: number, bad: number): void {
  for (let i = 0; i < good; i++) addTo(stratum, arm, i % 64, { evaluations: 1, allow: 1, sessions: 1, first_allow: 1 })
  for (let i = 0; i < bad; i++)
    addTo(stratum, arm, (i * 7) % 64, { evaluations: 1, deny: 1, sessions: 1, first_deny: 1 })
}

/** Look at the same stratum after each step. */
function looks(steps: readonly ((stratum: Stratum) => void)[], criteria = DENY): readonly TripState[] {
  const stratum = createStratum()
  let state: TripState | undefined
  return steps.map((step) => {
    step(stratum)
    return (state = advanceTrip(state, input(criteria, [stratum])))
  })
}
const logEs = (states: readonly TripState[]): readonly number[] => states.map((s) => s.rows[0]?.logE ?? NaN)

describe("trip", () => {
  it("acts on four denied first evaluations out of four, with a warm stable arm", () => {
    const states = looks([(s) => sessions(s, 0, 190, 10), (s) => sessions(s, 1, 0, 4)])
    expect(logEs(states)[0]).toBe(0)
    expect(tripLogE(states[1], 1, "deny_rate_delta_max")).toBeGreaterThan(3)
    const stratum = createStratum()
    sessions(stratum, 0, 1900, 100)
    const warm = advanceTrip(undefined, input(DENY, [stratum]))
    sessions(stratum, 1, 0, 5)
    const trip = advanceTrip(warm, input(DENY, [stratum]))
    expect(judge(input(DENY, [stratum], { trip })).logEFamily).toBeGreaterThan(judge(input(DENY, [stratum])).logEFamily)
  })

  it("breaches below the sessions that a variance needs, and says what decided", () => {
    const stratum = createStratum()
    sessions(stratum, 0, 1990, 10)
    const warm = advanceTrip(undefined, input(DENY, [stratum]))
    sessions(stratum, 1, 0, 4)
    const trip = advanceTrip(warm, input(DENY, [stratum]))
    const verdict = judge(input(DENY, [stratum], { trip }))
    expect(verdict).toMatchObject({ result: "breach", cause: "deny_rate_delta_max" })
    expect(on(verdict, "deny_rate_delta_max").estimate).toBeNull()
    expect(on(verdict, "deny_rate_delta_max").logEWorse).toBeGreaterThan(Math.log(20))
    expect(on(verdict, "deny_rate_delta_max").noData).toBeUndefined()
    expect(verdict.reason).toContain("first evaluations")
  })

  it("places each bet before it sees the outcome: sessions of a look are held against the ceiling of the look before", () => {
    const states = looks([
      (s) => (sessions(s, 0, 190, 10), sessions(s, 1, 0, 9)),
      (s) => (sessions(s, 0, 0, 300), sessions(s, 1, 1, 2)),
    ])
    const ceiling = ceilingOf(10, 200, 0.02) ?? NaN
    expect(states[0]?.rows[0]).toMatchObject({ ceiling, sessions: 9, bad: 9, logE: 0 })
    expect(states[1]?.rows[0]?.logE).toBeCloseTo(bet(ceiling, 2, 1), 12)
    expect(states[1]?.rows[0]?.ceiling).toBe(ceilingOf(310, 500, 0.02))
  })

  it("counts each session once, however often it looks", () => {
    const [, once, twice] = logEs(looks([(s) => sessions(s, 0, 190, 10), (s) => sessions(s, 1, 1, 3), () => undefined]))
    expect(twice).toBe(once)
  })

  it("waits out evidence that shrinks", () => {
    const states = looks([
      (s) => sessions(s, 0, 190, 10),
      (s) => sessions(s, 1, 1, 3),
      (s) => addTo(s, 1, 0, { first_deny: -1, first_allow: -1 }),
      (s) => addTo(s, 1, 0, { first_deny: 1, first_allow: 1 }),
    ])
    expect(logEs(states)[3]).toBe(logEs(states)[1])
  })

  it("starts again in each stratum and each generation", () => {
    const [first, second] = [createStratum(), createStratum()]
    sessions(first, 0, 950, 50)
    const warm = advanceTrip(undefined, input(DENY, [first, second]))
    sessions(first, 1, 40, 0)
    sessions(second, 0, 950, 50)
    const good = advanceTrip(warm, input(DENY, [first, second]))
    sessions(second, 1, 0, 8)
    const bad = advanceTrip(good, input(DENY, [first, second]))
    const logE = tripLogE(bad, 1, "deny_rate_delta_max")
    expect(logE).toBeGreaterThan(10)
    expect(logE).toBeLessThan(bad.rows[1]?.logE ?? NaN)
    expect(tripLogE(bad, 2, "deny_rate_delta_max")).toBe(0)
    const next = input(DENY, [first, second])
    expect(advanceTrip(bad, { ...next, evidence: { ...next.evidence, generation: 2 } }).rows[1]?.logE).toBe(0)
  })

  it("does not bet where nothing is known of stable, or nothing could be worse", () => {
    expect(ceilingOf(0, 0, 0.02)).toBeNull()
    expect(ceilingOf(950, 1000, 0.05)).toBeNull()
    expect(looks([(s) => sessions(s, 1, 0, 5), (s) => sessions(s, 1, 0, 5)]).at(-1)?.rows[0]?.logE).toBe(0)
    const allow = advanceTrip(
      undefined,
      input([enforce("allow_rate_delta_max"), enforce("latency_p99_delta_max")], [createStratum()]),
    )
    expect(allow.rows).toEqual([])
  })

  it("holds an absolute limit from the first session on", () => {
    const failing = (stratum: Stratum): void =>
      addTo(stratum, 1, 1, { error: 3, evaluations: 3, sessions: 3, first_error: 3 })
    const [only] = looks([failing], [enforce("error_rate_max", 0.01)])
    expect(only?.rows[0]?.logE).toBeCloseTo(bet(0.01, 3, 0), 12)
    expect(looks([failing], [enforce("error_rate_max", 0)])[0]?.rows[0]?.logE).toBe(0)
  })

  it("keeps an absolute limit for ceiling, and has none where nothing is above it", () => {
    const first = (good: number, bad: number) => (stratum: Stratum) =>
      addTo(stratum, 1, 1, { allow: good, error: bad, evaluations: good + bad, first_allow: good, first_error: bad })
    const states = looks([first(3, 0), first(1, 1)], [enforce("error_rate_max", 0.01)])
    expect(states[0]?.rows[0]).toMatchObject({ ceiling: 0.01, sessions: 3, bad: 0 })
    expect(logEs(states)[0]).toBeCloseTo(bet(0.01, 0, 3), 12)
    expect(states[1]?.rows[0]).toMatchObject({ ceiling: 0.01, sessions: 5, bad: 1 })
    expect(logEs(states)[1]).toBeCloseTo(bet(0.01, 1, 4), 12)
    for (const max of [0, 1]) {
      expect(looks([first(3, 1)], [enforce("error_rate_max", max)])[0]?.rows[0]).toMatchObject({
        ceiling: null,
        logE: 0,
      })
    }
    // Of stable nothing is known, and every session may be bad: the bound is 1 itself.
    expect(ceilingOf(0, 0, 0)).toBeNull()
  })

  it("takes no session back that has become a bad one", () => {
    const states = looks([
      (s) => sessions(s, 0, 190, 10),
      (s) => sessions(s, 1, 2, 0),
      (s) => addTo(s, 1, 0, { first_deny: 2, first_allow: -2 }),
    ])
    expect(states[2]?.rows[0]).toMatchObject({ sessions: 2, bad: 2 })
    expect(logEs(states)[2]).toBeCloseTo(bet(ceilingOf(10, 200, 0.02) ?? NaN, 2, 2), 12)
  })

  it("has rows of the strata in which it can compare: with an absolute limit also where the canary serves everybody", () => {
    const criteria = [enforce("deny_rate_delta_max"), enforce("error_rate_max", 0.01)]
    const weights = [0, 500, 10_000]
    const { rows } = advanceTrip(undefined, input(criteria, weights.map(createStratum), { weights }))
    expect(rows.map(({ criterion, stratum }) => [criterion, stratum])).toEqual([
      ["deny_rate_delta_max", 2],
      ["error_rate_max", 2],
      ["error_rate_max", 3],
    ])
    const state = { generation: 1, rows: rows.map((row, i) => ({ ...row, logE: 10 ** i })) }
    // ½ · e¹ and ½ waits; of two: ½ · e¹¹⁰, 1/6 · e¹⁰⁰, and 1/3.
    expect(tripLogE(state, 1, "deny_rate_delta_max")).toBeCloseTo(Math.log(0.5 * Math.E + 0.5), 12)
    expect(tripLogE(state, 1, "error_rate_max")).toBeCloseTo(110 - Math.LN2, 3)
  })

  it("carries plain data", () => {
    const state = looks([(s) => sessions(s, 0, 190, 10), (s) => sessions(s, 1, 1, 3)])[1]
    expect(JSON.parse(JSON.stringify(state))).toEqual(state)
  })

  type Trip = { events: string; deltaMax: number; ceiling: number; logE: number }
  vectors<Trip>("stats-trip.json", "trip", (cases) => {
    for (const c of cases) {
      let [bad, all, logE] = [0, 0, 0]
      let ceiling: number | null = null
      for (const event of c.events) {
        if (event === "R") ceiling = ceilingOf(bad, all, c.deltaMax)
        else if (event.toLowerCase() === "s") [bad, all] = [bad + (event === "S" ? 1 : 0), all + 1]
        else if (ceiling !== null) logE += bet(ceiling, event === "C" ? 1 : 0, event === "c" ? 1 : 0)
      }
      // The file's ceiling is stable's bound alone.
      expect(relativeError((ceiling ?? NaN) - c.deltaMax, c.ceiling)).toBeLessThan(1e-6)
      expect(relativeError(logE, c.logE)).toBeLessThan(1e-6)
    }
  })
})

describe("sample ratio", () => {
  // scipy 1.17.1: gammaln of the Dirichlet-multinomial.
  it("is the Dirichlet-multinomial Bayes factor", () => {
    expect(logBayesFactor([10, 0], [0.95, 0.05])).toBeCloseTo(0.022248946167501088, 10)
    expect(logBayesFactor([0, 0], [0.95, 0.05])).toBeCloseTo(0, 10)
    expect(logBayesFactor([1000, 0], [0.95, 0.05])).toBeGreaterThan(Math.log(1000))
  })

  it("is flagged from a thousand to one on, and then names the arm that is short", () => {
    const ratio = (stable: number, canary: number) => {
      const stratum = createStratum()
      addTo(stratum, 0, 0, { sessions: stable })
      addTo(stratum, 1, 0, { sessions: canary })
      return sampleRatio([{ stratum, index: 1, weightBp: 2000 }])
    }
    // scipy: 6.90838 and 6.90735, where ln 1000 is 6.90776.
    expect(ratio(584, 93)).toMatchObject({ flagged: true, short: "canary", observed: { stable: 584, canary: 93 } })
    expect(ratio(584, 93).expected.stable).toBeCloseTo(0.8 * 677, 9)
    expect(ratio(584, 93).expected.canary).toBeCloseTo(0.2 * 677, 9)
    expect(ratio(211, 20)).toMatchObject({ flagged: false, short: undefined })
    expect(ratio(600, 300)).toMatchObject({ flagged: true, short: "stable" })
  })

  type Srm = { counts: number[]; theta0: number[]; concentration: number; logE: number }
  vectors<Srm>("stats-srm.json", "srm", (cases) => {
    const covered = cases.filter(({ concentration }) => concentration === 100)
    expect(covered.length).toBeGreaterThan(0)
    for (const c of covered)
      expect(relativeError(logBayesFactor(c.counts, c.theta0), c.logE), JSON.stringify(c)).toBeLessThan(1e-6)
  })
})
