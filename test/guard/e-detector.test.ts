import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createEDetector } from "../../src/guard/e-detector.js"
import { sfc32 } from "../../src/testing/sfc32.js"

const bounds = fc.double({ min: 0.01, max: 0.6, noNaN: true })
const outcomes = fc.array(fc.boolean(), { minLength: 1, maxLength: 60 })

function evidenceAfter(bound: number, events: readonly boolean[]): number {
  const detector = createEDetector(bound, Number.MAX_VALUE)
  for (const event of events) detector.see(event)
  return detector.evidence
}

/** Outcomes until the alarm; Infinity when none comes within `most`. */
function alarmAt(bound: number, threshold: number, next: (n: number) => boolean, most: number): number {
  const detector = createEDetector(bound, threshold)
  for (let n = 1; n <= most; n++) if (detector.see(next(n))) return n
  return Infinity
}

describe("the evidence of the detector", () => {
  it("is what it is by hand: 0.95 against 0.2 is 19/4 for an event and 1/16 for none", () => {
    expect(evidenceAfter(0.2, [true])).toBeCloseTo(19 / 8, 12)
    expect(evidenceAfter(0.2, [true, true])).toBeCloseTo((19 / 4) ** 2 / 2 + 19 / 4 / 6, 12)
    expect(evidenceAfter(0.2, [true, false])).toBeCloseTo((19 / 8 + 1 / 6) / 16, 12)
    expect(evidenceAfter(0.2, [false, true, true])).toBeCloseTo(((1 / 32 + 1 / 6) * (19 / 4) + 1 / 12) * (19 / 4), 12)
  })

  it("is the sum over all starts of their likelihood ratios, each with its weight", () => {
    fc.assert(
      fc.property(bounds, outcomes, (bound, events) => {
        let sum = 0
        for (let start = 1; start <= events.length; start++) {
          const after = events.slice(start - 1)
          const hits = after.filter(Boolean).length
          const logRatio = hits * Math.log(0.95 / bound) + (after.length - hits) * Math.log(0.05 / (1 - bound))
          sum += Math.exp(logRatio) / (start * (start + 1))
        }
        expect(evidenceAfter(bound, events) / sum).toBeCloseTo(1, 9)
      }),
    )
  })

  it("with the weight of the starts to come cannot grow in the mean while the rate is at most the bound", () => {
    fc.assert(
      fc.property(bounds, fc.double({ min: 0, max: 1, noNaN: true }), outcomes, (bound, share, events) => {
        const rate = share * bound
        const n = events.length
        const before = evidenceAfter(bound, events) + 1 / (n + 1)
        const mean =
          rate * evidenceAfter(bound, [...events, true]) +
          (1 - rate) * evidenceAfter(bound, [...events, false]) +
          1 / (n + 2)
        expect(mean).toBeLessThanOrEqual(before * (1 + 1e-9))
      }),
    )
  })

  it("says from how many outcomes it comes", () => {
    const detector = createEDetector(0.2, 1e6)
    for (let n = 0; n < 500; n++) detector.see(false)
    for (let n = 0; n < 9; n++) detector.see(true)
    expect([detector.trials, detector.events]).toEqual([9, 9])
  })
})

describe("an alarm", () => {
  it("is false in at most 1 / threshold of the lives of a rate at its bound, and the check could fail", () => {
    const lives = 4000
    const random = sfc32(7)
    let alarms = 0
    for (let life = 0; life < lives; life++) if (alarmAt(0.2, 20, () => random() < 0.2, 1000) < Infinity) alarms++
    expect(alarms / lives).toBeLessThanOrEqual(1 / 20)
    expect(alarms).toBeGreaterThan(0)
  })

  it.each([
    ["at once", 0.2, 0, 10],
    ["after 1,000 good ones", 0.2, 1000, 18],
    ["after 100,000 good ones", 0.2, 100_000, 24],
    ["at once, against one half", 0.5, 0, 23],
    // By hand: ⌈ln(threshold × good² / 1.33) / ln(19/4)⌉, where 1.33 is what the neighbouring starts add.
  ])("comes soon when everything is an event %s", (_, bound, good, most) => {
    const at = alarmAt(bound, 1e6, (n) => n > good, good + 100) - good
    expect(at).toBe(most)
  })

  it("comes within twenty or so when one call in ten is spared", () => {
    expect(alarmAt(0.2, 1e6, (n) => n % 10 !== 0, 100)).toBeLessThanOrEqual(20)
  })
})
