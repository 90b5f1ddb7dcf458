import { describe, expect, it } from "vitest"
import { bernoulliLower, bernoulliUpper } from "../../src/analysis/bernoulli.js"
import { holds, verdictOn, weighCriterion, type Weighed } from "../../src/analysis/criterion.js"
import { judge } from "../../src/analysis/judge.js"
import { noDataVerdict } from "../../src/analysis/no-data.js"
import { isSplit, rampStrata, servesCanary } from "../../src/analysis/ramp.js"
import { binOf } from "../../src/evidence/histogram.js"
import { createStratum, recordScan } from "../../src/evidence/cells.js"
import { COHORTS, binIndex, pairIndex, type Stratum } from "../../src/model/evidence.js"
import type { Criterion, CriterionName, CriterionVerdict } from "../../src/model/verdict.js"
import { addTo, enforce, input, on } from "./traffic.js"

const deny = enforce("deny_rate_delta_max")
const newly = enforce("newly_denied_rate_max")

/** Sessions of two calls, dealt to `cohorts` cohorts in turn. */
function serve(stratum: Stratum, arm: 0 | 1, sessions: number, cohorts = 2): Stratum {
  for (let i = 0; i < sessions; i++) addTo(stratum, arm, i % cohorts, { sessions: 1, evaluations: 2, allow: 2 })
  return stratum
}

/** Sessions of two calls that both allow, then `denied` calls that the canary alone denies. */
function compare(stratum: Stratum, sessions: number, denied = 0, cohorts = 64): Stratum {
  for (let i = 0; i < sessions; i++) {
    stratum.pairs[pairIndex(i % cohorts, 0, 0)]! += 2
    stratum.pairedSessions[i % cohorts]! += 1
  }
  for (let i = 0; i < denied; i++) stratum.pairs[pairIndex(i % cohorts, 0, 1)]! += 1
  return stratum
}

const both = (stable: number, canary: number, cohorts = 2): Stratum =>
  serve(serve(createStratum(), 0, stable, cohorts), 1, canary, cohorts)

const read = (stratum: Stratum, criterion = deny, shadow = false, weight = 2000): CriterionVerdict =>
  on(judge(input([criterion], [stratum], { shadow, weights: [weight] })), criterion.name)

describe("the sizes from which a number is formed", () => {
  it("are 20 stable and 5 canary sessions in two cohorts each", () => {
    expect(read(both(20, 5))).toMatchObject({
      noData: undefined,
      estimate: 0,
      effectiveSize: expect.any(Number) as number,
      evaluations: { stable: 40, canary: 10 },
      sessions: { stable: 20, canary: 5 },
      pairs: 0,
      method: "arms",
    })
    for (const few of [both(19, 5), both(20, 4), serve(both(20, 0), 1, 5, 1), serve(both(0, 5), 0, 20, 1)]) {
      expect(read(few)).toMatchObject({
        noData: "insufficient",
        estimate: null,
        lower: null,
        upper: null,
        effectiveSize: null,
        logEWorse: null,
        logEWithin: null,
        method: "arms",
      })
    }
  })

  it("are as small as they are effectively", () => {
    // Half of stable's 20 calls are denied, all in one of its two cohorts: a design effect of 20.
    const stratum = both(0, 0)
    for (let i = 0; i < 20; i++)
      addTo(stratum, 0, i % 2, { sessions: 1, evaluations: 1, deny: 1 - (i % 2), allow: i % 2 })
    for (let i = 0; i < 5; i++) addTo(stratum, 1, i % 2, { sessions: 1, evaluations: 1, allow: 1 })
    const found = read(stratum)
    expect(found.unit).toBe("rate")
    expect(found.effectiveSize).toBeCloseTo(0.25, 12)
  })

  it("suffice for a pass from 30 sessions of each arm, of the canary alone for an absolute limit, and from 50 paired ones", () => {
    const [wide, errors, flips] = [
      enforce("deny_rate_delta_max", 0.9),
      enforce("error_rate_max", 0.9),
      enforce("newly_denied_rate_max", 0.9),
    ]
    expect(read(both(30, 30, 64), wide).result).toBe("pass")
    for (const [stable, canary] of [[29, 30] as const, [30, 29] as const]) {
      expect(read(both(stable, canary, 64), wide)).toMatchObject({ result: "inconclusive" })
      expect(read(both(stable, canary, 64), wide).logEWithin).toBeGreaterThan(3)
    }
    expect(read(both(0, 30, 64), errors).result).toBe("pass")
    expect(read(both(99, 29, 64), errors).result).toBe("inconclusive")
    expect(read(compare(createStratum(), 50), flips, true).result).toBe("pass")
    expect(read(compare(createStratum(), 49), flips, true).result).toBe("inconclusive")
  })

  it("are 5 canary sessions for an absolute limit, whatever stable has", () => {
    const errors = enforce("error_rate_max")
    expect(read(both(9, 5), errors)).toMatchObject({
      estimate: 0,
      evaluations: { stable: 0, canary: 10 },
      sessions: { stable: 0, canary: 5 },
      pairs: 0,
    })
    expect(read(both(9, 4), errors).noData).toBe("insufficient")
    expect(read(serve(createStratum(), 1, 5, 1), errors)).toMatchObject({ noData: "insufficient", effectiveSize: null })
    // Sessions from before the ramp, or of a stage without a canary, are not served by it.
    expect(read(both(9, 5), errors, false, 0).noData).toBe("missing")
  })

  it("are 5 paired sessions in two cohorts", () => {
    const sizes = { evaluations: { stable: 10, canary: 10 }, sessions: { stable: 5, canary: 5 }, pairs: 10 }
    expect(read(compare(createStratum(), 5), newly, true)).toMatchObject({ estimate: 0, method: "pairs", ...sizes })
    expect(read(compare(createStratum(), 5), deny, true)).toMatchObject({ estimate: 0, method: "pairs", ...sizes })
    for (const criterion of [newly, deny]) {
      expect(read(compare(createStratum(), 4), criterion, true).noData).toBe("insufficient")
      expect(read(compare(createStratum(), 5, 0, 1), criterion, true)).toMatchObject({
        noData: "insufficient",
        effectiveSize: null,
      })
    }
  })

  const timed = (stratum: Stratum, array: "latency" | "scanLatency" | "pairedLatency" | "pairedScanLatency") => {
    return (arm: 0 | 1, count: number, ms: number): void => {
      for (let i = 0; i < count; i++) stratum[array][binIndex(arm, i % COHORTS, binOf(ms))]! += 1
    }
  }

  it.each([
    ["latency_p99_delta_max", 1000, 50, undefined],
    ["latency_p99_delta_max", 999, 50, "insufficient"],
    ["latency_p99_delta_max", 1000, 49, "insufficient"],
    ["scan_latency_p99_delta_max", 1000, 50, undefined],
    ["scan_latency_p99_delta_max", 999, 50, "insufficient"],
    ["scan_latency_p99_delta_max", 1000, 49, "insufficient"],
  ] as const)("of %s are 1,000 durations of stable and 50 of the canary: %d, %d", (name, stable, canary, noData) => {
    const stratum = createStratum()
    // A call that was judged, for there to be any.
    if (name === "scan_latency_p99_delta_max") addTo(stratum, 0, 0, { evaluations: 1, allow: 1 })
    for (const [arm, count] of [[0, stable] as const, [1, canary] as const]) {
      for (let i = 0; i < count; i++) {
        if (name === "scan_latency_p99_delta_max") recordScan(stratum, arm, i % COHORTS, "clean", 10 + 90 * arm, true)
        else addTo(stratum, arm, i % COHORTS, { evaluations: 1, allow: 1, sessions: 1 })
      }
      if (name === "latency_p99_delta_max") timed(stratum, "latency")(arm, count, 10 + 90 * arm)
    }
    const found = read(stratum, enforce(name, 20))
    expect(found).toMatchObject({
      noData,
      unit: "ms",
      evaluations: { stable, canary },
      sessions: { stable, canary },
      pairs: 0,
    })
    if (noData === undefined) {
      expect(found.estimate).toBeCloseTo(0.99, 9)
      expect(found.quantiles?.stableMs).toBeCloseTo(10, 0)
    }
  })

  it.each([
    ["latency_p99_delta_max", 1000, undefined],
    ["latency_p99_delta_max", 999, "insufficient"],
    ["scan_latency_p99_delta_max", 1000, undefined],
    ["scan_latency_p99_delta_max", 999, "insufficient"],
  ] as const)("of %s in pairs are 1,000: %d", (name, count, noData) => {
    const stratum = createStratum()
    const scans = name === "scan_latency_p99_delta_max"
    if (scans) addTo(stratum, 0, 0, { evaluations: 1, allow: 1 })
    for (let i = 0; i < count; i++) {
      ;(scans ? stratum.scanPairs : stratum.pairs)[pairIndex(i % COHORTS, 0, 0)]! += 1
      ;(scans ? stratum.scanPairedSessions : stratum.pairedSessions)[i % COHORTS]! += 1
    }
    timed(stratum, scans ? "pairedScanLatency" : "pairedLatency")(0, count, 10)
    timed(stratum, scans ? "pairedScanLatency" : "pairedLatency")(1, count, 100)
    const sizes = {
      evaluations: { stable: count, canary: count },
      sessions: { stable: count, canary: count },
      pairs: count,
    }
    expect(read(stratum, enforce(name, 20), true)).toMatchObject({ noData, unit: "ms", ...sizes })
  })

  it("do not ask for information of any amount: alerts can be many for each event that is watched", () => {
    const stratum = createStratum()
    for (const cohort of [0, 1]) {
      addTo(stratum, 0, cohort, { observations: 20, observed_sessions: 10 })
      addTo(stratum, 1, cohort, { observations: 5, observed_sessions: 5, alerts: 1000 * cohort })
    }
    // Variance by cohorts: 2/1 · (500² + 500²) / 10².
    const found = read(stratum, enforce("alert_rate_delta_max"))
    expect(found).toMatchObject({ noData: undefined })
    expect(found.estimate).toBeCloseTo(100, 9)
    expect(found.upper).toBeGreaterThan(100)
  })
})

describe("a stratum below those sizes", () => {
  it("says nothing beside one that is above them, neither for the canary nor against it", () => {
    const calm = compare(both(40, 40, 64), 60)
    const small = compare(both(19, 4, 4), 4, 6, 4)
    for (let i = 0; i < 4; i++) addTo(small, 1, i, { allow: -1, deny: 1 })
    const named = [deny, newly, enforce("error_rate_max")]
    const beside = (other: Stratum, shadow: boolean) =>
      judge(input(named, [calm, other], { shadow })).criteria.map(
        ({ estimate, lower, upper, logEWorse, logEWithin, effectiveSize }) =>
          [estimate, lower, upper, logEWorse, logEWithin, effectiveSize] as const,
      )
    for (const shadow of [false, true]) expect(beside(small, shadow)).toEqual(beside(createStratum(), shadow))
  })

  it("of timed calls needs its sessions too, in two cohorts", () => {
    const p99 = enforce("latency_p99_delta_max", 50)
    const timedPairs = (sessions: number, cohorts: number): CriterionVerdict => {
      const stratum = createStratum()
      for (let i = 0; i < 2000; i++) {
        for (const arm of [0, 1] as const) stratum.pairedLatency[binIndex(arm, i % cohorts, binOf(10))]! += 1
        stratum.pairs[pairIndex(i % cohorts, 0, 0)]! += 1
      }
      stratum.pairedSessions[0]! += sessions
      return read(stratum, p99, true)
    }
    expect(timedPairs(5, 2).noData).toBeUndefined()
    expect(timedPairs(4, 2).noData).toBe("insufficient")
    expect(timedPairs(5, 1).noData).toBe("insufficient")
  })

  it("shows p99 only where both arms have durations", () => {
    const p99 = enforce("latency_p99_delta_max", 50)
    const of = (...armsTimed: readonly (0 | 1)[]): CriterionVerdict => {
      const stratum = createStratum()
      for (const arm of armsTimed) {
        addTo(stratum, arm, 0, { evaluations: 1, allow: 1, sessions: 1 })
        stratum.latency[binIndex(arm, 0, binOf(10 + 90 * arm))]! += 1
      }
      return read(stratum, p99)
    }
    expect(of(0, 1).quantiles?.stableMs).toBeCloseTo(10, 0)
    expect((of(0, 1).quantiles?.canaryMs ?? NaN) / 100).toBeCloseTo(1, 1)
    expect([of(0), of(1), of()].map(({ quantiles }) => quantiles)).toEqual([undefined, undefined, undefined])
    expect(read(both(30, 30), deny).quantiles).toBeUndefined()
    const timed = both(1, 1)
    const beside = on(judge(input([p99], [timed, createStratum()])), p99.name)
    expect(beside.quantiles).toEqual(read(timed, p99).quantiles)
    expect(beside.quantiles).toBeDefined()
  })
})

describe("evidence that never came", () => {
  it("makes every number none, and names what a verdict would have come from", () => {
    const about = { falseAlarmRate: 0.05, generation: 4, at: 9 }
    const criteria = [deny, newly, { ...enforce("latency_p99_delta_max", 50), mode: "notify" as const }]
    const made = noDataVerdict("missing", { criteria, shadow: true, ...about })
    const none = { stable: 0, canary: 0 }
    const { reason } = made
    const line = {
      result: "inconclusive",
      estimate: null,
      lower: null,
      upper: null,
      alphaPass: 0.05,
      noData: "missing",
    }
    const counts = {
      evaluations: none,
      sessions: none,
      pairs: 0,
      logEWorse: null,
      logEWithin: null,
      effectiveSize: null,
    }
    expect(made).toEqual({
      result: "inconclusive",
      ...about,
      criteria: [
        {
          criterion: "deny_rate_delta_max",
          mode: "enforce",
          unit: "rate",
          max: 0.02,
          method: "pairs",
          alphaBreach: 0.025,
        },
        {
          criterion: "newly_denied_rate_max",
          mode: "enforce",
          unit: "rate",
          max: 0.02,
          method: "pairs",
          alphaBreach: 0.025,
        },
        { criterion: "latency_p99_delta_max", mode: "notify", unit: "ms", max: 50, method: "pairs", alphaBreach: 0.05 },
      ].map((one) => ({ ...line, ...counts, ...one, reason })),
      srm: { flagged: false, logBayesFactor: 0, observed: none, expected: none },
      sessions: { stable: 0, canary: 0, paired: 0 },
      logEFamily: 0,
      noData: "missing",
      reason: "nothing of this kind has been seen",
    })
    const served = noDataVerdict("missing", { criteria, shadow: false, ...about })
    expect(served.criteria.map(({ method }) => method)).toEqual(["arms", "pairs", "arms"])
  })
})

describe("a verdict of several criteria", () => {
  const open = [deny, newly, enforce("error_rate_max")]
  const judged = (criteria: readonly Criterion[], stratum: Stratum, weight = 2000, falseAlarmRate = 0.05) =>
    judge(input(criteria, [stratum], { shadow: true, weights: [weight], falseAlarmRate }))

  it("names the first that is open and counts the others", () => {
    const few = compare(both(40, 10, 64), 20)
    expect(judged(open, few).reason).toMatch(/^deny_rate_delta_max: .* \(and 2 more\)$/)
    expect(judged(open.slice(1), few).reason).toMatch(/^newly_denied_rate_max: .* \(and 1 more\)$/)
    expect(judged(open.slice(2), few).reason).toMatch(/^error_rate_max: .*judged by both\)$/)
  })

  it("names the first of two that weigh the same as its cause", () => {
    const stratum = compare(createStratum(), 1, 1)
    stratum.pairs[pairIndex(5, 1, 0)]! += 1
    const named = [enforce("newly_allowed_rate_max", 0), enforce("newly_denied_rate_max", 0)]
    expect(judged(named, stratum).cause).toBe("newly_allowed_rate_max")
    expect(judged(named.toReversed(), stratum)).toMatchObject({
      cause: "newly_denied_rate_max",
      reason: expect.stringMatching(/^newly_denied_rate_max: rate of newly denied/) as string,
    })
  })

  it("does not pass while an arm is short, though every criterion would", () => {
    const wide = [enforce("newly_denied_rate_max", 0.9)]
    expect(judged(wide, compare(both(80, 20, 64), 60)).result).toBe("pass")
    expect(judged(wide, compare(both(600, 300, 64), 60))).toMatchObject({
      result: "inconclusive",
      reason: expect.stringContaining("stable arm") as string,
      srm: { flagged: true },
    })
  })

  it("waits in shadow for all but what served sessions tell of, and for that from the first basis point on", () => {
    const alerts = enforce("alert_rate_delta_max")
    const calm = compare(createStratum(), 60)
    const wide = enforce("newly_denied_rate_max", 0.9)
    expect(judged([wide, alerts], calm, 0).result).toBe("pass")
    expect(judged([wide, alerts], calm, 1).result).toBe("inconclusive")
    expect(judged([newly, alerts], calm, 0)).toMatchObject({
      result: "inconclusive",
      reason: expect.stringMatching(/^newly_denied_rate_max/) as string,
    })
  })

  it("is formed up to the edges of its settings, and not beyond", () => {
    const calm = compare(createStratum(), 60)
    expect(judged([enforce("newly_denied_rate_max", 1)], calm, 10_000, 0.5).falseAlarmRate).toBe(0.5)
    expect(() => judged([newly], calm, 2000, 0.501)).toThrow(/falseAlarmRate/)
    expect(() => judged([newly], calm, -0.5)).toThrow(/weightBp/)
    expect(() => judged([newly], calm, 10_000.5)).toThrow(/weightBp/)
    expect(() => judged([enforce("newly_denied_rate_max", 1.001)], calm)).toThrow(/max of newly_denied/)
    expect(judged([enforce("latency_p99_delta_max", 1.001)], calm).result).toBe("inconclusive")
    expect(() => judged([enforce("latency_p99_delta_max", Infinity)], calm)).toThrow(/max of latency/)
    expect(() => judged([enforce("nothing" as CriterionName)], calm)).toThrow(/unknown criterion nothing/)
  })
})

describe("what is missing", () => {
  it("is told from what is too little by a single evaluation of either arm", () => {
    const one = (arm: 0 | 1): Stratum => {
      const stratum = createStratum()
      addTo(stratum, arm, 3, { evaluations: 1, allow: 1 })
      return stratum
    }
    for (const arm of [0, 1] as const) {
      expect(read(one(arm)).noData).toBe("insufficient")
      expect(read(one(arm), deny, true).noData).toBe("insufficient")
    }
    expect(read(one(0), newly, true).noData).toBe("missing")
    expect(read(both(30, 30, 64), newly, true)).toMatchObject({ noData: "missing", method: "pairs", pairs: 0 })
    const neither = createStratum()
    addTo(neither, 0, 3, { evaluations: 1, allow: 1 })
    expect(read(neither, enforce("scan_flag_rate_delta_max"), true)).toMatchObject({
      noData: "missing",
      method: "pairs",
    })
  })
})

describe("shares of the ramp", () => {
  const at = (weightBp: number | null) => ({ stratum: createStratum(), index: 1, weightBp })

  it("split sessions from 1 to 9999 basis points", () => {
    expect([null, 0, 1, 9999, 10_000].map((bp) => isSplit(at(bp)))).toEqual([false, false, true, true, false])
    expect([null, 0, 1, 9999, 10_000].map((bp) => servesCanary(at(bp)))).toEqual([false, false, true, true, true])
  })

  it("belong to the stratum after theirs; the first is from before the ramp", () => {
    const evidence = { generation: 1, strata: [createStratum(), createStratum(), createStratum()] }
    const strata = rampStrata(evidence, [{ weightBp: 5 }, { weightBp: 7 }])
    expect(strata.map(({ weightBp }) => weightBp)).toEqual([null, 5, 7])
    expect(strata.map(({ index }) => index)).toEqual([0, 1, 2])
  })
})

describe("a budget of 0", () => {
  const never = enforce("newly_denied_rate_max", 0)

  it("has a bound from 50 paired sessions on, and no e-value but that of its first event", () => {
    const calm = read(compare(createStratum(), 50), never, true)
    expect(calm).toMatchObject({ result: "inconclusive", estimate: 0, lower: 0, logEWithin: null })
    expect(calm.logEWorse).toBeCloseTo(0, 12)
    // Sessions of two calls and nothing that could cluster: a design effect of 1.1.
    expect(calm.upper).toBeCloseTo(bernoulliUpper(0, 100 / 1.1, 0.05), 12)
    expect(read(compare(createStratum(), 49), never, true)).toMatchObject({ estimate: 0, lower: 0, upper: null })
  })

  it("counts events in calls of their effective number", () => {
    const found = read(compare(createStratum(), 50, 1), never, true)
    expect(found).toMatchObject({ result: "breach", estimate: 1 / 101 })
    const effective = found.effectiveSize ?? NaN
    expect(found.lower).toBeCloseTo(bernoulliLower(effective / 101, effective, 0.05), 12)
    expect(found.upper).toBeCloseTo(bernoulliUpper(1, effective, 0.05), 12)
    expect(found.logEWorse).toBeCloseTo(Math.log(Number.MAX_VALUE), 9)
    const first = read(compare(createStratum(), 1, 1), never, true)
    expect(first).toMatchObject({ result: "breach", estimate: 1 / 3, lower: 0, upper: null, effectiveSize: null })
  })

  it("holds a rollout until its bound is at most one in 200", () => {
    const calm = read(compare(createStratum(), 50), never, true)
    expect([null, 0.00501, 0.005].map((upper) => holds({ ...calm, upper }))).toEqual([true, true, false])
    const other = read(compare(createStratum(), 50), newly, true)
    expect(holds({ ...other, result: "inconclusive", upper: 0.001 })).toBe(true)
    expect(holds({ ...other, result: "breach", upper: 0.001 })).toBe(true)
    expect(holds({ ...other, result: "pass", upper: null })).toBe(false)
  })
})

describe("what is shown", () => {
  const weighed = (stratum: Stratum, criterion = deny, shadow = true, weightBp = 2000): Weighed =>
    weighCriterion(criterion, {
      strata: [{ stratum, index: 1, weightBp }],
      generation: 1,
      shadow,
      zero: false,
    })
  const full = compare(both(40, 40, 64), 60)
  const method = (of: Weighed, breached: boolean): string => verdictOn(of, breached, 0.05).method

  it("is the source that a pass comes from, or the other while that is silent", () => {
    expect(method(weighed(full), false)).toBe("pairs")
    expect(method(weighed(both(40, 40, 64)), false)).toBe("arms")
    expect(method(weighed(createStratum()), false)).toBe("pairs")
    expect(method(weighed(createStratum(), deny, false), false)).toBe("arms")
    expect(method(weighed(full, newly), false)).toBe("pairs")
    expect(method(weighed(full, newly), true)).toBe("pairs")
  })

  it("is for a breach the one that weighs more", () => {
    const against = (arms: number, pairs: number, weights: readonly [number, number] = [0.1, 0.9]): Weighed => ({
      ...weighed(full),
      sources: [
        { source: "arms", weight: weights[0], logE: arms },
        { source: "pairs", weight: weights[1], logE: pairs },
      ],
    })
    expect(method(against(9, 5), true)).toBe("arms")
    expect(method(against(9, 5), false)).toBe("pairs")
    expect(method(against(6, 5), true)).toBe("pairs")
    expect(method(against(5, 5, [0.5, 0.5]), true)).toBe("pairs")
    expect(method({ ...against(9, 5), pairs: weighed(both(40, 40, 64)).pairs }, true)).toBe("arms")
  })

  it("has no upper bound where the canary serves everybody", () => {
    const alone = verdictOn(weighed(compare(createStratum(), 60, 3), deny, true, 10_000), false, 0.05)
    expect(alone).toMatchObject({ estimate: 3 / 123, upper: null, result: "inconclusive" })
    expect(alone.lower).not.toBeNull()
  })

  it("says neither that data are missing nor nothing of a breach that needs none", () => {
    const silent = verdictOn(weighed(both(20, 4)), true, 0.05)
    expect(silent).toMatchObject({ result: "breach", noData: undefined })
    expect(silent.logEWorse).toBeCloseTo(0, 12)
    expect(verdictOn(weighed(both(20, 4)), false, 0.05)).toMatchObject({ noData: "insufficient", logEWorse: null })
  })
})
