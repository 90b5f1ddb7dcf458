import { describe, expect, it } from "vitest"
import { judge } from "../../src/analysis/judge.js"
import { outlook, type Outlook } from "../../src/analysis/outlook.js"
import { createStratum } from "../../src/evidence/cells.js"
import type { Criterion } from "../../src/model/verdict.js"
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

  it("has nothing to say of what is settled", () => {
    const settled = verdict(300)
    const criteria = settled.criteria.map((one) => ({ ...one, result: "pass" as const }))
    expect(outlook({ ...settled, criteria }, { ramp: [{ at: 0, weightBp: 2500 }] })).toEqual([])
  })
})
