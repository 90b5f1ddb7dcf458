import { describe, expect, it } from "vitest"
import { judge } from "../../src/analysis/judge.js"
import { logE, lower, upper } from "../../src/analysis/mixture.js"
import type { TripState } from "../../src/analysis/trip.js"
import { createStratum } from "../../src/evidence/cells.js"
import { binOf } from "../../src/evidence/histogram.js"
import { COHORTS, binIndex, pairIndex, type Stratum } from "../../src/model/evidence.js"
import type { CriterionName, CriterionVerdict } from "../../src/model/verdict.js"
import { addTo, enforce, input, notify, on } from "./traffic.js"

// What docs/reference/verdicts.md says, written down a second time in Python with scipy 1.17.1 (norm.logcdf, brentq, logsumexp,
// gammaln), and fed with these counts. Nothing is random, so that every digit can be asked for.

const is = (yes: boolean): number => (yes ? 1 : 0)

/** The stratum of ramp entry `s`; 0 is from before the ramp, in which the canary has not been served. */
function stratum(s: number): Stratum {
  const made = createStratum()
  for (let k = 0; k < COHORTS; k++) {
    const serve = (arm: 0 | 1, sessions: number, more: number, deny: number, error: number): void => {
      const evaluations = 4 * sessions + more
      addTo(made, arm, k, { sessions, evaluations, deny, error, allow: evaluations - deny - error })
    }
    serve(0, 3 + (k % 2), (5 * k + s) % 3, (7 * k + s) % 3, is(k % 16 === s))
    if (s > 0) serve(1, s + (k % 2), (3 * k + s) % 3, (5 * k + s) % 3, is(k % 16 === s + 3))
    const pairs: [stable: number, canary: number, count: number][] = [
      [0, 0, 8 + (k % 5)],
      [0, 1, is((k + s) % 6 === 0)],
      [1, 1, (k + s) % 2],
      [1, 0, is((k + s) % 21 === 0)],
      [0, 3, is((k + s) % 32 === 0)],
    ]
    for (const [stable, canary, count] of pairs) made.pairs[pairIndex(k, stable, canary)]! += count
    made.pairedSessions[k]! += 2 + (k % 2)
  }
  return made
}

const row = (index: number, logE: number) => ({
  criterion: "deny_rate_delta_max" as const,
  stratum: index,
  ceiling: 0.1,
  sessions: 9,
  bad: 1,
  logE,
})
const trip: TripState = { generation: 1, rows: [row(1, 1.5), row(2, -0.4)] }
const evidence = { generation: 1, strata: [stratum(0), stratum(1), stratum(2)] }
const given = { evidence, trip, weights: [3000, 4000] }

type Numbers = Readonly<
  Record<"estimate" | "lower" | "upper" | "logEWorse" | "logEWithin" | "effectiveSize" | "alphaBreach", number>
>

function expectNumbers(found: CriterionVerdict, expected: Numbers): void {
  for (const [key, value] of Object.entries(expected)) {
    expect(found[key as keyof Numbers], `${found.criterion} ${key}`).toBeCloseTo(value, 8)
  }
}

describe("every number of a verdict is the documented formula's", () => {
  it("on served sessions", () => {
    const verdict = judge(input([enforce("deny_rate_delta_max"), enforce("error_rate_max", 0.01)], [], given))
    expect(verdict.logEFamily).toBeCloseTo(0.2633647184992143, 9)
    expect(verdict.srm.logBayesFactor).toBeCloseTo(-1.3399223980754869, 9)
    expect(verdict.srm.observed).toEqual({ stable: 448, canary: 256 })
    expect(verdict.srm.expected.stable).toBeCloseTo(0.7 * 320 + 0.6 * 384, 9)
    expect(verdict.srm.expected.canary).toBeCloseTo(0.3 * 320 + 0.4 * 384, 9)
    expect(verdict.sessions).toEqual({ stable: 672, canary: 256, paired: 480 })
    expectNumbers(on(verdict, "deny_rate_delta_max"), {
      estimate: 0.038009485481565,
      lower: 0.0054999533966938,
      upper: 0.067391807148198,
      logEWorse: 0.79337385167794,
      logEWithin: -1.6634274366182,
      effectiveSize: 1216,
      alphaBreach: 0.025,
    })
    expectNumbers(on(verdict, "error_rate_max"), {
      estimate: 0.0065873624968022,
      lower: -0.0039219257973759,
      upper: 0.015861632500761,
      logEWorse: -0.93710697302051,
      logEWithin: -0.16935698843696,
      effectiveSize: 884.32661717922,
      alphaBreach: 0.025,
    })
  })

  it("at a limit of 0, where the limit gives no scale", () => {
    const verdict = judge(input([enforce("deny_rate_delta_max", 0)], [], given))
    expectNumbers(on(verdict, "deny_rate_delta_max"), {
      estimate: 0.036180299302067,
      lower: 0.0034540806411017,
      upper: 0.068906517963032,
      logEWorse: 3.1101770281283,
      logEWithin: -1.624691724963,
      effectiveSize: 1216,
      alphaBreach: 0.05,
    })
  })

  it("on latency, of which the variance is known", () => {
    // 100 calls a cohort, each of them a session, and all of one duration: the slow share of stable is 1 %, the canary's 0.
    const made = createStratum()
    for (let k = 0; k < COHORTS; k++) {
      for (const arm of [0, 1] as const) {
        addTo(made, arm, k, { sessions: 100, evaluations: 100, allow: 100 })
        made.latency[binIndex(arm, k, binOf(10))]! += 100
        made.pairedLatency[binIndex(arm, k, binOf(10))]! += 100
      }
      made.pairs[pairIndex(k, 0, 0)]! += 100
      made.pairedSessions[k]! += 100
    }
    const p99 = enforce("latency_p99_delta_max", 5)
    const asked = (shadow: boolean) => on(judge(input([p99], [made], { shadow })), p99.name)
    const numbers = (variance: number) => {
      const v = 1 / variance
      const one = logE(-0.01 * v, v, 1e4)
      return {
        one,
        lower: lower(-0.01, v, 0.05, 1e4),
        upper: upper(-0.01, v, 0.05, 1e4),
        within: logE(0.01 * v, v, 1e4),
      }
    }
    const served = numbers((2 * 0.01 * 0.99) / 6400)
    // ¾ of the e-value starts with the first stratum, and ¼ waits for others.
    const late = Math.log(0.75 * Math.exp(served.one) + 0.25)
    expectNumbers(asked(false), {
      estimate: -0.01,
      lower: served.lower,
      upper: served.upper,
      logEWorse: late,
      logEWithin: served.within,
      effectiveSize: 6400,
      alphaBreach: 0.05,
    })
    expect(asked(false).sources).toEqual([{ source: "arms", weight: 1, logE: expect.closeTo(late, 9) as number }])
    // The four claims of the page. Stable is beyond the canary's p99 less 5 ms in all its calls: nothing could be faster.
    expectNumbers(asked(true), {
      estimate: -0.01,
      lower: -0.9972420546406483,
      upper: -0.006918777460301189,
      logEWorse: Math.log((0.1 * Math.exp(late) + 0.85 * Math.exp(-1.791759469228055)) / 0.95),
      logEWithin: 35.30458482859127,
      effectiveSize: 6400,
      alphaBreach: 0.05,
    })
  })

  it("on latency of which a few cohorts have the most", () => {
    // Of 100 calls a cohort all of stable's take 10 ms; 200 ms take 13 of the canary's in every fourth cohort, and 1 in the others.
    const made = createStratum()
    for (let k = 0; k < COHORTS; k++) {
      const slow = k % 4 === 0 ? 13 : 1
      made.pairedLatency[binIndex(0, k, binOf(10))]! += 100
      made.pairedLatency[binIndex(1, k, binOf(10))]! += 100 - slow
      made.pairedLatency[binIndex(1, k, binOf(200))]! += slow
      made.pairs[pairIndex(k, 0, 0)]! += 100
      made.pairedSessions[k]! += 10
    }
    const p99 = enforce("latency_p99_delta_max", 20)
    expectNumbers(on(judge(input([p99], [made], { shadow: true })), p99.name), {
      estimate: 0.03,
      lower: 0.006300903343545887,
      upper: 0.054346590420785316,
      logEWorse: Math.log((0.1 + 0.85 * Math.exp(10.708287509163084)) / 0.95),
      logEWithin: -4.2668554204249824,
      effectiveSize: 6400 / 1.9,
      alphaBreach: 0.05,
    })
  })

  it("on calls that both judged", () => {
    const criteria = [
      enforce("deny_rate_delta_max"),
      enforce("newly_denied_rate_max", 0.005),
      enforce("error_rate_max", 0.01),
      notify("allow_rate_delta_max", 0.03),
    ]
    const verdict = judge(input(criteria, [], { ...given, shadow: true }))
    expect(verdict.logEFamily).toBeCloseTo(3.548777807802632, 9)
    const expected: Partial<Record<CriterionName, Numbers>> = {
      deny_rate_delta_max: {
        estimate: 0.010209678933739,
        lower: 0.00035300848113683,
        upper: 0.022561913997246,
        logEWorse: -0.78265246836292,
        logEWithin: 1.5513918190338,
        effectiveSize: 1548.3136148677,
        alphaBreach: 0.05 / 3,
      },
      newly_denied_rate_max: {
        estimate: 0.015047496845422,
        lower: 0.00517031748163,
        upper: 0.021973371458929,
        logEWorse: 4.6412607453745,
        logEWithin: -2.3884730316745,
        effectiveSize: 1548.3136148677,
        alphaBreach: 0.05 / 3,
      },
      error_rate_max: {
        estimate: 0.0029168710053923,
        lower: 3.4038300887219e-6,
        upper: 0.010023247922318,
        logEWorse: -1.7135766253956,
        logEWithin: 2.9713987181299,
        effectiveSize: 1548.3136148677,
        alphaBreach: 0.05 / 3,
      },
      allow_rate_delta_max: {
        estimate: -0.013126281504861,
        lower: -0.02344737803246,
        upper: 0.005299305709067,
        logEWorse: -1.9873149883814,
        logEWithin: 20.286059389392,
        effectiveSize: 1548.3136148677,
        alphaBreach: 0.05,
      },
    }
    for (const [name, numbers] of Object.entries(expected)) {
      expect(on(verdict, name as CriterionName)).toMatchObject({ method: "pairs", pairs: 2057, alphaPass: 0.05 })
      expectNumbers(on(verdict, name as CriterionName), numbers)
    }
  })
})
