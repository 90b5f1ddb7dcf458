import { describe, expect, it } from "vitest"
import type { Setting } from "../../src/analysis/expected.js"
import { plan, type CriterionPlan, type PlannedSpec, type StagePlan } from "../../src/analysis/plan.js"
import { warningsOn, type PlanFix } from "../../src/analysis/plan-warnings.js"
import { breachNeed, passNeed } from "../../src/analysis/power.js"
import { workloadOf, type Traffic } from "../../src/analysis/workload.js"
import type { Criterion, CriterionName } from "../../src/model/verdict.js"
import { enforce, notify } from "./traffic.js"

const HOUR = 3_600_000
const TRAFFIC: Traffic = { sessionsPerMinute: 30, callsPerSession: 10, kish: 15, churn: 0.01 }
const WORKLOAD = workloadOf(TRAFFIC)

function specOf(
  weights: readonly number[],
  criteria: readonly Criterion[],
  over: Partial<PlannedSpec> = {},
): PlannedSpec {
  const stages = weights.map((weightBp) => ({ weightBp, periodMs: 0 }))
  return { stages, shadowSampleBp: 5000, criteria, minSessions: 0, falseAlarmRate: 0.05, maxStageMs: null, ...over }
}

const stagesOf = (spec: PlannedSpec, effects?: readonly number[]): readonly StagePlan[] =>
  plan(spec, TRAFFIC, { effects }).stages
const sessionsOf = (stages: readonly StagePlan[]): readonly number[] => stages.map(({ leave }) => leave.likely.sessions)

const setting = (share: number, sample: number, before: Setting["before"], enforced = 1): Setting => ({
  share,
  sample,
  before,
  enforced,
  falseAlarmRate: 0.05,
})

describe("a stage of a plan", () => {
  it("lasts at least its period, in sessions of the traffic", () => {
    const spec = specOf([500, 500], [], { stages: [1, 2].map((hours) => ({ weightBp: 500, periodMs: hours * HOUR })) })
    const planned = plan(spec, TRAFFIC)
    expect(planned.stages.map(({ leave }) => leave.typical)).toEqual([
      { sessions: 1800, ms: HOUR },
      { sessions: 3600, ms: 2 * HOUR },
    ])
    expect(planned.stages.map(({ last }) => last)).toEqual(["period", "period"])
    expect([planned.typicalMs, planned.likelyMs]).toEqual([3 * HOUR, 3 * HOUR])
  })

  it("waits for min_sessions: in shadow and at 100 % of those that both judge, else of those that the canary served so far", () => {
    const weights = [0, 500, 2500, 10_000]
    expect(sessionsOf(stagesOf(specOf(weights, [], { minSessions: 100 })))).toEqual([200, 2000, 0, 200])
    expect(stagesOf(specOf(weights, [], { minSessions: 100 })).map(({ last }) => last)).toEqual([
      "min_sessions",
      "min_sessions",
      "period",
      "min_sessions",
    ])
    // Half of them have been served by the first of two stages.
    const half = [
      { weightBp: 2500, periodMs: 10_000 * 40 },
      { weightBp: 5000, periodMs: 0 },
    ]
    expect(sessionsOf(stagesOf(specOf([], [], { stages: half, minSessions: 100 })))).toEqual([400, 0])
    const longer = [
      { weightBp: 2500, periodMs: 1_200_000 },
      { weightBp: 5000, periodMs: 0 },
    ]
    expect(sessionsOf(stagesOf(specOf([], [], { stages: longer, minSessions: 200 })))).toEqual([800, 0])
    // Those of 100 % are not compared with anything.
    expect(sessionsOf(stagesOf(specOf([10_000, 5000], [], { minSessions: 100, shadowSampleBp: 0 })))).toEqual([
      100, 200,
    ])
    expect(sessionsOf(stagesOf(specOf([10_000, 9999], [], { minSessions: 9999, shadowSampleBp: 0 })))).toEqual([
      9999, 10_000,
    ])
    expect(sessionsOf(stagesOf(specOf([1], [], { minSessions: 1 })))).toEqual([10_000])
  })

  it("waits for the same sessions in half of all rollouts as in four of five, where no criterion is waited for", () => {
    const planned = stagesOf(specOf([0, 500, 2500, 10_000], [], { minSessions: 100 }))
    expect(planned.map(({ leave }) => leave.typical.sessions)).toEqual(sessionsOf(planned))
    // 400 sessions at a quarter are 100 of 200; the other 100 are half of 200.
    const stages = [
      { weightBp: 2500, periodMs: 800_000 },
      { weightBp: 5000, periodMs: 0 },
    ]
    const halved = stagesOf(specOf([], [], { stages, minSessions: 200 }))
    expect(sessionsOf(halved)).toEqual([800, 0])
    const less = stagesOf(specOf([2500, 5000], [notify("deny_rate_delta_max")], { stages, minSessions: 100 }))
    expect(sessionsOf(less)).toEqual([400, 0])
    expect(sessionsOf(stagesOf(specOf([0, 500], [], { minSessions: 10, shadowSampleBp: 0 })))).toEqual([Infinity, 200])
  })

  it("counts for a limit of 0 effective calls, of all its stages", () => {
    const never = notify("newly_denied_rate_max", 0)
    const stages = [0, 500].map((weightBp) => ({ weightBp, periodMs: 2_000_000 }))
    const spec = specOf([], [never], { stages, shadowSampleBp: 1000 })
    const planned = plan(spec, { ...TRAFFIC, churn: 0 }).stages
    // 1,438 calls of a design effect of 2.4, one a session; 1,000 sessions in the first stage.
    expect(planned.map(({ criteria }) => criteria[0]?.pass?.likely.sessions)).toEqual([3452, 2452])
    // A wide limit asks for next to nothing but sessions, and those of the first stage are not asked for again.
    const wide = notify("alert_rate_delta_max", 0.9)
    const brief = [500, 500].map((weightBp) => ({ weightBp, periodMs: 200_000 }))
    const passes = stagesOf(specOf([], [wide], { stages: brief })).map(
      ({ criteria }) => criteria[0]?.pass?.likely.sessions,
    )
    expect(passes).toEqual([600, 0])
  })

  it("that nothing is counted in is never left by sessions, and spoils nothing after it", () => {
    const alerts = enforce("alert_rate_delta_max")
    const blind = stagesOf(specOf([0, 500], [alerts], { minSessions: 10, shadowSampleBp: 0 }))
    expect(sessionsOf(blind)[0]).toBe(Infinity)
    const plain = stagesOf(specOf([500], [alerts], { minSessions: 10, shadowSampleBp: 0 }))
    expect(blind[1]?.criteria[0]?.pass).toEqual(plain[0]?.criteria[0]?.pass)
    expect(sessionsOf(blind)[1]).toBe(sessionsOf(plain)[0])
    expect(sessionsOf(stagesOf(specOf([0], [], { minSessions: 0, shadowSampleBp: 0 })))).toEqual([0])
  })

  it("takes what its criteria take, as whole sessions", () => {
    const deny = enforce("deny_rate_delta_max")
    const need = passNeed(deny, WORKLOAD, setting(0, 0.5, { arms: 0, pairs: 0 }))
    const [stage] = stagesOf(specOf([0], [deny]))
    const likely = Math.ceil(need.likely / need.perSession)
    const typical = Math.ceil(need.typical / need.perSession)
    expect(stage?.criteria[0]).toMatchObject({ criterion: deny.name, mode: "enforce", max: 0.02, source: "pairs" })
    expect(stage?.criteria[0]?.pass).toEqual({
      typical: { sessions: typical, ms: (typical / 30) * 60_000 },
      likely: { sessions: likely, ms: (likely / 30) * 60_000 },
    })
    expect(stage).toMatchObject({
      last: deny.name,
      leave: { typical: { sessions: typical }, likely: { sessions: likely } },
    })
    const wide = enforce("deny_rate_delta_max", 0.5)
    expect(stagesOf(specOf([0], [wide]))[0]?.criteria[0]?.pass?.likely.sessions).toBe(100)
    // A criterion that only notifies is shown and not waited for.
    expect(sessionsOf(stagesOf(specOf([0], [notify("deny_rate_delta_max")])))).toEqual([0])
  })

  it("has what the stages before it have shown", () => {
    const watched = notify("alert_rate_delta_max")
    const stages = [500, 2500, 10_000].map((weightBp, i) => ({ weightBp, periodMs: i === 0 ? HOUR : 0 }))
    const planned = stagesOf(specOf([], [watched], { stages }))
    const [first, second] = [0.05, 0.25].map((share) =>
      passNeed(watched, WORKLOAD, setting(share, 0.5, { arms: 0, pairs: 0 })),
    )
    for (const of of ["typical", "likely"] as const) {
      const left = Math.ceil((second![of] - first!.perSession * 1800) / second!.perSession)
      expect(planned[1]?.criteria[0]?.pass?.[of].sessions).toBe(left)
    }
    // One arm serves alone from then on: what is not known never will be. Enforced, it has been waited for.
    expect(planned[2]?.criteria[0]?.pass?.likely.sessions).toBe(Infinity)
    const enforced = stagesOf(specOf([2500, 2500, 10_000], [enforce("alert_rate_delta_max")]))
    expect(enforced.map(({ criteria }) => criteria[0]?.pass?.likely.sessions)).toEqual([expect.any(Number), 0, 0])
    expect(sessionsOf(enforced).slice(1)).toEqual([0, 0])
  })

  it("waits no more for what has passed, though the next stage would ask for a little more", () => {
    const alerts = enforce("alert_rate_delta_max")
    const passes = (...weights: readonly number[]) =>
      stagesOf(specOf(weights, [alerts])).map(({ criteria }) => criteria[0]?.pass?.likely.sessions)
    expect(passes(500, 2500, 10_000)).toEqual([expect.any(Number), 0, 0])
    expect(passes(2500, 500, 10_000)).toEqual([expect.any(Number), 0, 0])
    // Where it cannot be told it has not passed.
    expect(passes(10_000, 2500)).toEqual([Infinity, passes(2500)[0]])
  })

  it("waits for what it cannot tell only once the canary has been served", () => {
    const alerts = enforce("alert_rate_delta_max")
    const passes = (...weights: readonly number[]) =>
      stagesOf(specOf(weights, [alerts])).map(({ criteria }) => criteria[0]?.pass?.likely.sessions)
    expect(passes(0, 10_000)).toEqual([undefined, Infinity])
    expect(passes(0, 0, 10_000)).toEqual([undefined, undefined, Infinity])
  })
})

describe("when a worse canary is stopped", () => {
  it("is reckoned with the criteria that share the budget, and the stages that went before", () => {
    const criteria = [enforce("deny_rate_delta_max"), enforce("error_rate_max", 0.01), notify("allow_rate_delta_max")]
    const planned = stagesOf(specOf([0, 500, 2500], criteria), [0.3])
    const settings = [
      setting(0, 0.5, { arms: 0, pairs: 0 }, 2),
      setting(0.05, 0.5, { arms: 0, pairs: 1 }, 2),
      setting(0.25, 0.5, { arms: 1, pairs: 2 }, 2),
    ]
    planned.forEach((stage, i) => {
      criteria.slice(0, 2).forEach((criterion, j) => {
        const need = breachNeed(criterion, WORKLOAD, settings[i]!, 0.3)
        expect(stage.criteria[j]?.detect).toEqual([
          {
            effect: 0.3,
            typical: { sessions: need.typical, ms: (need.typical / 30) * 60_000 },
            likely: { sessions: need.likely, ms: (need.likely / 30) * 60_000 },
            exposed: Math.ceil(need.likely * settings[i]!.share),
          },
        ])
      })
      expect(stage.criteria[2]?.detect).toEqual([])
    })
    const served = stagesOf(specOf([500, 2500], [enforce("alert_rate_delta_max")], { shadowSampleBp: 0 }), [0.3])
    const alone = breachNeed(enforce("alert_rate_delta_max"), WORKLOAD, setting(0.25, 0, { arms: 1, pairs: 1 }), 0.3)
    expect(served[1]?.criteria[0]?.detect[0]?.likely.sessions).toBe(alone.likely)
    const after = stagesOf(specOf([0, 1, 2500], [enforce("alert_rate_delta_max")]), [0.3])
    expect(after[2]?.criteria[0]?.detect[0]?.likely.sessions).toBe(alone.likely)
  })

  it("exposes nobody in shadow, also where it is never stopped", () => {
    const [stage] = stagesOf(specOf([0], [enforce("alert_rate_delta_max")]), [0.3])
    expect(stage?.criteria[0]?.detect[0]).toMatchObject({ exposed: 0, likely: { sessions: Infinity } })
  })

  it.each<[CriterionName, number, readonly number[]]>([
    ["deny_rate_delta_max", 0.02, [0.04, 0.1, 1]],
    ["deny_rate_delta_max", 0.2, [0.4, 1]],
    ["deny_rate_delta_max", 0.5, [1]],
    ["deny_rate_delta_max", 0.6, [1]],
    ["newly_denied_rate_max", 0, [0.01, 0.025, 1]],
    ["latency_p99_delta_max", 50, [0.02, 0.05, 1]],
  ])("is said of %s %d for twice and five times its limit, and every call", (name, max, effects) => {
    const [stage] = stagesOf(specOf([0], [enforce(name, max)]))
    expect(stage?.criteria[0]?.detect.map(({ effect }) => effect)).toEqual(effects)
  })

  it("is said of effects above 0 and up to every call", () => {
    const spec = specOf([0], [enforce("deny_rate_delta_max")])
    expect(stagesOf(spec, [1, 0.001])[0]?.criteria[0]?.detect).toHaveLength(2)
    for (const effect of [0, -0.1, 1.001, NaN]) expect(() => stagesOf(spec, [effect])).toThrow(/effects/)
  })
})

describe("a warning of a plan", () => {
  const name = "deny_rate_delta_max"
  /** A stage that takes so many ms. */
  const stage = (ms: number, periodMs: number, over: Partial<CriterionPlan> = {}): StagePlan => {
    const span = { sessions: 1, ms }
    const pass = { typical: span, likely: span }
    return {
      weightBp: 500,
      periodMs,
      criteria: [{ criterion: name, mode: "enforce", max: 0.02, source: "pairs", pass, detect: [], ...over }],
      leave: pass,
      last: "period",
    }
  }
  const spec = specOf([500, 10_000], [enforce(name), enforce("error_rate_max")], { shadowSampleBp: 500 })

  /** The changes that are found where `isEnough` of a spec makes the first stage short enough. */
  function fixes(isEnough: (changed: PlannedSpec) => boolean, of = spec, at = 0, ms = 5000): readonly PlanFix[] {
    const late = Array.from({ length: of.stages.length }, (_, i) => stage(i === at ? ms : 0, 1000))
    const [warning] = warningsOn(of, late, (changed) => {
      expect(changed.criteria.map((criterion) => criterion.name)).toEqual([name])
      return late.map((one, i) => (i === at && isEnough(changed) ? stage(1000, 1000) : one))
    })
    return warning?.fixes.filter(({ change }) => change !== "period") ?? []
  }

  it("is given where a criterion that is enforced takes longer than the period", () => {
    const none = (stages: readonly StagePlan[], maxStageMs: number | null = null) =>
      warningsOn({ ...spec, maxStageMs }, stages, () => stages).map(({ stage, needsMs, overdue }) => [
        stage,
        needsMs,
        overdue,
      ])
    expect(none([stage(1000, 1000), stage(0, 0)])).toEqual([])
    expect(none([stage(1000, 1000), stage(1001, 1000)])).toEqual([[1, 1001, false]])
    expect(none([stage(2000, 1000, { mode: "notify" }), stage(2000, 1000, { pass: null })])).toEqual([])
    expect(none([stage(2000, 1000)], 2000)).toEqual([[0, 2000, false]])
    expect(none([stage(2000, 1000)], 1999)).toEqual([[0, 2000, true]])
  })

  it("names the smallest round sample that would do, if it is larger", () => {
    const samples = [1000, 2500, 5000, 10_000].map((least) => fixes(({ shadowSampleBp }) => shadowSampleBp >= least))
    expect(samples).toEqual([1000, 2500, 5000, 10_000].map((to) => [{ change: "sample", to }]))
    expect(fixes(({ shadowSampleBp }) => shadowSampleBp > 10_000)).toEqual([])
    const half = { ...spec, shadowSampleBp: 5000 }
    expect(fixes(({ shadowSampleBp }) => shadowSampleBp > 900, half)[0]).toEqual({ change: "sample", to: 10_000 })
  })

  it("names the smallest round share between this stage's and the next one's", () => {
    const enough = (least: number) => (changed: PlannedSpec) => {
      expect(changed.stages[1]?.weightBp).toBe(10_000)
      return changed.stages[0]!.weightBp >= least && changed.shadowSampleBp === 500
    }
    expect([501, 1001, 2501].map((least) => fixes(enough(least)))).toEqual(
      [1000, 2500, 5000].map((to) => [{ change: "share", to }]),
    )
    expect(fixes(enough(5001))).toEqual([])
    const from = (weightBp: number, next: number) => ({
      ...spec,
      stages: [weightBp, next].map((bp) => ({ weightBp: bp, periodMs: 0 })),
    })
    const wider = (changed: PlannedSpec): boolean => changed.shadowSampleBp === 500 && changed.criteria[0]?.max === 0.02
    expect(fixes((changed) => wider(changed) && changed.stages[0]!.weightBp >= 500, from(100, 2500))).toEqual([
      { change: "share", to: 500 },
    ])
    expect(fixes(wider, from(100, 500))).toEqual([])
    expect(fixes(wider, from(100, 501))).toEqual([{ change: "share", to: 500 }])
    expect(fixes(wider, from(1, 501))).toEqual([{ change: "share", to: 500 }])
    expect(fixes(wider, from(0, 2500))).toEqual([])
    // The last stage has none after it to stay below.
    expect(fixes((changed) => wider(changed) && changed.stages[1]!.weightBp !== 500, from(100, 500), 1)).toEqual([])
  })

  it("names the narrowest round limit that would do, and none that is no limit", () => {
    const wide = (least: number) => (changed: PlannedSpec) => changed.criteria[0]!.max >= least - 1e-12
    const factors = [1.5, 2, 3, 5, 10, 20, 50]
    expect(factors.map((factor) => fixes(wide(0.02 * factor)))).toEqual(
      factors.map((factor) => [{ change: "limit", to: Number((0.02 * factor).toPrecision(6)) }]),
    )
    const at = (max: number) => ({ ...spec, criteria: [enforce(name, max), enforce("error_rate_max")] })
    expect(fixes(wide(0.9), at(0.5))).toEqual([{ change: "limit", to: 1 }])
    expect(fixes(wide(0.9), at(0.51))).toEqual([])
    expect(fixes(wide(0), at(0))).not.toContainEqual({ change: "limit", to: 0 })
    const third = fixes(wide(0.5), at(1 / 3))
    expect(third).toEqual([{ change: "limit", to: 0.5 }])
    expect(fixes(wide(0.03), at(0.0123456789))).toEqual([{ change: "limit", to: 0.037037 }])
  })

  it("widens a limit in ms without end, and names the hours of a period that would do", () => {
    const p99 = "latency_p99_delta_max"
    const slow = { ...spec, criteria: [enforce(p99, 50)] }
    const late = [stage(HOUR + 1, 1000, { criterion: p99, max: 50 })]
    const found = (ms: number) =>
      warningsOn(slow, [stage(ms, 1000, { criterion: p99, max: 50 })], (changed) =>
        changed.criteria[0]!.max >= 2500 ? [stage(1000, 1000, { criterion: p99 })] : late,
      )[0]?.fixes
    expect(found(HOUR + 1)).toEqual([
      { change: "limit", to: 2500 },
      { change: "period", to: 2 * HOUR },
    ])
    expect(found(HOUR)?.at(-1)).toEqual({ change: "period", to: HOUR })
    expect(found(Infinity)).toEqual([{ change: "limit", to: 2500 }])
  })

  it("names no change of what would still not tell", () => {
    const late = [stage(5000, 1000)]
    expect(
      warningsOn(spec, late, () => [stage(0, 1000, { pass: null })])[0]?.fixes.map(({ change }) => change),
    ).toEqual(["period"])
    expect(warningsOn(spec, late, () => [])[0]?.fixes.map(({ change }) => change)).toEqual(["period"])
  })
})
