import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { explain } from "../../src/analysis/explain.js"
import { judge, type JudgeInput } from "../../src/analysis/judge.js"
import { noDataVerdict } from "../../src/analysis/no-data.js"
import { rateDelta } from "../../src/analysis/rates.js"
import {
  createStratum,
  mergeEvidence,
  recordPair,
  recordPairAfter,
  recordScan,
  recordScanPair,
} from "../../src/evidence/cells.js"
import { CELLS, COHORTS, cellIndex, pairIndex, type Evidence, type Stratum } from "../../src/model/evidence.js"
import { CRITERIA, type Criterion, type Result, type Verdict } from "../../src/model/verdict.js"
import { addTo, alike, denying, enforce, input, notify, on, serve, uniforms, type World } from "./traffic.js"
import { runs } from "../runs.js"

const ALL: readonly Criterion[] = CRITERIA.map((name) => enforce(name, name.includes("latency") ? 50 : 0.02))
const CALLS = ALL.filter(({ name }) => !/scan|alert/.test(name))

const world = (over: Partial<World> = {}): World => ({
  sessions: 1500,
  weightBp: 2000,
  random: uniforms(7),
  stable: denying,
  canary: alike,
  ...over,
})

describe("judge", () => {
  it("passes two equal releases on pairs, and says from what", () => {
    const verdict = judge(input(CALLS, [serve(world({ shadow: true }))], { shadow: true }))
    expect(verdict).toMatchObject({ result: "pass" })
    expect([verdict.cause, verdict.noData]).toEqual([undefined, undefined])
    for (const criterion of verdict.criteria) {
      expect(criterion).toMatchObject({ result: "pass", method: "pairs" })
      expect(criterion.upper).toBeLessThanOrEqual(criterion.unit === "ms" ? 0 : criterion.max)
    }
    expect(on(verdict, "deny_rate_delta_max").estimate).toBeCloseTo(0, 12)
    expect(verdict.sessions.paired).toBe(1500)
  })

  it("passes two equal releases on served sessions alone, given more of them", () => {
    const criteria = [
      enforce("deny_rate_delta_max", 0.05),
      enforce("error_rate_delta_max", 0.05),
      enforce("error_rate_max", 0.05),
    ]
    const verdict = judge(input(criteria, [serve(world({ sessions: 6000, weightBp: 5000 }))], { weights: [5000] }))
    expect(verdict.result).toBe("pass")
    expect(on(verdict, "deny_rate_delta_max").method).toBe("arms")
  })

  it("breaches on a canary that denies all, and names the criterion", () => {
    const verdict = judge(input(CALLS, [serve(world({ sessions: 60, canary: () => "deny" }))]))
    expect(verdict).toMatchObject({ result: "breach", cause: "deny_rate_delta_max" })
    const deny = on(verdict, "deny_rate_delta_max")
    expect(deny.result).toBe("breach")
    expect(deny.lower).toBeGreaterThan(0.02)
    expect(verdict.reason).toContain("deny rate")
  })

  it("breaches newly_allowed on a canary that allows all", () => {
    const strata = [serve(world({ sessions: 150, shadow: true, canary: () => "allow" }))]
    const verdict = judge(
      input([enforce("newly_allowed_rate_max", 0.001), enforce("deny_rate_delta_max")], strata, { shadow: true }),
    )
    expect(verdict).toMatchObject({ result: "breach", cause: "newly_allowed_rate_max" })
  })

  it("tells what is newly denied from what is newly allowed", () => {
    const stratum = createStratum()
    const flips: [number, number][] = [
      [0, 1], // allow → deny: newly denied
      [2, 1], // escalate → deny: neither
      [3, 1], // error → deny: neither
      [1, 0], // deny → allow: newly allowed
      [2, 0], // escalate → allow: newly allowed
      [3, 0], // error → allow: neither
      [0, 2], // allow → escalate: neither
      [0, 0],
      [1, 1],
    ]
    for (let cohort = 0; cohort < COHORTS; cohort++) {
      flips.forEach(([stable, canary], i) => recordPair(stratum, cohort, stable, canary, 1, 1, i === 0))
    }
    const criteria = [
      enforce("newly_denied_rate_max", 0.5),
      enforce("newly_allowed_rate_max", 0.5),
      enforce("error_rate_max", 0.5),
    ]
    const verdict = judge(input(criteria, [stratum], { shadow: true }))
    expect(on(verdict, "newly_denied_rate_max").estimate).toBeCloseTo(1 / 9, 12)
    expect(on(verdict, "newly_allowed_rate_max").estimate).toBeCloseTo(2 / 9, 12)
    expect(on(verdict, "error_rate_max").estimate).toBe(0)
    expect(on(verdict, "newly_denied_rate_max").pairs).toBe(9 * 64)
  })

  it("reads deltas of pairs as canary minus stable", () => {
    const stratum = createStratum()
    for (let cohort = 0; cohort < COHORTS; cohort++) {
      recordPair(stratum, cohort, 0, 1, 1, 1, true)
      recordPair(stratum, cohort, 0, 0, 1, 1, false)
      recordPair(stratum, cohort, 1, 1, 1, 1, false)
      recordPair(stratum, cohort, 0, 3, 1, 1, false)
    }
    const verdict = judge(input(CALLS, [stratum], { shadow: true }))
    expect(on(verdict, "deny_rate_delta_max").estimate).toBeCloseTo(0.25, 12)
    expect(on(verdict, "allow_rate_delta_max").estimate).toBeCloseTo(-0.5, 12)
    expect(on(verdict, "error_rate_delta_max").estimate).toBeCloseTo(0.25, 12)
    expect(on(verdict, "error_rate_max").estimate).toBeCloseTo(0.25, 12)
    expect(on(verdict, "escalate_rate_delta_max").estimate).toBeCloseTo(0, 12)
  })

  it("sees errors in both arms with the absolute limit, not with the delta", () => {
    const failing: World["stable"] = (_, random) => (random() < 0.3 ? "error" : "allow")
    const stratum = serve(world({ stable: failing, canary: (_, mood, random) => failing(mood, random) }))
    const verdict = judge(input([enforce("error_rate_delta_max"), enforce("error_rate_max")], [stratum]))
    expect(verdict).toMatchObject({ result: "breach", cause: "error_rate_max" })
    expect(on(verdict, "error_rate_delta_max").result).toBe("inconclusive")
    expect(Math.abs(on(verdict, "error_rate_delta_max").estimate ?? 1)).toBeLessThan(0.05)
  })

  it("counts the canary's errors while it bakes without a control group", () => {
    const broken = serve(world({ weightBp: 10_000, canary: () => "error" }))
    const verdict = judge(
      input([enforce("error_rate_max"), enforce("error_rate_delta_max")], [broken], { weights: [10_000] }),
    )
    expect(verdict).toMatchObject({ result: "breach", cause: "error_rate_max" })
    expect(on(verdict, "error_rate_delta_max")).toMatchObject({
      noData: "missing",
      evaluations: { stable: 0, canary: 0 },
    })
  })

  it("compares scans and alerts by the arms", () => {
    const stratum = serve(world({ sessions: 3000 }))
    for (let i = 0; i < 6400; i++) {
      recordScan(
        stratum,
        i % 2 === 0 ? 0 : 1,
        i % 64,
        i % 2 === 1 && Math.floor(i / 64) % 2 === 0 ? "flagged" : "clean",
        1,
        i < 1280,
      )
      addTo(stratum, i % 2 === 0 ? 0 : 1, i % 64, {
        observations: 1,
        observed_sessions: i < 1280 ? 1 : 0,
        alerts: i % 2 === 0 && Math.floor(i / 64) % 2 === 0 ? 1 : 0,
      })
    }
    const verdict = judge(
      input([enforce("scan_flag_rate_delta_max"), enforce("alert_rate_delta_max", 0.1)], [stratum], { shadow: true }),
    )
    expect(on(verdict, "scan_flag_rate_delta_max")).toMatchObject({ result: "breach", method: "arms" })
    expect(on(verdict, "scan_flag_rate_delta_max").estimate).toBeCloseTo(0.5, 12)
    expect(on(verdict, "alert_rate_delta_max").estimate).toBeCloseTo(-0.5, 12)
    expect(on(verdict, "alert_rate_delta_max").result).toBe("pass")
  })

  it("compares scans by texts that both arms scanned, weighed as calls that both judged", () => {
    const flagged = createStratum()
    const slow = createStratum()
    for (let i = 0; i < 6400; i++) {
      const cohort = i % 64
      const round = Math.floor(i / 64)
      const flags = round % 10 === 0 ? 1 : 0
      const newly = round % 4 === 1 ? 2 : flags
      recordScanPair(flagged, cohort, flags, newly, 1, 1, i < 640)
      recordScanPair(slow, cohort, flags, flags, 1, 400, i < 640)
    }
    const criteria = [enforce("scan_flag_rate_delta_max"), enforce("scan_latency_p99_delta_max", 50)]
    const [newFlags, slower] = [flagged, slow].map((s) => judge(input(criteria, [s], { shadow: true, weights: [0] })))
    const flags = on(newFlags!, "scan_flag_rate_delta_max")
    expect(flags).toMatchObject({ result: "breach", method: "pairs", pairs: 6400 })
    expect(flags.sources).toMatchObject([
      { source: "arms", weight: expect.closeTo(0.1 / 0.95, 12), logE: 0 },
      { source: "pairs", weight: expect.closeTo(0.85 / 0.95, 12) },
    ])
    expect(flags.estimate).toBeCloseTo(0.25, 12)
    expect(flags.reason).toContain("6,400 texts of 640 sessions, scanned by both")
    expect(on(newFlags!, "scan_latency_p99_delta_max")).toMatchObject({ result: "pass", method: "pairs" })
    expect(on(slower!, "scan_latency_p99_delta_max")).toMatchObject({ result: "breach", method: "pairs" })
    expect(on(slower!, "scan_flag_rate_delta_max")).toMatchObject({ result: "pass", estimate: 0 })
  })

  it("counts a scan that failed as a text that was not flagged, in either arm", () => {
    const stratum = createStratum()
    for (let i = 0; i < 3200; i++) recordScanPair(stratum, i % 64, 3, i % 2 === 0 ? 3 : 0, 1, 1, i < 640)
    const verdict = judge(input([enforce("scan_flag_rate_delta_max")], [stratum], { shadow: true, weights: [0] }))
    expect(on(verdict, "scan_flag_rate_delta_max")).toMatchObject({ result: "pass", estimate: 0, pairs: 3200 })
  })

  it("never breaches by a criterion that only notifies, and never passes for want of one", () => {
    const stratum = serve(world({ canary: () => "deny" }))
    const verdict = judge(input([notify("deny_rate_delta_max"), enforce("error_rate_max")], [stratum]))
    expect(on(verdict, "deny_rate_delta_max").result).toBe("breach")
    expect(verdict.result).not.toBe("breach")
    expect(verdict.cause).toBeUndefined()
    expect(verdict.logEFamily).toBeLessThan(Math.log(20))
    expect(judge(input([notify("deny_rate_delta_max")], [stratum]))).toMatchObject({
      result: "inconclusive",
      logEFamily: 0,
    })
    const passing = [notify("scan_flag_rate_delta_max"), enforce("deny_rate_delta_max")]
    expect(judge(input(passing, [serve(world({ shadow: true }))], { shadow: true })).result).toBe("pass")
    // A notified criterion spends nothing: the enforced one has the whole budget.
    expect(on(verdict, "error_rate_max").alphaBreach).toBe(0.05)
  })

  it("breaches exactly where the average e-value of enforced criteria reaches the inverse of the rate", () => {
    const worse: World["canary"] = (stable, _, random) => (random() < 0.25 ? "deny" : stable)
    let alone = 0
    for (let sessions = 30; sessions <= 240; sessions += 5) {
      const stratum = serve(world({ sessions, weightBp: 5000, random: uniforms(21), canary: worse }))
      const verdict = judge(input([...CALLS, notify("alert_rate_delta_max")], [stratum], { weights: [5000] }))
      const average = verdict.criteria.reduce(
        (sum, c) => sum + (c.mode === "enforce" ? Math.exp(c.logEWorse ?? 0) : 0),
        0,
      )
      expect(verdict.logEFamily).toBeCloseTo(Math.log(average / CALLS.length), 8)
      expect(verdict.result === "breach").toBe(verdict.logEFamily >= Math.log(20))
      expect(verdict.criteria.some(({ result }) => result === "breach")).toBe(verdict.result === "breach")
      for (const { mode, alphaBreach } of verdict.criteria) {
        expect(alphaBreach).toBeCloseTo(mode === "enforce" ? 0.05 / CALLS.length : 0.05, 12)
      }
      const deny = on(verdict, "deny_rate_delta_max").logEWorse ?? 0
      if (verdict.result !== "breach" && deny >= Math.log(20)) alone++
    }
    // Some looks would have breached if each criterion had had the whole budget to itself.
    expect(alone).toBeGreaterThan(0)
  })

  it("weighs sources by what was planned, also when one stays silent", () => {
    const stratum = serve(world({ sessions: 400, canary: () => "deny" }))
    const served = on(judge(input([enforce("deny_rate_delta_max")], [stratum])), "deny_rate_delta_max")
    const shadowed = on(
      judge(input([enforce("deny_rate_delta_max")], [stratum], { shadow: true })),
      "deny_rate_delta_max",
    )
    const weights = (sources: typeof served.sources) =>
      Object.fromEntries((sources ?? []).map((s) => [s.source, s.weight]))
    expect(weights(served.sources)).toEqual({ arms: 0.8, trip: 0.2 })
    expect(weights(shadowed.sources)).toEqual({ arms: 0.1, pairs: 0.85, trip: 0.05 })
    expect(shadowed.logEWorse).toBeCloseTo((served.logEWorse ?? 0) + Math.log(0.1 / 0.8), 8)
    // The breach came from the arms, so they are shown although the pass would have come from pairs.
    expect(shadowed).toMatchObject({ result: "breach", method: "arms" })
  })

  it("does not pass on served sessions where pairs were named before the data", () => {
    const stratum = serve(world({ sessions: 6000, weightBp: 5000 }))
    const criteria = [enforce("deny_rate_delta_max", 0.05)]
    expect(judge(input(criteria, [stratum], { weights: [5000] })).result).toBe("pass")
    expect(judge(input(criteria, [stratum], { weights: [5000], shadow: true })).result).toBe("inconclusive")
  })
})

describe("a limit of 0", () => {
  const never = [enforce("newly_allowed_rate_max", 0)]

  it("is broken by the first event, however few sessions there are", () => {
    const stratum = createStratum()
    recordPair(stratum, 3, 1, 0, 1, 1, true)
    const verdict = judge(input(never, [stratum], { shadow: true }))
    expect(verdict).toMatchObject({ result: "breach", cause: "newly_allowed_rate_max" })
    expect(verdict.reason).toContain("first event")
    expect(Number.isFinite(verdict.logEFamily)).toBe(true)
    const one = { ...never[0], mode: "notify" } as Criterion
    expect(judge(input([one, enforce("deny_rate_delta_max")], [stratum], { shadow: true })).result).toBe("inconclusive")
  })

  it("is broken by an event in a world that the canary has made, too", () => {
    const stratum = serve(world({ sessions: 100, shadow: true }))
    recordPairAfter(stratum, 3, 2, 0)
    const verdict = judge(input(never, [stratum], { shadow: true }))
    expect(verdict).toMatchObject({ result: "breach", cause: "newly_allowed_rate_max" })
    const pairs = stratum.pairs.reduce((a, b) => a + b, 0)
    expect(on(verdict, "newly_allowed_rate_max").pairs).toBe(pairs + 1)
    // A rate is not inferred from there.
    const rate = on(
      judge(input([enforce("newly_allowed_rate_max")], [stratum], { shadow: true })),
      "newly_allowed_rate_max",
    )
    expect(rate.pairs).toBe(pairs)
    expect(rate.estimate).toBeCloseTo(0, 12)
  })

  it("is broken with bounds around the estimate", () => {
    for (const sessions of [5, 60, 1500]) {
      const stratum = serve(world({ sessions, shadow: true, canary: () => "allow" }))
      recordPair(stratum, 3, 1, 0, 1, 1, true)
      const found = on(judge(input(never, [stratum], { shadow: true })), "newly_allowed_rate_max")
      expect(found.result).toBe("breach")
      expect(found.lower).toBeGreaterThan(0)
      expect(found.lower).toBeLessThan(found.estimate ?? NaN)
      if (sessions >= 50) expect(found.upper).toBeGreaterThan(found.estimate ?? NaN)
    }
  })

  it("has no number before it has the sessions for one", () => {
    const stratum = createStratum()
    recordPair(stratum, 3, 1, 1, 1, 1, true)
    const found = on(judge(input(never, [stratum], { shadow: true })), "newly_allowed_rate_max")
    expect(found).toMatchObject({ noData: "insufficient", estimate: null, lower: null, upper: null })
  })

  it("also bounds errors absolutely, in either source", () => {
    const stratum = createStratum()
    addTo(stratum, 1, 5, { evaluations: 1, error: 1, sessions: 1 })
    for (const shadow of [false, true]) {
      expect(judge(input([enforce("error_rate_max", 0)], [stratum], { shadow })).result).toBe("breach")
    }
  })

  it("is never passed, but stops holding the rollout once zero events bound the rate below 1 in 200", () => {
    const calm = (sessions: number): Verdict =>
      judge(
        input([...never, enforce("deny_rate_delta_max")], [serve(world({ sessions, shadow: true }))], { shadow: true }),
      )
    const few = calm(200)
    expect(on(few, "deny_rate_delta_max").result).toBe("pass")
    expect(few.result).toBe("inconclusive")
    expect(on(few, "newly_allowed_rate_max").upper).toBeGreaterThan(0.005)
    const many = calm(2000)
    expect(many.result).toBe("pass")
    expect(on(many, "newly_allowed_rate_max")).toMatchObject({ result: "inconclusive", estimate: 0, lower: 0 })
    expect(on(many, "newly_allowed_rate_max").upper).toBeLessThanOrEqual(0.005)
    expect(on(many, "newly_allowed_rate_max").upper).toBeGreaterThan(0)
    expect(on(many, "newly_allowed_rate_max").reason).toContain("no sample can show")
  })
})

describe("no data", () => {
  it("is neither pass nor breach when nothing was judged", () => {
    const verdict = judge(input(ALL, [createStratum()], { shadow: true }))
    expect(verdict).toMatchObject({ result: "inconclusive", noData: "zero", logEFamily: expect.closeTo(0, 9) })
    for (const criterion of verdict.criteria) {
      expect(criterion).toMatchObject({
        result: "inconclusive",
        noData: "zero",
        estimate: null,
        lower: null,
        upper: null,
        logEWorse: null,
      })
    }
  })

  it("is missing for what is not collected, and holds the pass without hiding the rest", () => {
    const stratum = serve(world({ shadow: true }))
    const verdict = judge(
      input([enforce("scan_flag_rate_delta_max"), enforce("deny_rate_delta_max")], [stratum], { shadow: true }),
    )
    expect(on(verdict, "scan_flag_rate_delta_max").noData).toBe("missing")
    expect(on(verdict, "deny_rate_delta_max").result).toBe("pass")
    expect(verdict.result).toBe("inconclusive")
    expect(verdict.noData).toBeUndefined()
    const broken = serve(world({ canary: () => "deny" }))
    expect(judge(input([enforce("scan_flag_rate_delta_max"), enforce("deny_rate_delta_max")], [broken])).result).toBe(
      "breach",
    )
  })

  it("of what only served sessions tell does not hold a shadow stage, but every stage after it", () => {
    const criteria = [enforce("deny_rate_delta_max"), enforce("alert_rate_delta_max")]
    const strata = [serve(world({ shadow: true }))]
    expect(judge(input(criteria, strata, { weights: [0], shadow: true })).result).toBe("pass")
    expect(judge(input(criteria, [...strata, createStratum()], { weights: [0, 500], shadow: true }))).toMatchObject({
      result: "inconclusive",
      reason: expect.stringContaining("alert_rate_delta_max"),
    })
    const alertsAlone = [enforce("alert_rate_delta_max")]
    expect(judge(input(alertsAlone, strata, { weights: [0], shadow: true })).result).toBe("pass")
    expect(judge(input(alertsAlone, strata, { weights: [10_000], shadow: true })).result).toBe("inconclusive")
  })

  it("is what a gap in the evidence is: nothing passes over it, and a breach is one all the same", () => {
    const gap = { noData: "stale", detail: "1 of 3 processes is not scraped" } as const
    const criteria = [enforce("deny_rate_delta_max")]
    const within = (stratum: Stratum): JudgeInput => {
      const whole = input(criteria, [stratum], { shadow: true })
      return { ...whole, evidence: { ...whole.evidence, gap } }
    }
    const healthy = serve(world({ shadow: true }))
    expect(judge(input(criteria, [healthy], { shadow: true })).result).toBe("pass")
    expect(judge(within(healthy))).toMatchObject({
      result: "inconclusive",
      noData: "stale",
      reason: "the evidence is too old to judge by: 1 of 3 processes is not scraped",
      criteria: [{ result: "pass" }],
    })
    const broken = judge(within(serve(world({ canary: () => "deny", shadow: true }))))
    expect(broken).toMatchObject({ result: "breach", cause: "deny_rate_delta_max" })
    expect(broken.noData).toBeUndefined()
  })

  it("is insufficient below the sessions that a variance needs", () => {
    const stratum = createStratum()
    for (let i = 0; i < 19; i++) addTo(stratum, 0, i, { evaluations: 3, allow: 3, sessions: 1, first_allow: 1 })
    for (let i = 0; i < 5; i++) addTo(stratum, 1, i, { evaluations: 3, deny: 3, sessions: 1, first_deny: 1 })
    const criteria = [enforce("deny_rate_delta_max")]
    expect(on(judge(input(criteria, [stratum])), "deny_rate_delta_max").noData).toBe("insufficient")
    addTo(stratum, 0, 19, { evaluations: 3, allow: 3, sessions: 1, first_allow: 1 })
    expect(on(judge(input(criteria, [stratum])), "deny_rate_delta_max").noData).toBeUndefined()
    addTo(stratum, 1, 4, { sessions: -1 })
    expect(on(judge(input(criteria, [stratum])), "deny_rate_delta_max").noData).toBe("insufficient")
  })

  it("is insufficient below five paired sessions", () => {
    const pairs = (sessions: number) =>
      on(
        judge(input([enforce("newly_denied_rate_max")], [serve(world({ sessions, shadow: true }))], { shadow: true })),
        "newly_denied_rate_max",
      )
    expect(pairs(4).noData).toBe("insufficient")
    expect(pairs(5).noData).toBeUndefined()
  })

  it("does not pass below 30 sessions an arm or 50 paired ones, however good they look", () => {
    const calm: World["stable"] = () => "allow"
    const pairs = (sessions: number) =>
      judge(
        input([enforce("newly_denied_rate_max", 0.9)], [serve(world({ sessions, stable: calm, shadow: true }))], {
          shadow: true,
        }),
      )
    expect(pairs(49)).toMatchObject({ result: "inconclusive" })
    expect(on(pairs(49), "newly_denied_rate_max").logEWithin).toBeGreaterThan(Math.log(20))
    expect(pairs(50).result).toBe("pass")
    const arms = (canarySessions: number): Verdict => {
      const stratum = createStratum()
      for (let i = 0; i < 128; i++) addTo(stratum, 0, i % 64, { evaluations: 10, allow: 10, sessions: 1 })
      for (let i = 0; i < canarySessions; i++) addTo(stratum, 1, i, { evaluations: 10, allow: 10, sessions: 1 })
      return judge(input([enforce("deny_rate_delta_max", 0.9)], [stratum]))
    }
    const errors = (canarySessions: number): Result => {
      const stratum = createStratum()
      for (let i = 0; i < canarySessions; i++) addTo(stratum, 1, i, { evaluations: 10, allow: 10, sessions: 1 })
      return on(judge(input([enforce("error_rate_max", 0.9)], [stratum])), "error_rate_max").result
    }
    expect(errors(29)).toBe("inconclusive")
    expect(errors(30)).toBe("pass")
    expect(arms(29).result).toBe("inconclusive")
    expect(arms(30).result).toBe("pass")
  })

  it("is made by the caller for evidence that never came", () => {
    const made = noDataVerdict("stale", {
      criteria: ALL,
      shadow: true,
      falseAlarmRate: 0.05,
      generation: 4,
      at: 9,
      detail: "12 min old",
    })
    expect(made).toMatchObject({ result: "inconclusive", noData: "stale", generation: 4, at: 9 })
    expect(made.reason).toContain("12 min old")
    expect(made.criteria.map(({ criterion }) => criterion)).toEqual([...CRITERIA])
    expect(made.criteria.every(({ noData, result }) => noData === "stale" && result === "inconclusive")).toBe(true)
    expect(explain(made)).toContain("NO DATA (stale)")
  })
})

describe("sample ratio", () => {
  it("keeps a broken split from passing, and never masks a breach", () => {
    const skewed = serve(world({ weightBp: 4000, shadow: true }))
    const good = judge(input([enforce("deny_rate_delta_max")], [skewed], { shadow: true }))
    expect(good.srm).toMatchObject({ flagged: true, short: "stable" })
    expect(on(good, "deny_rate_delta_max").result).toBe("pass")
    expect(good.result).toBe("inconclusive")
    expect(good.reason).toContain("stable arm")
    const bad = judge(input([enforce("deny_rate_delta_max")], [serve(world({ weightBp: 4000, canary: () => "deny" }))]))
    expect(bad.srm.flagged).toBe(true)
    expect(bad.result).toBe("breach")
  })

  it("looks only at strata in which both arms are served", () => {
    const all = serve(world({ weightBp: 10_000 }))
    const none = serve(world({ weightBp: 0 }))
    const verdict = judge(input([enforce("deny_rate_delta_max")], [none, all], { weights: [0, 10_000] }))
    expect(verdict.srm).toMatchObject({ flagged: false, logBayesFactor: 0, observed: { stable: 0, canary: 0 } })
    expect(verdict.sessions).toEqual({ stable: 1500, canary: 1500, paired: 0 })
  })
})

describe("strata", () => {
  it("do not breach two equal releases whose traffic drifts along the ramp, where pooled counts would", () => {
    const random = uniforms(11)
    const drift = [0.02, 0.1, 0.2, 0.35]
    const weights = [100, 1000, 5000, 9000]
    const strata = drift.map((rate, i) => {
      const base: World["stable"] = (_, random) => (random() < rate ? "deny" : "allow")
      return serve(world({ sessions: 3000, weightBp: weights[i] ?? 0, stable: base, random }))
    })
    const criteria = [enforce("deny_rate_delta_max")]
    const kept = judge(input(criteria, strata, { weights }))
    expect(kept.result).not.toBe("breach")
    expect(Math.abs(on(kept, "deny_rate_delta_max").estimate ?? 1)).toBeLessThan(0.02)
    const [first, ...rest] = strata.map((stratum): Evidence => ({ generation: 1, strata: [stratum] }))
    const pooled = rest.reduce(mergeEvidence, first ?? { generation: 1, strata: [] }).strata
    expect(judge(input(criteria, pooled, { weights: [3775] })).result).toBe("breach")
  })

  it("from before the ramp are not compared, but their pairs are", () => {
    const before = serve(world({ weightBp: 2000, shadow: true, canary: () => "deny" }))
    const evidence = { generation: 1, strata: [before] }
    const arms = judge(input([enforce("deny_rate_delta_max")], [], { evidence }))
    expect(on(arms, "deny_rate_delta_max").noData).toBe("missing")
    const pairs = judge(input([enforce("deny_rate_delta_max")], [], { evidence, shadow: true }))
    expect(pairs).toMatchObject({ result: "breach", cause: "deny_rate_delta_max" })
  })

  it("of a canary that serves everybody speak against it, and not for it", () => {
    const rates = ["deny_rate_delta_max", "latency_p99_delta_max", "newly_denied_rate_max"] as const
    const criteria = rates.map((name) => enforce(name, name.includes("latency") ? 50 : 0.02))
    const asked = (over: Partial<World>, weight: number) =>
      judge(
        input(criteria, [serve(world({ sessions: 2000, shadow: true, ...over }))], { shadow: true, weights: [weight] }),
      )
    expect(asked({}, 0).result).toBe("pass")
    const alone = asked({}, 10_000)
    for (const verdict of alone.criteria) {
      expect(verdict).toMatchObject({ result: "inconclusive", upper: null, noData: undefined })
      expect(verdict.estimate).not.toBeNull()
    }
    const denying = asked({ canary: () => "deny" }, 10_000)
    expect(denying).toMatchObject({ result: "breach" })
    expect(on(denying, "deny_rate_delta_max").lower).toBeGreaterThan(0.5)
  })

  it("without a control group add nothing to a comparison", () => {
    const split = serve(world())
    const alone = serve(world({ weightBp: 10_000, canary: () => "deny", random: uniforms(8) }))
    const criteria = [enforce("deny_rate_delta_max")]
    const both = judge(input(criteria, [split, alone], { weights: [2000, 10_000] }))
    expect(both.criteria).toEqual(judge(input(criteria, [split])).criteria)
  })
})

describe("evidence", () => {
  const broken: [string, (s: Stratum) => void, RegExp][] = [
    [
      "cell NaN",
      (s) => (s.cells[cellIndex(1, 5, CELLS.indexOf("deny"))] = NaN),
      /strata\[1\]\.cells \(canary, cohort 5, deny\).*NaN/,
    ],
    [
      "cell negative",
      (s) => (s.cells[cellIndex(0, 63, 0)] = -1),
      /strata\[1\]\.cells \(stable, cohort 63, evaluations\).*-1/,
    ],
    ["cell infinite", (s) => (s.cells[cellIndex(0, 0, 0)] = Infinity), /Infinity/],
    [
      "pair negative",
      (s) => (s.pairs[pairIndex(9, 1, 3)] = -2),
      /strata\[1\]\.pairs \(cohort 9, stable deny, canary error\)/,
    ],
    ["scan pairs negative", (s) => (s.scanPairs[3] = -1), /scanPairs \(cohort 0, stable clean, canary error\)/],
    ["paired sessions NaN", (s) => (s.pairedSessions[2] = NaN), /pairedSessions \(cohort 2\)/],
  ]
  it.each(broken)("that is not made of counts is refused by name: %s", (_, breakIt, message) => {
    const stratum = serve(world({ sessions: 40, shadow: true }))
    breakIt(stratum)
    const judged = (): Verdict => judge(input(ALL, [stratum], { shadow: true }))
    expect(judged).toThrow(RangeError)
    expect(judged).toThrow(message)
  })

  it("of another shape, or of another ramp, is refused", () => {
    const short = { ...createStratum(), latency: new Uint32Array(10) }
    expect(() => judge(input(ALL, [short]))).toThrow(/latency: must have 106624 cells, got 10/)
    expect(() => judge(input(ALL, [createStratum(), createStratum()], { weights: [500] }))).toThrow(/ramp of 1 entries/)
    expect(() => judge(input(ALL, [createStratum()], { weights: [10_001] }))).toThrow(/weightBp/)
  })

  it.each([
    [{ falseAlarmRate: 0 }, /falseAlarmRate/],
    [{ falseAlarmRate: 0.6 }, /falseAlarmRate/],
    [{ at: NaN }, /at: must be ms/],
    [{ criteria: [enforce("deny_rate_delta_max", 1.5)] }, /max of deny_rate_delta_max/],
    [{ criteria: [enforce("deny_rate_delta_max", NaN)] }, /got NaN/],
    [{ criteria: [enforce("latency_p99_delta_max", -1)] }, /max of latency/],
    [{ criteria: [enforce("error_rate_max"), enforce("error_rate_max", 0.5)] }, /named twice/],
  ])("is not looked at with settings out of range: %o", (over, message) => {
    expect(() => judge({ ...input(ALL, [createStratum()]), ...over })).toThrow(message)
  })

  const counts = fc.record({
    seed: fc.integer({ min: 1, max: 1e6 }),
    sessions: fc.integer({ min: 0, max: 120 }),
    weightBp: fc.constantFrom(0, 1, 500, 5000, 9999, 10_000),
    shadow: fc.boolean(),
    extreme: fc.constantFrom("deny", "allow", "error", "escalate", "alike" as const),
    max: fc.constantFrom(0, 1e-4, 0.02, 1),
  })

  it("of any size gives numbers or null, never NaN, and survives JSON", () => {
    fc.assert(
      fc.property(fc.array(counts, { minLength: 0, maxLength: 3 }), fc.constantFrom(0, 1e-4, 0.02, 1), (parts, max) => {
        const strata = parts.map((part) =>
          serve({
            ...part,
            random: uniforms(part.seed),
            stable: denying,
            canary: part.extreme === "alike" ? alike : () => part.extreme as "deny",
          }),
        )
        const criteria = CRITERIA.map((name) => enforce(name, name.includes("latency") ? max * 1000 : max))
        const verdict = judge(
          input(criteria, strata, { weights: parts.map((p) => p.weightBp), shadow: parts.length % 2 === 0 }),
        )
        const walk = (value: unknown, path: string): void => {
          if (typeof value === "number") expect(Number.isFinite(value), `${path} is ${value}`).toBe(true)
          else if (typeof value === "object" && value !== null) {
            for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`)
          }
        }
        walk(verdict, "verdict")
        expect(explain(verdict)).not.toMatch(/NaN|undefined|Infinity/)
        expect(JSON.parse(JSON.stringify(verdict))).toEqual(JSON.parse(JSON.stringify({ ...verdict })))
      }),
      { numRuns: runs(60) },
    )
  })

  it("gives the same verdict whichever cohort is which", () => {
    const turn = <T extends Float64Array | Uint32Array>(values: T, rows: number, by: number): T => {
      const width = values.length / (rows * COHORTS)
      return values.map((_: number, i: number) => {
        const row = Math.floor(i / width)
        const cohort = (row + by) % COHORTS
        return values[(Math.floor(row / COHORTS) * COHORTS + cohort) * width + (i % width)] ?? NaN
      }) as T
    }
    const stratum = serve(
      world({ sessions: 800, weightBp: 5000, shadow: true, canary: (s, _, r) => (r() < 0.03 ? "deny" : s) }),
    )
    const turned: Stratum = {
      cells: turn(stratum.cells, 2, 17),
      pairs: turn(stratum.pairs, 1, 17),
      pairsAfter: turn(stratum.pairsAfter, 1, 17),
      pairedSessions: turn(stratum.pairedSessions, 1, 17),
      latency: turn(stratum.latency, 2, 17),
      pairedLatency: turn(stratum.pairedLatency, 2, 17),
      scanLatency: turn(stratum.scanLatency, 2, 17),
      scanPairs: turn(stratum.scanPairs, 1, 17),
      scanPairedSessions: turn(stratum.scanPairedSessions, 1, 17),
      pairedScanLatency: turn(stratum.pairedScanLatency, 2, 17),
    }
    const before = judge(input(CALLS, [stratum], { shadow: true, weights: [5000] }))
    const after = judge(input(CALLS, [turned], { shadow: true, weights: [5000] }))
    expect(after.result).toBe(before.result)
    before.criteria.forEach((criterion, i) => {
      expect(after.criteria[i]?.result).toBe(criterion.result)
      for (const key of ["estimate", "lower", "upper", "logEWorse", "logEWithin"] as const) {
        expect(after.criteria[i]?.[key]).toBeCloseTo(criterion[key] ?? NaN, 8)
      }
    })
  })

  it("gives the same verdict however it was split over processes", () => {
    const parts = [1, 2, 3].map((seed) => serve(world({ sessions: 300, shadow: true, random: uniforms(seed) })))
    const evidence = parts.map((stratum): Evidence => ({ generation: 1, strata: [createStratum(), stratum] }))
    const [a, b, c] = evidence as [Evidence, Evidence, Evidence]
    const one = judge(
      input(CALLS, [], { evidence: mergeEvidence(mergeEvidence(a, b), c), weights: [2000], shadow: true }),
    )
    const other = judge(
      input(CALLS, [], { evidence: mergeEvidence(c, mergeEvidence(b, a)), weights: [2000], shadow: true }),
    )
    expect(other).toEqual(one)
  })
})

describe("bounds", () => {
  it("are consistent with results: a pass has its upper bound within the limit, and a clear breach its lower beyond", () => {
    for (const excess of [0, 0.01, 0.02, 0.05, 0.1, 0.3]) {
      const canary: World["canary"] = (stable, _, random) => (random() < excess ? "deny" : stable)
      const stratum = serve(world({ sessions: 1000, weightBp: 5000, canary, shadow: true }))
      for (const shadow of [false, true]) {
        const deny = on(
          judge(input([enforce("deny_rate_delta_max")], [stratum], { weights: [5000], shadow })),
          "deny_rate_delta_max",
        )
        expect(deny.lower).toBeLessThan(deny.estimate ?? NaN)
        expect(deny.upper).toBeGreaterThan(deny.estimate ?? NaN)
        if (deny.result !== "breach") expect(deny.result === "pass").toBe((deny.upper ?? NaN) <= 0.02)
        if ((deny.lower ?? NaN) > 0.06) expect(deny.result).toBe("breach")
      }
    }
  })

  it("come with the numbers that a reader can check them by", () => {
    const stratum = serve(world({ sessions: 2000 }))
    const deny = on(judge(input([enforce("deny_rate_delta_max")], [stratum])), "deny_rate_delta_max")
    const column = (arm: 0 | 1, cell: number) =>
      Float64Array.from({ length: COHORTS }, (_, cohort) => stratum.cells[cellIndex(arm, cohort, cell)] ?? NaN)
    const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0)
    const tally = (arm: 0 | 1) => ({ events: column(arm, 2), trials: column(arm, 0), sessions: sum(column(arm, 5)) })
    const delta = rateDelta(tally(0), tally(1), 0.02)
    expect(deny.estimate).toBeCloseTo(delta.estimate, 12)
    expect(deny.effectiveSize).toBeCloseTo(sum(column(1, 0)) / delta.deff, 6)
    expect(deny.evaluations).toEqual({ stable: sum(column(0, 0)), canary: sum(column(1, 0)) })
    expect(deny.sessions).toEqual({ stable: sum(column(0, 5)), canary: sum(column(1, 5)) })
  })
})
