import { describe, expect, it } from "vitest"
import { deffOf, type Setting } from "../../src/analysis/expected.js"
import { breachNeed, passNeed } from "../../src/analysis/power.js"
import { workloadOf } from "../../src/analysis/workload.js"
import type { CriterionName } from "../../src/model/verdict.js"
import { enforce } from "./traffic.js"

// The model of a plan, written down a second time in Python with scipy 1.17.1: variances at the limit and in truth, first passages of
// the normal mixture, bets on the events to be expected, the trip's walk.

const WORKLOAD = workloadOf({
  sessionsPerMinute: 30,
  callsPerSession: 10,
  kish: 15,
  correlation: 0.2,
  churn: 0.01,
  slowShare: 0.003,
  rates: { deny: 0.05, escalate: 0.03, error: 0.005, flagged: 0.02, alerts: 0.03 },
})
const CERTAIN = { ...WORKLOAD, churn: 0 }

const setting = (share: number, sample: number, enforced: number, before = { arms: 0, pairs: 0 }): Setting => ({
  share,
  sample,
  enforced,
  before,
  falseAlarmRate: 0.05,
})

const canary = setting(0.05, 1, 4, { arms: 1, pairs: 2 })
const served = setting(0.25, 0, 1)
const shadow = setting(0, 0.5, 2)
const everybody = setting(1, 0.1, 2, { arms: 2, pairs: 3 })
const second = setting(0.05, 0, 2, { arms: 1, pairs: 1 })
const hundredth = setting(0.01, 0, 1)
const alone = setting(1, 0, 1, { arms: 1, pairs: 1 })

/** The mixture is solved to a thousandth, what is bet on to the session. */
function expectAbout(actual: number, expected: number): void {
  if (!Number.isFinite(expected)) return expect(actual).toBe(expected)
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(0.0016 * expected)
}

describe("what a pass takes", () => {
  it.each<[Setting, CriterionName, number, "arms" | "pairs", number, number, number, number]>([
    [canary, "deny_rate_delta_max", 0.02, "pairs", 88.90469416785206, 17488.27163465, 24821.78094647, 50],
    [canary, "allow_rate_delta_max", 0.02, "pairs", 88.90469416785206, 17488.27163465, 24821.78094647, 50],
    [canary, "alert_rate_delta_max", 0.02, "arms", 2.683555173894375, 16204.4041955, 26226.56814741, 600],
    [canary, "error_rate_max", 0.01, "pairs", 265.81605528973944, 289738.497533, 453312.525817, 50],
    [canary, "newly_denied_rate_max", 0.02, "pairs", 134.2642320085929, 32376.75822016, 44309.39399348, 50],
    [canary, "newly_denied_rate_max", 0, "pairs", 2.631578947368421, Infinity, Infinity, 0],
    [canary, "latency_p99_delta_max", 50, "pairs", 2.631578947368421, 787, 1383, 100],
    [served, "deny_rate_delta_max", 0.02, "arms", 8.128847654556488, 15542.0652984, 26746.84576925, 120],
    [served, "allow_rate_delta_max", 0.02, "arms", 6.3442115413896305, 14677.43078864, 27290.3998177, 120],
    [served, "alert_rate_delta_max", 0.02, "arms", 11.501656238498342, 15976.09516933, 26417.84145921, 120],
    [served, "scan_flag_rate_delta_max", 0.02, "arms", 14.641574262064657, 16390.71824851, 26059.94332913, 120],
    [served, "error_rate_max", 0.01, "arms", 66.45401382243486, 289738.497533, 453312.525817, 120],
    [served, "latency_p99_delta_max", 50, "arms", 49.840510366826145, 140432.266581, 217316.471394, 400 / 3],
    [shadow, "deny_rate_delta_max", 0.02, "pairs", 44.45234708392603, 17488.27163465, 24821.78094647, 100],
    [shadow, "alert_rate_delta_max", 0.02, "arms", 0, 14677.43078864, 27290.3998177, Infinity],
    [shadow, "latency_p99_delta_max", 50, "pairs", 1.3157894736842104, 787, 1383, 200],
    [everybody, "error_rate_max", 0.01, "pairs", 26.581605528973945, 289738.497533, 453312.525817, 500],
    [everybody, "alert_rate_delta_max", 0.02, "arms", 0, 14677.43078864, 27290.3998177, Infinity],
    [everybody, "latency_p99_delta_max", 50, "pairs", 0.2631578947368421, 787, 1383, 1000],
    [alone, "error_rate_max", 0.01, "arms", 265.81605528973944, 289738.497533, 453312.525817, 30],
  ])("%o, %s of %d: by %s", (where, name, max, source, perSession, typical, likely, least) => {
    const need = passNeed(enforce(name, max), WORKLOAD, where)
    expect(need.source).toBe(source)
    expect(need.perSession).toBeCloseTo(perSession, 9)
    expectAbout(need.typical, typical)
    expectAbout(need.likely, likely)
    expect(need.least).toBeCloseTo(least, 9)
  })

  it("is for a limit of 0 the effective calls that bound it, where releases are sure of themselves", () => {
    const found = passNeed(enforce("newly_denied_rate_max", 0), CERTAIN, canary)
    expect(found).toMatchObject({ source: "pairs", typical: 1438, likely: 1438, least: 0 })
    expect(found.perSession).toBeCloseTo(10 / 3.8, 12)
    expect(passNeed(enforce("error_rate_max", 0), CERTAIN, served).perSession).toBeCloseTo(2.5 / 3.8, 12)
  })

  it("reckons with noise even of releases that never differ, and with half of what they differ by themselves", () => {
    const never = passNeed(enforce("deny_rate_delta_max"), CERTAIN, canary)
    expect(never.perSession).toBeCloseTo(134.2642320085929, 9)
    expectAbout(never.typical, 18887.92131790296)
    expectAbout(never.likely, 21622.70965735934)
    const often = { ...WORKLOAD, churn: 0.03 }
    const flips = passNeed(enforce("newly_denied_rate_max"), often, canary)
    expectAbout(flips.typical, 319298.38161108905)
    expectAbout(flips.likely, 537919.1984866754)
    const deny = passNeed(enforce("deny_rate_delta_max"), often, canary)
    expect(deny.perSession).toBeCloseTo(53.0560271646859, 9)
    expectAbout(deny.likely, 26151.205579403657)
    expect(deffOf("pairs", { ...WORKLOAD, correlation: 0.05 })).toBeCloseTo(1 + 0.1 * 14, 12)
    expect(deffOf("arms", { ...WORKLOAD, correlation: 0.05 })).toBeCloseTo(1 + 0.05 * 14, 12)
  })

  it("is never where the truth is beyond the limit", () => {
    const beyond = { ...WORKLOAD, rates: { ...WORKLOAD.rates, error: 0.02 } }
    expect(passNeed(enforce("error_rate_max", 0.01), beyond, served)).toMatchObject({ typical: Infinity })
    const slow = { ...WORKLOAD, slowShare: 0.012 }
    expect(passNeed(enforce("latency_p99_delta_max", 50), slow, canary)).toMatchObject({ typical: Infinity })
  })
})

describe("what a breach takes", () => {
  it.each<[Setting, CriterionName, number, number, number, number]>([
    [canary, "deny_rate_delta_max", 0.02, 0.06, 231, 314],
    [canary, "deny_rate_delta_max", 0.02, 0.9, 7, 7],
    [canary, "alert_rate_delta_max", 0.02, 0.1, 2938, 3787],
    [canary, "scan_flag_rate_delta_max", 0.02, 0.1, 83, 109],
    [canary, "error_rate_max", 0.01, 0.03, 212, 303],
    [canary, "error_rate_max", 0.01, 0.6, 5, 5],
    [canary, "newly_denied_rate_max", 0.02, 0.05, 195, 290],
    [canary, "newly_denied_rate_max", 0, 0.02, 3, 7],
    [canary, "newly_denied_rate_max", 0, 1, 1, 1],
    [canary, "latency_p99_delta_max", 50, 0.04, 332, 454],
    [canary, "latency_p99_delta_max", 50, 0.3, 100, 100],
    [shadow, "latency_p99_delta_max", 50, 0.02, 2051, 2940],
    [served, "deny_rate_delta_max", 0.02, 0.06, 912, 1421],
    [served, "alert_rate_delta_max", 0.02, 0.1, 353, 482],
    [served, "scan_flag_rate_delta_max", 0.02, 0.1, 323, 440],
    [served, "error_rate_max", 0.01, 0.03, 594, 1017],
    [served, "error_rate_max", 0.01, 0.6, 11, 18],
    [served, "latency_p99_delta_max", 50, 0.04, 701, 1009],
    [shadow, "deny_rate_delta_max", 0.02, 0.06, 226, 348],
    [shadow, "deny_rate_delta_max", 0.02, 0.9, 10, 10],
    [shadow, "alert_rate_delta_max", 0.02, 0.1, Infinity, Infinity],
    [shadow, "error_rate_max", 0.01, 0.03, 265, 416],
    [shadow, "newly_denied_rate_max", 0, 0.02, 6, 13],
    [shadow, "latency_p99_delta_max", 50, 0.04, 314, 485],
    [everybody, "deny_rate_delta_max", 0.02, 0.9, 61, 66],
    [everybody, "alert_rate_delta_max", 0.02, 0.1, Infinity, Infinity],
    [everybody, "error_rate_max", 0.01, 0.6, 5, 7],
    [everybody, "newly_denied_rate_max", 0.02, 0.05, 1886, 2824],
    [second, "deny_rate_delta_max", 0.02, 0.5, 322, 465],
    [second, "deny_rate_delta_max", 0.02, 1, 100, 100],
    [second, "error_rate_max", 0.01, 1, 37, 37],
    [setting(0.05, 0, 2, { arms: 2, pairs: 1 }), "deny_rate_delta_max", 0.02, 0.5, 345, 492],
    [setting(0, 0.3, 2), "deny_rate_delta_max", 0.02, 0.95, 17, 17],
    [second, "deny_rate_delta_max", 0.02, 0.99, 100, 100],
    [second, "error_rate_max", 0.01, 0.2, 561, 1493],
    [second, "error_rate_max", 0, 0.2, 7, 15],
    [hundredth, "deny_rate_delta_max", 0.02, 0.9, 399, 452],
    [hundredth, "deny_rate_delta_max", 0.02, 0.5, 919, 1472],
    [hundredth, "deny_rate_delta_max", 0.02, 0.99, 374, 374],
    [hundredth, "error_rate_max", 0.01, 0.6, 253, 443],
    [hundredth, "error_rate_max", 0.01, 0.2, 2095, 5126],
    [alone, "error_rate_max", 0.01, 0.6, 4, 6],
    [alone, "error_rate_max", 0.01, 0.03, 246, 379],
  ])("%o, %s of %d: a canary worse by %d", (where, name, max, effect, typical, likely) => {
    const need = breachNeed(enforce(name, max), WORKLOAD, where, effect)
    expectAbout(need.typical, typical)
    expectAbout(need.likely, likely)
  })
})
