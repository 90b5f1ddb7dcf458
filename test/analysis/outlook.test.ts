import { describe, expect, it } from "vitest"
import { judge } from "../../src/analysis/judge.js"
import { callsForZero, outlook, type Outlook } from "../../src/analysis/outlook.js"
import { createStratum } from "../../src/evidence/cells.js"
import type { Criterion, CriterionVerdict } from "../../src/model/verdict.js"
import { median } from "./rollouts.js"
import { alike, denying, enforce, input, serve, uniforms, type World } from "./traffic.js"

const HOUR = 3_600_000
const deny = enforce("deny_rate_delta_max")

/** A rollout that is looked at each hour until its criterion is settled: how long it took, and what was foretold half-way. */
function rollout(criterion: Criterion, over: Partial<World>, weightBp: number, step: number, seed: number) {
  const stratum = createStratum()
  const random = uniforms(seed)
  const shadow = over.shadow ?? false
  const foretold: (Outlook | undefined)[] = []
  for (let hours = 1; hours <= 200; hours++) {
    serve({ sessions: step, weightBp, random, stable: denying, canary: alike, ...over }, stratum)
    const verdict = judge(input([criterion], [stratum], { weights: [weightBp], shadow, at: hours * HOUR }))
    if (verdict.criteria[0]?.result !== "inconclusive") {
      const half = Math.ceil(hours / 2)
      const one = foretold[half - 1]
      const total = one !== undefined && "ms" in one ? half + one.ms / HOUR : Infinity
      return { result: verdict.criteria[0]?.result, ratio: hours / total }
    }
    foretold.push(outlook(verdict, { ramp: [{ at: 0, weightBp }] })[0])
  }
  throw new Error("never settled")
}

describe("the outlook", () => {
  it.each<[string, Criterion, Partial<World>, number, number]>([
    ["a pass by pairs", deny, { shadow: true }, 0, 10],
    ["a pass by served sessions", enforce("deny_rate_delta_max", 0.05), {}, 2500, 60],
    ["a breach", deny, { canary: (stable, _, random) => (random() < 0.1 ? "deny" : stable) }, 2500, 30],
  ])("half-way foretells when %s comes, within a factor of 2 in the median", (_, criterion, over, weightBp, step) => {
    const ratios = Array.from({ length: 15 }, (_, seed) => rollout(criterion, over, weightBp, step, seed).ratio)
    expect(median(ratios)).toBeGreaterThan(1 / 2)
    expect(median(ratios)).toBeLessThan(2)
  })

  it("says when a limit of 0 stops holding, though it never passes", () => {
    const stratum = serve({
      sessions: 60,
      weightBp: 0,
      random: uniforms(1),
      stable: denying,
      canary: alike,
      shadow: true,
    })
    const criterion = enforce("newly_allowed_rate_max", 0)
    const verdict = judge(input([criterion], [stratum], { weights: [0], shadow: true, at: HOUR }))
    const [one] = outlook(verdict, { ramp: [{ at: 0, weightBp: 0 }] })
    expect(one).toMatchObject({ heading: "pass" })
    const sessions = one !== undefined && "sessions" in one ? one.sessions : NaN
    serve({ sessions, weightBp: 0, random: uniforms(2), stable: denying, canary: alike, shadow: true }, stratum)
    const later = judge(input([criterion], [stratum], { weights: [0], shadow: true, at: 2 * HOUR }))
    expect(later.criteria[0]?.upper).toBeLessThan(0.0065)
  })

  it("says nothing of a limit of 0 that holds no more: it stays inconclusive, and nothing is waited for", () => {
    const world = { weightBp: 0, random: uniforms(1), stable: denying, canary: alike, shadow: true }
    const criterion = enforce("newly_allowed_rate_max", 0)
    const verdict = judge(
      input([criterion], [serve({ sessions: 1500, ...world })], { weights: [0], shadow: true, at: HOUR }),
    )
    expect(verdict).toMatchObject({ result: "pass", criteria: [{ result: "inconclusive" }] })
    expect(outlook(verdict, { ramp: [{ at: 0, weightBp: 0 }] })).toEqual([])
  })

  const verdict = (sessions: number, weightBp = 2500) => {
    const stratum = serve({ sessions, weightBp, random: uniforms(9), stable: denying, canary: alike })
    return judge(input([deny], [stratum], { weights: [weightBp], at: HOUR }))
  }

  it("takes a larger share for less time", () => {
    const at = (weightBp: number): number => {
      const [one] = outlook(verdict(300), {
        ramp: [
          { at: 0, weightBp: 2500 },
          { at: HOUR, weightBp },
        ],
      })
      return one !== undefined && "ms" in one ? one.ms : NaN
    }
    expect(at(2500) / at(5000)).toBeCloseTo(2, 1)
  })

  it("counts time from when the process began to count", () => {
    const ms = (since?: number): number => {
      const [one] = outlook(verdict(300), { ramp: [{ at: 0, weightBp: 2500 }], since })
      return one !== undefined && "ms" in one ? one.ms : NaN
    }
    expect(ms() / ms(HOUR / 2)).toBeCloseTo(2, 1)
  })

  it("says when it cannot tell, and why", () => {
    const heading = (of: ReturnType<typeof verdict>, weightBp: number, at = 0): string | undefined =>
      outlook(of, { ramp: [{ at, weightBp }] })[0]?.heading
    expect(heading(verdict(10), 2500)).toBe("no_rate")
    expect(heading(verdict(300), 2500, HOUR)).toBe("no_rate")
    expect(heading(verdict(300), 10_000)).toBe("not_here")
    expect(heading(verdict(300), 0)).toBe("not_here")
    const [criterion] = verdict(300).criteria
    const atLimit = { ...verdict(300), criteria: [{ ...criterion!, estimate: 0.02 }] }
    expect(heading(atLimit, 2500)).toBe("at_limit")
  })

  describe("is worked out from", () => {
    const [settling] = verdict(300).criteria
    /** ¼ of all sessions in an hour; with pairs, all. */
    const ask = (over: Partial<CriterionVerdict>, ramp = [{ at: 0, weightBp: 2500 }], since?: number) => {
      const criteria = [{ ...settling!, sessions: { stable: 300, canary: 100 }, ...over }]
      const [one] = outlook({ ...verdict(300), criteria, at: HOUR }, { ramp, since })
      return one!
    }
    const sessions = (over: Partial<CriterionVerdict>): number => {
      const one = ask(over)
      return "sessions" in one ? one.sessions : NaN
    }

    // scipy's brentq on the formula of the mixture: the information at which a bound is as wide as asked, over that of the width given.
    it.each<[string, "pass" | "breach", Partial<CriterionVerdict>, number]>([
      ["a pass", "pass", { estimate: 0.005, upper: 0.005 + 0.019574098740590743 }, 0.7424132],
      ["a breach", "breach", { estimate: 0.05, upper: 0.05 + 0.041426875192016994 }, 1.3067173],
      [
        "a breach of a budget",
        "breach",
        { criterion: "error_rate_max", max: 0.01, estimate: 0.02, upper: 0.02 + 0.013949941624030026 },
        1.71006349,
      ],
      [
        "a pass of a budget",
        "pass",
        { criterion: "error_rate_max", max: 0.01, estimate: 0.006, upper: 0.006 + 0.013949941624030026 },
        12.7341101,
      ],
      [
        "a pass of p99",
        "pass",
        { criterion: "latency_p99_delta_max", max: 50, estimate: -0.006, upper: -0.006 + 0.008781970358012196 },
        1.25384218,
      ],
      [
        "a breach of p99",
        "breach",
        { criterion: "latency_p99_delta_max", max: 50, estimate: 0.004, upper: 0.004 + 0.008781970358012196 },
        6.01624367,
      ],
    ])("how fast the bound of %s closes", (_, heading, over, more) => {
      const alphaBreach = 0.05 / 3
      expect(ask({ ...over, alphaBreach })).toMatchObject({ heading })
      expect(sessions({ ...over, alphaBreach }) / ((100 * more) / 0.25)).toBeCloseTo(1, 1.6)
    })

    it("how many calls without an event bound them below 1 in 200", () => {
      // scipy: the Beta(½, ½) mixture bounds 1,437 at 0.0050002 and 1,438 at 0.0049970.
      expect(callsForZero()).toBe(1438)
      const never = { criterion: "error_rate_max", max: 0, estimate: 0, upper: 0.1 } as const
      expect(sessions({ ...never, effectiveSize: 200 })).toBe(Math.ceil((100 * (1438 / 200 - 1)) / 0.25))
      expect(sessions({ ...never, effectiveSize: 300 })).toBe(1518)
      // Enough of them already: whatever still holds it is not their number.
      expect(sessions({ ...never, effectiveSize: 2000 })).toBe(0)
      const few = { stable: 300, canary: 10 }
      // At least the sessions that a number is formed from.
      expect(sessions({ ...never, sessions: few, effectiveSize: 1400 })).toBe(80)
    })

    it("the sessions that a pass needs in any case, and a breach does not", () => {
      const near = { estimate: 0, upper: 0.0201, sessions: { stable: 300, canary: 10 } }
      expect(sessions(near)).toBe(80)
      expect(ask({ ...near, method: "pairs" })).toMatchObject({ heading: "pass", sessions: 40 })
      const bad = { estimate: 0.5, upper: 0.9, sessions: { stable: 300, canary: 10 } }
      expect(ask(bad)).toMatchObject({ heading: "breach", sessions: 4 })
      expect(ask({ ...bad, estimate: 0.03, upper: 0.05 })).toMatchObject({ heading: "breach" })
      expect(ask({ ...bad, estimate: 0.02, upper: 0.03 })).toEqual({ criterion: deny.name, heading: "at_limit" })
      expect(ask({ ...near, sessions: { stable: 300, canary: 40 }, upper: 0.0201 })).toMatchObject({ sessions: 4 })
    })

    it("the time that sessions came in, weighed by the share that told something", () => {
      const pass = { estimate: 0, upper: 0.0201, sessions: { stable: 300, canary: 10 } }
      const msOf = (one: Outlook): number => ("ms" in one ? one.ms : NaN)
      // Ten in a quarter of a quarter hour; then all of the rest at a half: 20 more take 40 sessions.
      const ramp = [
        { at: 0, weightBp: 2500 },
        { at: HOUR / 4, weightBp: 5000 },
      ]
      const told = (HOUR / 4) * 0.25 + (HOUR * 3) / 4 / 2
      expect(ask(pass, ramp)).toMatchObject({ sessions: 40 })
      expect(msOf(ask(pass, ramp))).toBeCloseTo((40 * told) / 10, 3)
      expect(msOf(ask(pass, ramp, HOUR / 2))).toBeCloseTo((40 * (HOUR / 2 / 2)) / 10, 3)
      // Before the first entry, and from 100 % on, one arm served alone.
      expect(msOf(ask(pass, [{ at: HOUR / 2, weightBp: 2500 }]))).toBeCloseTo((80 * (HOUR / 2) * 0.25) / 10, 3)
      const back = [
        { at: 0, weightBp: 10_000 },
        { at: HOUR / 2, weightBp: 2500 },
      ]
      expect(msOf(ask(pass, back))).toBeCloseTo((80 * (HOUR / 2) * 0.25) / 10, 3)
      expect(msOf(ask({ ...pass, method: "pairs" }, back))).toBeCloseTo((40 * HOUR) / 10, 3)
      const errors = { ...pass, criterion: "error_rate_max", max: 0.05, upper: 0.0501 } as const
      expect(msOf(ask(errors, [{ at: 0, weightBp: 10_000 }]))).toBeCloseTo((20 * HOUR) / 10, 3)
      // Entries that are still to come, or came to an end before the process began, do not count.
      expect(msOf(ask(pass, [...ramp, { at: 2 * HOUR, weightBp: 2500 }]))).toBeCloseTo((80 * told) / 10, 3)
      expect(ask(pass, [])).toEqual({ criterion: deny.name, heading: "not_here" })
      expect(ask(errors, []).heading).toBe("not_here")
      expect(ask(pass, [{ at: 0, weightBp: 9999 }])).toMatchObject({ heading: "pass" })
    })

    it("nothing without sessions, time or bounds, and not where it takes more than two years", () => {
      const pass = { estimate: 0, upper: 0.0201, effectiveSize: 100 }
      const heading = (over: Partial<CriterionVerdict>, at = 0): string =>
        ask({ ...pass, ...over }, [{ at, weightBp: 2500 }]).heading
      expect(heading({ sessions: { stable: 9, canary: 1 } })).toBe("pass")
      expect(heading({ sessions: { stable: 9, canary: 0 } })).toBe("no_rate")
      expect(heading({ sessions: { stable: 300, canary: 100 } }, HOUR - 1)).toBe("pass")
      expect(heading({ sessions: { stable: 300, canary: 100 } }, HOUR)).toBe("no_rate")
      for (const gone of ["estimate", "upper", "effectiveSize"] as const)
        expect(heading({ [gone]: null })).toBe("no_rate")
      // One session so far, of a quarter: 29 more are 116, at four hours of all sessions each… until they take 730 days.
      const years = (ms: number): string =>
        ask({ ...pass, sessions: { stable: 3, canary: 1 } }, [{ at: HOUR - ms, weightBp: 2500 }]).heading
      const LIMIT = (730 * 86_400_000) / 116 / 0.25
      expect(years(LIMIT * (1 - 1e-9))).toBe("pass")
      expect(years(LIMIT * (1 + 1e-9))).toBe("at_limit")
    })
  })

  it("has nothing to say of what is settled", () => {
    const settled = verdict(300)
    const criteria = settled.criteria.map((one) => ({ ...one, result: "pass" as const }))
    expect(outlook({ ...settled, criteria }, { ramp: [{ at: 0, weightBp: 2500 }] })).toEqual([])
  })
})
