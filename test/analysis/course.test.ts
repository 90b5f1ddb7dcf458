import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { advanceCourse, type Course } from "../../src/analysis/course.js"
import { judge } from "../../src/analysis/judge.js"
import { CRITERIA, type Criterion, type Verdict } from "../../src/model/verdict.js"
import { paired } from "../controller/evidence.js"
import { runs } from "../runs.js"

const criteria: Criterion[] = CRITERIA.map((name) => ({ name, max: 0.02, mode: "enforce" }))
const ramp = [{ weightBp: 0 }]
const look = judge({
  criteria,
  falseAlarmRate: 0.05,
  shadow: true,
  ramp,
  evidence: paired(1, 2, 40, () => false),
  at: 0,
})
const verdictAt = (at: number, generation = 1): Verdict => ({ ...look, at, generation })
const courseOf = (times: readonly number[]): Course | undefined =>
  times.reduce<Course | undefined>((course, at) => advanceCourse(course, verdictAt(at)), undefined)

describe("a course", () => {
  it("has estimate and bounds of every criterion at every look, and a gap where there was no number", () => {
    const course = courseOf([1000, 2000])
    const deny = look.criteria.find(({ criterion }) => criterion === "deny_rate_delta_max")
    expect(course?.at).toEqual([1000, 2000])
    const [, point] = course?.criteria.deny_rate_delta_max ?? []
    expect(point?.[0]).toBeCloseTo(deny?.estimate ?? Number.NaN, 4)
    expect(point?.[2]).toBeCloseTo(deny?.upper ?? Number.NaN, 4)
    expect(course?.criteria.alert_rate_delta_max).toEqual([null, null])
  })

  it("has 120 looks at most, from the first to the newest, evenly apart, however long a rollout takes", () => {
    const everyMs = 5000
    for (const looks of [2, 119, 120, 121, 500, 5000]) {
      const course = courseOf(Array.from({ length: looks }, (_, i) => i * everyMs))
      const { at = [] } = course ?? {}
      expect(at.length).toBeLessThanOrEqual(120)
      expect(at.length).toBeGreaterThanOrEqual(Math.min(looks, 60))
      expect([at[0], at.at(-1)]).toEqual([0, (looks - 1) * everyMs])
      const gaps = at.slice(1, -1).map((time, i) => time - (at[i] ?? 0))
      expect(Math.max(0, ...gaps) / Math.min(...gaps, Infinity)).toBeLessThanOrEqual(2)
    }
  })

  it("is never longer, out of order or uneven in length, whenever it is looked at", () => {
    const gap = fc.oneof(fc.nat(3), fc.nat(10_000), fc.nat(10_000_000))
    fc.assert(
      fc.property(fc.array(gap, { minLength: 1, maxLength: 400 }), (gaps) => {
        let now = 0
        const times = gaps.map((ms) => (now += ms))
        const course = courseOf(times)
        const at = course?.at ?? []
        expect(at.length).toBeLessThanOrEqual(120)
        expect(at.toSorted((a, b) => a - b)).toEqual(at)
        expect(at.at(-1)).toBe(now)
        for (const points of Object.values(course?.criteria ?? {})) expect(points).toHaveLength(at.length)
      }),
      { numRuns: runs(20) },
    )
  })

  it("begins again with another generation, and when the clock was set back", () => {
    const course = courseOf([1000, 2000])
    expect(advanceCourse(course, verdictAt(3000, 2))).toMatchObject({ generation: 2, at: [3000] })
    expect(advanceCourse(course, verdictAt(1500))).toMatchObject({ at: [1500] })
  })

  it("of all eleven criteria has less than 64 KB as JSON", () => {
    const wild = { estimate: -0.00012345, lower: -0.00098765, upper: -0.00012345 }
    const worst = { ...look, criteria: look.criteria.map((one) => ({ ...one, ...wild })) }
    let course: Course | undefined
    for (let i = 0; i < 120; i++) course = advanceCourse(course, { ...worst, at: 1.7e12 + i * 5000 })
    expect(course?.at).toHaveLength(120)
    expect(JSON.stringify(course).length).toBeLessThan(60_000)
  })
})
