import { describe, expect, it } from "vitest"
import { observedTraffic } from "../../src/analysis/observed.js"
import { workloadOf, type Traffic } from "../../src/analysis/workload.js"
import { createStratum } from "../../src/evidence/cells.js"
import { COHORTS, type Stratum } from "../../src/model/evidence.js"
import { addTo } from "./traffic.js"

describe("traffic that is not described", () => {
  it("is what its documentation says", () => {
    expect(workloadOf({ sessionsPerMinute: 30 })).toEqual({
      sessionsPerMinute: 30,
      callsPerSession: 8,
      kish: 12,
      rates: { allow: 1 - 0.05 - 0.03 - 0.005, deny: 0.05, escalate: 0.03, error: 0.005, flagged: 0.01, alerts: 0.01 },
      churn: 0,
      correlation: 0.1,
      slowShare: 0.002,
    })
    expect(workloadOf({ sessionsPerMinute: 1, callsPerSession: 16 }).kish).toBe(20)
  })

  it.each<Partial<Traffic>>([
    { sessionsPerMinute: 1e-9 },
    { callsPerSession: 1 },
    { callsPerSession: 20 },
    { callsPerSession: 6, kish: 6 },
    // An average of averages that came out a rounding below.
    { callsPerSession: 6, kish: 6 * (1 - 5e-10) },
    { kish: 20 },
    { churn: 0 },
    { churn: 1 },
    { correlation: 0, slowShare: 1 },
    { rates: { deny: 0.5, escalate: 0.25, error: 0.25, flagged: 1, alerts: 0 } },
    // All of 28 calls, none of them allowed: together they come out a rounding above 1.
    { rates: { deny: 9 / 28, escalate: 18 / 28, error: 1 / 28 } },
  ])("may be at the edges: %o", (over) => {
    expect(workloadOf({ sessionsPerMinute: 30, ...over })).toMatchObject(over)
  })

  it.each<[Partial<Traffic>, RegExp]>([
    [{ sessionsPerMinute: -1 }, /sessionsPerMinute/],
    [{ callsPerSession: 0.99 }, /callsPerSession/],
    [{ callsPerSession: 20.01 }, /callsPerSession/],
    [{ callsPerSession: 6, kish: 6 * (1 - 2e-9) }, /kish/],
    [{ kish: 20.01 }, /kish/],
    [{ churn: -0.001 }, /churn/],
    [{ correlation: 1.001 }, /correlation/],
    [{ slowShare: NaN }, /slowShare/],
    [{ rates: { deny: 0.5, escalate: 0.25, error: 0.26 } }, /rates/],
    [{ rates: { deny: 0.5, escalate: 0.51 } }, /rates/],
    [{ rates: { alerts: 1.01 } }, /rates\.alerts/],
  ])("may not be beyond them: %o", (over, message) => {
    expect(() => workloadOf({ sessionsPerMinute: 30, ...over })).toThrow(message)
  })
})

describe("traffic that was observed", () => {
  const MINUTES = 60_000
  /** Each cohort the same, in either arm. */
  function even(counts: Parameters<typeof addTo>[3], canary: Parameters<typeof addTo>[3] = {}): Stratum {
    const stratum = createStratum()
    for (let k = 0; k < COHORTS; k++) {
      addTo(stratum, 0, k, counts)
      addTo(stratum, 1, k, canary)
    }
    return stratum
  }
  const observe = (strata: readonly Stratum[], ms = 8 * MINUTES) => observedTraffic({ generation: 1, strata }, ms)

  it("is that of stable, over all strata, with the sessions of both arms", () => {
    const one = even(
      {
        sessions: 5,
        evaluations: 50,
        deny: 5,
        escalate: 2,
        error: 1,
        scans: 20,
        scan_flagged: 4,
        observations: 10,
        alerts: 1,
      },
      { sessions: 1, evaluations: 90, deny: 90, scans: 90, scan_flagged: 90, observations: 9, alerts: 9 },
    )
    const other = even({ sessions: 5, evaluations: 30, deny: 3, error: 1 })
    // Each cohort alike: calls go their own ways, and sessions are as large as they are on average.
    expect(observe([one, other])).toEqual({
      sessionsPerMinute: (64 * 11) / 8,
      callsPerSession: 8,
      kish: 8,
      rates: { deny: 0.1, escalate: 0.025, error: 0.025, flagged: 0.2, alerts: 0.1 },
      correlation: 0,
    })
  })

  it("needs 20 sessions of stable, and time", () => {
    const few = (sessions: number): Stratum => {
      const stratum = createStratum()
      addTo(stratum, 0, 0, { sessions, evaluations: sessions })
      addTo(stratum, 1, 0, { sessions: 50 })
      return stratum
    }
    expect(observe([few(19)])).toBeNull()
    expect(observe([few(20)])).not.toBeNull()
    expect(observe([few(10), few(10)])).not.toBeNull()
    expect(observe([few(20)], 1)?.sessionsPerMinute).toBe(70 * MINUTES)
    expect(observe([few(20)], 0)).toBeNull()
    expect(observe([])).toBeNull()
  })

  it("has no rate of what was never watched, and none above every one", () => {
    const plain = observe([even({ sessions: 5, evaluations: 5 })])
    expect(plain?.rates).toEqual({ deny: 0, escalate: 0, error: 0, flagged: undefined, alerts: undefined })
    expect(plain).toMatchObject({ callsPerSession: 1, kish: 1, correlation: undefined })
    const one = createStratum()
    addTo(one, 0, 0, { sessions: 20, evaluations: 20, scans: 1, scan_flagged: 1, observations: 1, alerts: 7 })
    expect(observe([one])?.rates).toMatchObject({ flagged: 1, alerts: 1 })
  })

  it("has a correlation that is what the cohorts tell, and sizes as far as they are counted", () => {
    // Every session of two calls, both denied in one of eight: V·N / (R(1−R)) is 2 · 64/63, over a spread of 1.
    const pairs = createStratum()
    for (let k = 0; k < COHORTS; k++) addTo(pairs, 0, k, { sessions: 1, evaluations: 2, deny: k % 8 === 0 ? 2 : 0 })
    expect(observe([pairs])).toMatchObject({ callsPerSession: 2, kish: 2, correlation: 1 })
    const threes = createStratum()
    for (let k = 0; k < COHORTS; k++) addTo(threes, 0, k, { sessions: 1, evaluations: 3, deny: k % 2 === 0 ? 2 : 1 })
    // Σ(D − ½·3)² / 192² · 64/63 · 192 / ¼ is 64/63/3: less than independent calls have.
    expect(observe([threes])).toMatchObject({ kish: 3, correlation: 0 })
    const uneven = createStratum()
    for (let k = 0; k < COHORTS; k++) addTo(uneven, 0, k, { sessions: 1, evaluations: k % 2 === 0 ? 30 : 10 })
    expect(observe([uneven])).toMatchObject({ callsPerSession: 20, kish: 20 })
    const spread = createStratum()
    for (let k = 0; k < COHORTS; k++) addTo(spread, 0, k, { sessions: 4, evaluations: k % 2 === 0 ? 12 : 4 })
    // Σ(N − 8)² is 64 · 16, over 512 calls: 64/63 · 2. Sessions of two calls.
    expect(observe([spread])?.kish).toBeCloseTo((64 / 63) * 2, 12)
    expect(observe([spread])?.correlation).toBeCloseTo(0.1, 12)
  })
})
