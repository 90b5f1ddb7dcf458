import { describe, expect, it } from "vitest"
import { informationNeeded } from "../../src/analysis/passage.js"
import { plan, type PlannedSpec } from "../../src/analysis/plan.js"
import type { Traffic } from "../../src/analysis/workload.js"
import type { Criterion } from "../../src/model/verdict.js"
import { median, sessionsUntil, TRAFFIC, type Rollouts } from "./rollouts.js"
import { enforce, notify } from "./traffic.js"

const HOUR = 3_600_000
const BUSY: Traffic = { sessionsPerMinute: 30, callsPerSession: 10, kish: 15 }

function specOf(criteria: readonly Criterion[], over: Partial<PlannedSpec> = {}): PlannedSpec {
  const stages = [0, 500, 2500, 10_000].map((weightBp) => ({ weightBp, periodMs: HOUR }))
  return { stages, shadowSampleBp: 10_000, criteria, minSessions: 50, falseAlarmRate: 0.05, maxStageMs: null, ...over }
}

const only = (weightBp: number, criterion: Criterion, shadow = true): PlannedSpec =>
  specOf([criterion], { stages: [{ weightBp, periodMs: 0 }], shadowSampleBp: shadow ? 10_000 : 0, minSessions: 1 })

describe("information needed", () => {
  // Simulated with the reference prototype: units of 1/excess², τ = excess.
  it.each([
    [0.05, 6.0, 10.7],
    [0.0125, 9.3, 15.3],
    [0.01, 9.7, 15.8],
  ])("at a level of %f is within 5 %% of what simulations took", (alpha, typical, likely) => {
    const question = { excess: 1, alpha, rho: 1, noise: 1 }
    expect(informationNeeded(question, 0.5) / typical).toBeCloseTo(1, 1)
    expect(informationNeeded(question, 0.8) / likely).toBeCloseTo(1, 1)
  })

  it.each([
    [0.1, 24.3],
    [0.25, 11.5],
    [0.5, 7.5],
    [2, 6.1],
    [4, 7.1],
    [8, 8.6],
  ])("for an excess that is %f times smaller than looked for as well", (tau, typical) => {
    const needed = informationNeeded({ excess: 1, alpha: 0.05, rho: 1 / tau ** 2, noise: 1 }, 0.5)
    expect(needed / typical).toBeGreaterThan(0.94)
    expect(needed / typical).toBeLessThan(1.06)
  })

  // scipy: the first passage of a Brownian motion over the tangent of the bound (inverse Gaussian), solved by brentq.
  it.each([
    [0.5, 0.02, 0.05, 2500, 1, 14677.43],
    [0.8, 0.02, 0.05, 2500, 0.4, 25197.79],
    [0.8, 0.005, 0.01, 1e4, 1, 662004.7],
    [0.5, 0.2, 0.0125, 100, 0.7, 269.40479],
    [0.5, 1e-5, 0.05, 1e10, 1, 14677.43 * 2000 ** 2],
  ])(
    "for a share of %f, an excess of %f, α %f, ρ %d and noise %f is the closed form's",
    (share, excess, alpha, rho, noise, v) => {
      const needed = informationNeeded({ excess, alpha, rho, noise }, share)
      expect(needed / v).toBeGreaterThan(0.999)
      expect(needed / v).toBeLessThan(1.0011)
    },
  )

  it("is without end without an excess, and scales with its square", () => {
    const question = { excess: 0.01, alpha: 0.05, rho: 1e4, noise: 1 }
    expect(informationNeeded({ ...question, excess: 0 }, 0.5)).toBe(Infinity)
    expect(informationNeeded({ ...question, excess: -1 }, 0.5)).toBe(Infinity)
    const twice = informationNeeded({ ...question, excess: 0.02, rho: 2.5e3 }, 0.5)
    expect(informationNeeded(question, 0.5) / twice).toBeCloseTo(4, 1)
  })
})

// The real judge over seeded sessions: what a plan says, against what half of all rollouts took.
describe("a plan, against rollouts that are judged", { timeout: 60_000 }, () => {
  const RUNS = 30
  const deny = enforce("deny_rate_delta_max")
  const world = (over: Partial<Rollouts>): Rollouts => ({
    criterion: deny,
    share: 0,
    shadow: true,
    effect: 0,
    step: 5,
    most: 1500,
    ...over,
  })
  const stageOf = ({ share, shadow, criterion }: Rollouts, traffic: Traffic, effects?: number[]) =>
    plan(only(share * 10_000, criterion, shadow), traffic, { effects }).stages[0]!.criteria[0]!

  it.each([
    ["pairs", world({})],
    ["pairs of releases that are not sure of themselves", world({ churn: 0.01 })],
    ["a budget", world({ criterion: enforce("newly_denied_rate_max", 0.01) })],
    [
      "served sessions",
      world({ criterion: enforce("deny_rate_delta_max", 0.05), share: 0.25, shadow: false, step: 20, most: 4000 }),
    ],
  ])("is within a factor of 1.5 for a pass by %s", (_, rollouts) => {
    const { pass } = stageOf(rollouts, { ...TRAFFIC, churn: (rollouts.churn ?? 0) / 2 })
    const ratio = median(sessionsUntil("pass", rollouts, RUNS)) / pass!.typical.sessions
    expect(ratio).toBeGreaterThan(1 / 1.5)
    expect(ratio).toBeLessThan(1.5)
  })

  it.each([
    ["+6 pp in pairs", world({ effect: 0.06 })],
    ["+20 pp in pairs", world({ effect: 0.2, step: 2 })],
    ["+4 % in a budget", world({ effect: 0.04, criterion: enforce("newly_denied_rate_max", 0.01) })],
    ["+10 pp in served sessions", world({ effect: 0.1, share: 0.25, shadow: false, step: 10, most: 3000 })],
    ["a canary that denies all, in shadow", world({ effect: 1, step: 1 })],
    ["a canary that denies all, by its first calls", world({ effect: 1, share: 0.05, shadow: false, step: 4 })],
  ])("is within a factor of 2 for %s", (_, rollouts) => {
    const { detect } = stageOf(rollouts, TRAFFIC, [rollouts.effect * 0.95])
    const ratio = median(sessionsUntil("breach", rollouts, RUNS)) / detect[0]!.typical.sessions
    expect(ratio).toBeGreaterThan(1 / 2)
    expect(ratio).toBeLessThan(2)
  })
})

describe("a plan", () => {
  it("has each stage with its criteria, and counts what a stage has shown in those after it", () => {
    const planned = plan(specOf([enforce("deny_rate_delta_max"), enforce("error_rate_delta_max", 0.01)]), BUSY)
    expect(planned.stages.map(({ weightBp }) => weightBp)).toEqual([0, 500, 2500, 10_000])
    const [shadow, ...served] = planned.stages
    expect(shadow?.criteria.map(({ pass }) => pass!.likely.sessions > 50)).toEqual([true, true])
    for (const { criteria } of served) expect(criteria.map(({ pass }) => pass?.likely.sessions)).toEqual([0, 0])
    expect(planned.likelyMs).toBeGreaterThanOrEqual(4 * HOUR)
    expect(planned.warnings).toEqual([])
  })

  it("tells how many sessions a broken canary serves before it is stopped: none in shadow", () => {
    const [shadow, first] = plan(specOf([enforce("deny_rate_delta_max")]), BUSY, { effects: [0.95] }).stages
    expect(shadow?.criteria[0]?.detect[0]?.exposed).toBe(0)
    expect(first?.criteria[0]?.detect[0]?.exposed).toBeGreaterThan(0)
    expect(first?.criteria[0]?.detect[0]?.exposed).toBeLessThan(5)
  })

  it("lets a shadow stage wait for nothing that only served sessions tell", () => {
    const { stages } = plan(specOf([enforce("alert_rate_delta_max")]), BUSY)
    expect(stages[0]?.criteria[0]?.pass).toBeNull()
    expect(stages[1]?.criteria[0]).toMatchObject({ source: "arms", criterion: "alert_rate_delta_max" })
    expect(stages[1]?.last).toBe("alert_rate_delta_max")
  })

  it("waits for min_sessions, counted over the whole rollout", () => {
    const slow = { ...BUSY, sessionsPerMinute: 1 }
    const { stages } = plan(specOf([enforce("deny_rate_delta_max", 0.1)], { minSessions: 100 }), slow)
    expect(stages[1]).toMatchObject({ last: "min_sessions", leave: { likely: { sessions: 2000, ms: 2000 * 60_000 } } })
    expect(stages[2]?.last).toBe("period")
  })

  it("warns of what cannot be decided in time, with changes of which each would do", () => {
    const spec = specOf([enforce("deny_rate_delta_max"), enforce("alert_rate_delta_max")], { maxStageMs: HOUR })
    const slow = { ...BUSY, sessionsPerMinute: 35 }
    const { warnings } = plan(spec, slow)
    expect(warnings.length).toBeGreaterThan(0)
    for (const { stage, criterion, needsMs, periodMs, fixes } of warnings) {
      expect(needsMs).toBeGreaterThan(periodMs)
      for (const { change, to } of fixes) {
        const stages = spec.stages.map((one, i) => {
          if (i !== stage) return one
          return change === "period" ? { ...one, periodMs: to } : change === "share" ? { ...one, weightBp: to } : one
        })
        const criteria = spec.criteria.map((one) =>
          one.name === criterion && change === "limit" ? { ...one, max: to } : one,
        )
        const shadowSampleBp = change === "sample" ? to : spec.shadowSampleBp
        const left = plan({ ...spec, stages, criteria, shadowSampleBp }, slow).warnings
        expect(left.filter((one) => one.stage === stage && one.criterion === criterion)).toEqual([])
      }
    }
    const alerts = warnings.find(({ criterion }) => criterion === "alert_rate_delta_max")
    expect(alerts).toMatchObject({ stage: 1, overdue: true })
    expect(alerts?.fixes.map(({ change }) => change)).toEqual(expect.arrayContaining(["share", "limit", "period"]))
  })

  it("says that a criterion is never decided where stable itself is beyond the limit", () => {
    const spec = specOf([enforce("error_rate_max", 0.01)])
    const { warnings } = plan(spec, { ...BUSY, rates: { error: 0.03 } })
    expect(warnings[0]).toMatchObject({ stage: 0, needsMs: Infinity })
    expect(warnings[0]?.fixes).toEqual([{ change: "limit", to: expect.any(Number) as number }])
    expect(warnings[0]?.fixes[0]?.to).toBeGreaterThan(0.03)
  })

  it("asks a larger sample of a rollout that hardly shadows", () => {
    const spec = specOf([enforce("deny_rate_delta_max")], { shadowSampleBp: 100 })
    expect(plan(spec, BUSY).warnings[0]?.fixes).toContainEqual({ change: "sample", to: expect.any(Number) as number })
  })

  it("neither warns of criteria that stop nothing nor says when they would", () => {
    const spec = specOf([enforce("deny_rate_delta_max", 0.1), notify("escalate_rate_delta_max", 0.001)])
    const planned = plan(spec, { ...BUSY, sessionsPerMinute: 1 })
    expect(planned.warnings.map(({ criterion }) => criterion)).not.toContain("escalate_rate_delta_max")
    expect(planned.stages[0]?.criteria[1]).toMatchObject({ mode: "notify", detect: [] })
  })

  it("needs more for less room, more clustering and a smaller share", () => {
    const sessions = (criterion: Criterion, traffic: Partial<Traffic> = {}, share = 0.05): number =>
      plan(only(share * 10_000, criterion, false), { ...BUSY, ...traffic }).stages[0]!.criteria[0]!.pass!.likely
        .sessions
    const least = sessions(enforce("deny_rate_delta_max", 0.04))
    // The reference report: about 420 canary sessions, for a limit of 2 pp and a design effect of 2.4.
    expect(sessions(enforce("deny_rate_delta_max", 0.02)) * 0.05).toBeGreaterThan(330)
    expect(sessions(enforce("deny_rate_delta_max", 0.02)) * 0.05).toBeLessThan(500)
    expect(sessions(enforce("deny_rate_delta_max", 0.02))).toBeGreaterThan(2.5 * least)
    expect(sessions(enforce("deny_rate_delta_max", 0.04), { correlation: 0.3 })).toBeGreaterThan(1.5 * least)
    expect(sessions(enforce("deny_rate_delta_max", 0.04), {}, 0.01)).toBeGreaterThan(4 * least)
  })

  it.each<[Partial<Traffic>, RegExp]>([
    [{ sessionsPerMinute: 0 }, /sessionsPerMinute/],
    [{ sessionsPerMinute: Infinity }, /sessionsPerMinute/],
    [{ callsPerSession: 21 }, /callsPerSession/],
    [{ kish: 3 }, /kish/],
    [{ churn: 2 }, /churn/],
    [{ correlation: -0.1 }, /correlation/],
    [{ rates: { deny: 0.9, error: 0.2 } }, /rates/],
  ])("refuses traffic of %o", (over, message) => {
    expect(() => plan(specOf([enforce("deny_rate_delta_max")]), { ...BUSY, ...over })).toThrow(message)
  })

  it("refuses effects that are none", () => {
    expect(() => plan(specOf([enforce("deny_rate_delta_max")]), BUSY, { effects: [0] })).toThrow(/effects/)
  })
})
