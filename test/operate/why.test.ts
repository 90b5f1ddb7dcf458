import { describe, expect, it } from "vitest"
import type { CriterionVerdict, Verdict } from "../../src/model/verdict.js"
import { decisive, whyOf } from "../../src/operate/why.js"
import { phaseOf } from "../../src/rollout/phase.js"
import { stateWith, T0 } from "../guard/harness.js"

const criterion = (name: CriterionVerdict["criterion"], differs: Partial<CriterionVerdict>): CriterionVerdict => ({
  criterion: name,
  mode: "enforce",
  result: "pass",
  unit: "rate",
  max: 0.01,
  method: "pairs",
  estimate: 0,
  lower: 0,
  upper: 0,
  alphaBreach: 0.01,
  alphaPass: 0.01,
  logEWorse: 0,
  logEWithin: 0,
  evaluations: { stable: 9, canary: 9 },
  sessions: { stable: 9, canary: 9 },
  pairs: 9,
  effectiveSize: 9,
  reason: `because of ${name}`,
  ...differs,
})

const verdictOf = (result: Verdict["result"], ...criteria: readonly CriterionVerdict[]): Verdict => ({
  result,
  at: T0,
  generation: 1,
  criteria,
  srm: {
    flagged: false,
    logBayesFactor: 0,
    observed: { stable: 9, canary: 9 },
    expected: { stable: 9, canary: 9 },
  },
  sessions: { stable: 9, canary: 9, paired: 9 },
  falseAlarmRate: 0.05,
  logEFamily: 0,
  reason: `the verdict is ${result}`,
})

function why(verdict: Verdict): string {
  const state = stateWith()
  return whyOf({
    rollout: state.rollout,
    now: T0,
    state,
    phase: phaseOf(state),
    report: null,
    reportProblem: undefined,
    reportAgeMs: 0,
    judged: true,
    verdict,
  })
}

describe("why a rollout stands where it does", () => {
  const passes = criterion("error_rate_max", {})
  const open = criterion("deny_rate_delta_max", { result: "inconclusive", logEWorse: 1 })
  const nearer = criterion("newly_denied_rate_max", { result: "inconclusive", logEWorse: 2 })

  it("is the criterion that keeps it from passing, of several the one nearest to a breach", () => {
    expect(why(verdictOf("inconclusive", passes, open, nearer))).toBe("because of newly_denied_rate_max")
    expect(why(verdictOf("inconclusive", passes, open, { ...nearer, mode: "notify" }))).toBe(
      "because of deny_rate_delta_max",
    )
  })

  it("is the verdict's own word where that passes, also with a limit of 0 that no sample can settle", () => {
    const unsettled = criterion("newly_allowed_rate_max", { result: "inconclusive", max: 0 })
    expect(decisive(verdictOf("pass", passes, unsettled))).toBeNull()
    expect(why(verdictOf("pass", passes, unsettled))).toBe("the verdict is pass")
  })
})
