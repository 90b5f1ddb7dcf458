import { describe, expect, it } from "vitest"
import { guardedRollout } from "../../bench/verdicts/guarded.js"
import { breachMinute, passMinute, quantile, stopped } from "../../bench/verdicts/outcomes.js"
import { BASE, BEYOND, CRITERIA, DRIFT, RAMP } from "../../bench/verdicts/points.js"
import { rollout, serin } from "../../bench/verdicts/rollout.js"
import type { World } from "../../bench/verdicts/world.js"
import type { CriterionName } from "../../src/model/verdict.js"

/** As many as CI has time for; `npm run bench:verdicts` has the figures. */
const RUNS = 5

interface Options {
  /** What has to pass; without it the rollout. */
  readonly watched?: readonly CriterionName[]
  readonly runs?: number
  /** Runs end with a pass. */
  readonly untilPass?: boolean
}

function repeat(over: Partial<World>, { watched, runs = RUNS, untilPass = false }: Options = {}) {
  const world = { ...BASE, ...over }
  return Array.from({ length: runs }, (_, i) => rollout(world, 100 + i, serin(world, CRITERIA, watched), untilPass))
}
const median = (values: readonly number[]): number => quantile(values, 0.5)
const beyond = (name: string): World => ({ ...BASE, effect: BEYOND.find((point) => point.name === name)!.effect })

describe("simulated rollouts at 30 sessions a minute and 5 %", { timeout: 120_000 }, () => {
  it("stop no healthy canary before it is known to be within all its limits, which takes ten minutes in half of the runs", () => {
    const runs = repeat({ minutes: 20, timed: true }, { untilPass: true })
    expect(stopped(runs).text).toMatch(/^0\.0 %/)
    expect(median(runs.map(passMinute))).toBeLessThanOrEqual(10)
  })

  it("stop hardly any that is exactly at its limits, and pass hardly any", () => {
    const runs = repeat({ minutes: 20, effect: { deny: 0.02, error: 0.01 } }, { watched: ["deny_rate_delta_max"] })
    expect(runs.filter((run) => run.breachMinute !== null).length).toBeLessThanOrEqual(1)
    expect(runs.filter((run) => run.passMinute !== null).length).toBeLessThanOrEqual(1)
  })

  it("take drift, an outage of both arms and a ramp for no fault of the canary", () => {
    expect(stopped(repeat({ ...RAMP, ...DRIFT, minutes: 65 }, { runs: 1 })).text).toMatch(/^0\.0 %/)
  })

  it("find a canary that denies all within a minute and five of its calls, and 5 pp more denials in minutes", () => {
    const all = repeat({ ...beyond("denies all"), minutes: 5 })
    expect(median(all.map(breachMinute))).toBeLessThanOrEqual(1)
    expect(median(all.map(({ canaryCalls }) => canaryCalls))).toBeLessThanOrEqual(5)
    const more = repeat({ ...beyond("+5 pp denied"), minutes: 30 })
    expect(median(more.map(breachMinute))).toBeLessThanOrEqual(9)
    expect(more.every(({ cause }) => cause === "deny_rate_delta_max")).toBe(true)
  })

  it("go the same way through a guard, call by call", async () => {
    const world = { ...beyond("+5 pp denied"), minutes: 30 }
    const { breachMinute, cause } = await guardedRollout(world, 1, CRITERIA)
    expect(cause).toBe("deny_rate_delta_max")
    expect(breachMinute).toBeLessThanOrEqual(20)
  })
})
