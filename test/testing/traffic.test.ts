import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { RecordedCall } from "../../src/testing/calls.js"
import { replaySessions } from "../../src/testing/traffic.js"
import type { ReplayedCall, ReplayOptions } from "../../src/testing/traffic.js"

const START = Date.UTC(2026, 0, 1)
const OPTIONS: ReplayOptions = { seed: 1, sessionsPerMinute: 60, startAt: START, meanGapMs: 2000 }

/** Three sessions of 1, 2 and 5 calls, interleaved as in a log. */
const CALLS: RecordedCall[] = ["b", "c", "a", "c", "b", "c", "c", "c"].map((session, i) => ({
  session,
  tool: `tool_${i}`,
  input: { i },
}))

function take(
  count: number,
  calls: readonly RecordedCall[] = CALLS,
  options: Partial<ReplayOptions> = {},
): ReplayedCall[] {
  const stream = replaySessions(calls, { ...OPTIONS, ...options })
  return Array.from({ length: count }, () => stream.next().value)
}

const mean = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length

function bySession(stream: readonly ReplayedCall[]): Map<string, ReplayedCall[]> {
  const sessions = new Map<string, ReplayedCall[]>()
  for (const one of stream) sessions.set(one.sessionId, [...(sessions.get(one.sessionId) ?? []), one])
  return sessions
}

describe("replaySessions", () => {
  it("gives the same stream for the same seed, and another for another", () => {
    expect(take(500)).toEqual(take(500))
    const times = (seed: number) => take(50, CALLS, { seed }).map(({ at }) => at)
    expect(new Set([0, 1, 2, 2 ** 32, 2 ** 32 + 1].map((seed) => times(seed).join())).size).toBe(5)
  })

  it("is in order of time, whatever the rates", () => {
    const options = fc.record({
      seed: fc.maxSafeNat(),
      sessionsPerMinute: fc.double({ min: 0.01, max: 10_000, noNaN: true }),
      meanGapMs: fc.double({ min: 0, max: 100_000, noNaN: true }),
    })
    fc.assert(
      fc.property(options, (some) => {
        const stream = take(200, CALLS, some)
        expect(stream).toHaveLength(200)
        for (const [i, { at, startedAt }] of stream.entries()) {
          expect(Number.isInteger(at)).toBe(true)
          expect(at).toBeGreaterThanOrEqual(stream[i - 1]?.at ?? START)
          expect(startedAt).toBeLessThanOrEqual(at)
        }
      }),
    )
  })

  it("plays in each session the calls of one recorded session, in order, from its start", () => {
    const recorded = new Map(["a", "b", "c"].map((name) => [name, CALLS.filter(({ session }) => session === name)]))
    const stream = take(5000)
    const end = stream.at(-1)?.at ?? 0
    let whole = 0
    for (const played of bySession(stream).values()) {
      const [first] = played
      const original = recorded.get(first?.recorded.session ?? "") ?? []
      expect(played.map((one) => one.recorded)).toEqual(original.slice(0, played.length))
      expect(first?.at).toBe(first?.startedAt)
      expect(new Set(played.map(({ startedAt }) => startedAt)).size).toBe(1)
      for (const { call, recorded } of played) expect(call).toEqual({ action: recorded.tool, input: recorded.input })
      if (played.length === original.length) whole++
      else expect(end - (first?.startedAt ?? 0)).toBeLessThan(120_000) // cut off by the end of what was taken
    }
    expect(whole).toBeGreaterThan(1500)
  })

  it("draws every recorded session alike, and gives each play a new id", () => {
    const sessions = bySession(take(20_000))
    const counts = new Map<string, number>()
    for (const [first] of sessions.values()) {
      const name = first?.recorded.session ?? ""
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    expect([...counts.keys()].sort()).toEqual(["a", "b", "c"])
    // Binomial(7500, 1/3): four standard deviations are 163.
    for (const count of counts.values()) expect(Math.abs(count - sessions.size / 3)).toBeLessThan(163)
  })

  it("starts sessions at the mean rate asked for, with exponential times between", () => {
    const stream = take(60_000)
    const starts = [...bySession(stream).values()].map(([first]) => first?.startedAt ?? 0)
    const gaps = starts.map((at, i) => at - (starts[i - 1] ?? START))
    // 22,500 gaps of mean 1 s: the mean has a standard error of 6.7 ms, four of them are 27.
    expect(gaps.length).toBeGreaterThan(20_000)
    expect(Math.abs(mean(gaps) - 1000)).toBeLessThan(27)
    // P(gap > mean) = 1/e for the exponential; standard error 0.0032.
    expect(mean(gaps.map((gap) => (gap > 1000 ? 1 : 0)))).toBeCloseTo(Math.exp(-1), 1.8)
  })

  it("lets the mean gap pass between the calls of a session", () => {
    const sessions = [...bySession(take(60_000)).values()].slice(0, -500) // without those that are cut off
    const gaps = sessions.flatMap((played) => played.slice(1).map(({ at }, i) => at - (played[i]?.at ?? 0)))
    expect(gaps.length).toBeGreaterThan(30_000)
    // Standard error of the mean: 2,000 / sqrt(36,000) = 10.5 ms.
    expect(Math.abs(mean(gaps) - 2000)).toBeLessThan(42)
  })

  it("plays a session at once when the mean gap is 0", () => {
    for (const played of bySession(take(1000, CALLS, { meanGapMs: 0 })).values()) {
      expect(new Set(played.map(({ at }) => at)).size).toBe(1)
    }
  })

  it("is lazy: the first call comes although the stream never ends", () => {
    const stream = replaySessions(CALLS, OPTIONS)
    expect(stream.next().done).toBe(false)
    expect(stream.return(undefined as never).done).toBe(true)
  })

  it.each([
    ["calls", [], {}],
    ["seed", CALLS, { seed: -1 }],
    ["seed", CALLS, { seed: 0.5 }],
    ["seed", CALLS, { seed: 2 ** 53 }],
    ["sessionsPerMinute", CALLS, { sessionsPerMinute: 0 }],
    ["sessionsPerMinute", CALLS, { sessionsPerMinute: Number.POSITIVE_INFINITY }],
    ["startAt", CALLS, { startAt: Number.NaN }],
    ["meanGapMs", CALLS, { meanGapMs: -1 }],
  ] as const)("refuses a wrong %s at once, not at the first call", (name, calls, options) => {
    expect(() => replaySessions(calls, { ...OPTIONS, ...options })).toThrow(RangeError)
    expect(() => replaySessions(calls, { ...OPTIONS, ...options })).toThrow(name)
  })
})
