import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatDuration, parseDuration } from "../../src/rollout/duration.js"
import { runs } from "../runs.js"

describe("parseDuration", () => {
  it.each([
    ["50ms", 50],
    ["0.5ms", 0.5],
    ["30s", 30_000],
    ["15m", 900_000],
    ["4h", 14_400_000],
    ["1.5h", 5_400_000],
    ["7d", 604_800_000],
    ["1h30m", 5_400_000],
    ["1d 2h 3m 4s 5ms", 93_784_005],
    [" 4 h ", 14_400_000],
    ["0s", 0],
    ["366d", 31_622_400_000],
  ])("reads %s as %d ms", (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, ms })
  })

  it.each([4, "4", "1.5", " 10 "])("refuses a number without a unit (%j) and says which to write", (value) => {
    const n = String(value).trim()
    expect(parseDuration(value)).toEqual({
      ok: false,
      message: `has no unit: ${n}`,
      fix: `write "${n}s", "${n}m" or "${n}h"`,
    })
  })

  it.each(["", "  ", "h", "-4h", "4H", "4hours", "30m1h", "1m1m", "1h 30", "1e3s", ".5s", "５h", "Infinityh", "367d"])(
    "refuses %j",
    (text) => {
      expect(parseDuration(text).ok).toBe(false)
    },
  )

  it.each([null, undefined, true, {}, [], new Date(0)])("refuses %s, which is no text", (value) => {
    expect(parseDuration(value)).toMatchObject({ ok: false, message: expect.stringContaining("is no duration") })
  })

  it("answers in linear time whatever it is given", () => {
    const started = performance.now()
    expect(parseDuration("1".repeat(1_000_000)).ok).toBe(false)
    expect(parseDuration(`${"1h ".repeat(300_000)}x`).ok).toBe(false)
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe("formatDuration", () => {
  it.each([
    [0, "0s"],
    [0.25, "0.25ms"],
    [1500, "1s500ms"],
    [600_000, "10m"],
    [5_400_000, "1h30m"],
    [86_400_000, "1d"],
  ])("writes %d ms as %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  it("writes what parseDuration reads, to the microsecond", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 366 * 86_400_000_000 }), (micros) => {
        expect(parseDuration(formatDuration(micros / 1000))).toEqual({ ok: true, ms: micros / 1000 })
      }),
      { numRuns: runs(2000) },
    )
  })

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])("refuses %d", (ms) => {
    expect(() => formatDuration(ms)).toThrow(RangeError)
  })
})
