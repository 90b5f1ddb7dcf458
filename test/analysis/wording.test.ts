import { describe, expect, it } from "vitest"
import { explain } from "../../src/analysis/explain.js"
import { count, percent, points, reasonOf } from "../../src/analysis/wording.js"
import type { CriterionVerdict, Verdict } from "../../src/model/verdict.js"

const open: CriterionVerdict = {
  criterion: "deny_rate_delta_max",
  mode: "enforce",
  result: "inconclusive",
  unit: "rate",
  max: 0.02,
  method: "arms",
  estimate: 0.0123,
  lower: -0.01,
  upper: 0.03,
  alphaBreach: 0.05,
  alphaPass: 0.05,
  logEWorse: 0,
  logEWithin: 0,
  evaluations: { stable: 12_345, canary: 678 },
  sessions: { stable: 1234, canary: 56 },
  pairs: 4321,
  effectiveSize: 100,
  reason: "a reason",
}
const ARMS = "(678 canary and 12,345 stable evaluations of 56 and 1,234 sessions)"
const PAIRS = "(4,321 calls of 56 sessions, judged by both)"
const budget = { criterion: "newly_denied_rate_max", method: "pairs", estimate: 0.01, lower: 0.001 } as const
const p99 = { criterion: "latency_p99_delta_max", max: 50, unit: "ms", estimate: 0.002, lower: -0.001 } as const
const trips = (arms: number, trip: number): Partial<CriterionVerdict> => ({
  sources: [
    { source: "arms", weight: 0.8, logE: arms },
    { source: "trip", weight: 0.2, logE: trip },
  ],
})

describe("one sentence", () => {
  it.each<[Partial<CriterionVerdict>, string]>([
    [{}, `deny rate, canary minus stable, is between -1 pp and +3 pp; the limit is +2 pp: not settled ${ARMS}`],
    [
      { upper: 0.02 },
      `deny rate, canary minus stable, is between -1 pp and +2 pp; the limit is +2 pp: within it so far, too few sessions to pass ${ARMS}`,
    ],
    [
      { upper: 0.0201 },
      `deny rate, canary minus stable, is between -1 pp and +2.01 pp; the limit is +2 pp: not settled ${ARMS}`,
    ],
    [
      { upper: null },
      `deny rate, canary minus stable, is +1.23 pp, too few sessions to bound it; the limit is +2 pp ${ARMS}`,
    ],
    [{ result: "pass" }, `deny rate, canary minus stable, is at most +3 pp; the limit is +2 pp ${ARMS}`],
    [
      { result: "breach", lower: 0.0201 },
      `deny rate, canary minus stable, is +1.23 pp, at least +2.01 pp; the limit is +2 pp ${ARMS}`,
    ],
    [
      { result: "breach", lower: 0.02, ...trips(1, 2) },
      `deny rate, canary minus stable, is +1.23 pp, decided by first evaluations of sessions; the limit is +2 pp ${ARMS}`,
    ],
    [
      { result: "breach", lower: 0.02, ...trips(2, 1) },
      `deny rate, canary minus stable, is +1.23 pp, decided by all evidence together; the limit is +2 pp ${ARMS}`,
    ],
    [
      { result: "breach", lower: 0.02 },
      `deny rate, canary minus stable, is +1.23 pp, decided by all evidence together; the limit is +2 pp ${ARMS}`,
    ],
    [
      { result: "breach", estimate: null, lower: null, upper: null },
      `deny rate, canary minus stable,: over its limit by first evaluations of sessions alone ${ARMS}`,
    ],
    [
      { estimate: null },
      `deny rate, canary minus stable,: over its limit by first evaluations of sessions alone ${ARMS}`,
    ],
    [{ lower: null }, `deny rate, canary minus stable,: over its limit by first evaluations of sessions alone ${ARMS}`],
    [
      { lower: -1.5, upper: 1.5 },
      `deny rate, canary minus stable, is between -100 pp and +100 pp; the limit is +2 pp: not settled ${ARMS}`,
    ],
    [{ noData: "missing" }, "deny rate: nothing of this kind has been seen"],
    [
      { evaluations: { stable: 0, canary: 678 }, upper: null },
      "deny rate, canary minus stable, is +1.23 pp, too few sessions to bound it; the limit is +2 pp (678 evaluations of 56 canary sessions)",
    ],
    [
      { evaluations: { stable: 1, canary: 678 }, sessions: { stable: 1, canary: 56 }, result: "pass" },
      "deny rate, canary minus stable, is at most +3 pp; the limit is +2 pp (678 canary and 1 stable evaluations of 56 and 1 sessions)",
    ],
    [
      { criterion: "scan_flag_rate_delta_max", method: "pairs", result: "pass" },
      "rate of flagged scans, canary minus stable, is at most +3 pp; the limit is +2 pp (4,321 texts of 56 sessions, scanned by both)",
    ],
    [
      { ...budget },
      `rate of newly denied calls of the canary is between 0.1 % and 3 %; the limit is 2 %: not settled ${PAIRS}`,
    ],
    [
      { ...budget, lower: -0.5, upper: 1.5 },
      `rate of newly denied calls of the canary is between 0 % and 100 %; the limit is 2 %: not settled ${PAIRS}`,
    ],
    [
      { ...budget, max: 0, estimate: 0, lower: 0 },
      `rate of newly denied calls of the canary: none seen, so at most 3 %; the limit is 0, which no sample can show ${PAIRS}`,
    ],
    [
      { ...budget, max: 0, result: "breach" },
      `rate of newly denied calls of the canary is 1 %, and the first event is a breach; the limit is 0 % ${PAIRS}`,
    ],
    [
      { max: 0, upper: 0 },
      `deny rate, canary minus stable, is between -1 pp and 0 pp; the limit is 0 pp: within it so far, too few sessions to pass ${ARMS}`,
    ],
    [
      { ...p99, upper: 0 },
      `p99 latency: the canary's share over 50 ms slower than stable's is between 0.9 % and 1 %; the limit is 1 %: within it so far, too few sessions to pass ${ARMS}`,
    ],
    [
      { ...p99, upper: 0.0001, quantiles: { stableMs: 123.456, canaryMs: 9.8765 } },
      `p99 latency: the canary's share over 50 ms slower than stable's (123 ms; canary's 9.88 ms) is between 0.9 % and 1.01 %; the limit is 1 %: not settled ${ARMS}`,
    ],
    [
      { ...p99, result: "breach", lower: 0.0001 },
      `p99 latency: the canary's share over 50 ms slower than stable's is 1.2 %, at least 1.01 %; the limit is 1 % ${ARMS}`,
    ],
  ])("of %o", (over, sentence) => {
    expect(reasonOf({ ...open, ...over })).toBe(sentence)
  })
})

describe("numbers for people", () => {
  it("have three digits that count, a sign where they are differences, and nothing of what rounding leaves", () => {
    expect([0.12345, 1, 0.00098765].map(percent)).toEqual(["12.3 %", "100 %", "0.0988 %"])
    expect([0.0123, -0.0123, 0, -0].map(points)).toEqual(["+1.23 pp", "-1.23 pp", "0 pp", "0 pp"])
    expect([9.95e-12, -9.95e-12, 1.005e-11].map(points)).toEqual(["0 pp", "0 pp", "+1e-9 pp"])
    expect([0, 999, 1000, 1234567, 1.6].map(count)).toEqual(["0", "999", "1,000", "1,234,567", "2"])
  })
})

describe("a whole verdict", () => {
  const verdict: Verdict = {
    result: "inconclusive",
    at: Date.UTC(2026, 0, 2),
    generation: 1,
    reason: "the reason",
    criteria: [open, { ...open, criterion: "error_rate_max", mode: "notify", result: "pass", estimate: null }],
    srm: {
      flagged: false,
      logBayesFactor: 0,
      observed: { stable: 60, canary: 40 },
      expected: { stable: 70, canary: 30 },
    },
    sessions: { stable: 1234, canary: 56, paired: 7 },
    falseAlarmRate: 0.05,
    logEFamily: 0,
  }
  const lines = (over: Partial<Verdict>): string[] => explain({ ...verdict, ...over }).split("\n")

  it("is laid out as the page shows it", () => {
    expect(lines({})).toEqual([
      "INCONCLUSIVE, judged 2026-01-02T00:00:00.000Z",
      "the reason",
      "",
      `inconclusive  deny_rate_delta_max  +1.23 pp (from -1 pp to +3 pp), limit +2 pp; ${ARMS.slice(1, -1)}`,
      "pass          error_rate_max       a reason  [notify only]",
      "",
      "sessions: 56 canary, 1,234 stable, 7 judged by both",
      "split: as the ramp says (canary's share is off by +10 pp)",
      "a canary within all its limits is stopped with a chance of at most 5 %, however often this is asked",
    ])
  })

  it("is headed by its result, with the cause or what is missing", () => {
    const heads: [Partial<Verdict>, string][] = [
      [{ result: "breach", cause: "deny_rate_delta_max" }, "BREACH of deny_rate_delta_max"],
      [{ result: "breach", cause: undefined }, "BREACH of a limit"],
      [{ result: "pass" }, "PASS"],
      [{ noData: "stale" }, "NO DATA (stale)"],
    ]
    for (const [over, head] of heads) expect(lines(over)[0]).toBe(`${head}, judged 2026-01-02T00:00:00.000Z`)
    expect(lines({ criteria: [] }).slice(1, 5)).toEqual(["the reason", "", "", lines({})[6]])
  })

  it("marks bounds that are not there, and shows p99 in ms", () => {
    const line = (over: Partial<CriterionVerdict>): string => lines({ criteria: [{ ...open, ...over }] })[3]!
    expect(line({ lower: null, upper: null })).toContain("+1.23 pp (from ? to ?), limit +2 pp; 678")
    expect(line({ ...p99, quantiles: { stableMs: 12.34, canaryMs: 56.78 } })).toBe(
      `inconclusive  latency_p99_delta_max  1.2 % (from 0.9 % to 4 %), limit 1 %; p99 12.3 ms stable, 56.8 ms canary; ${ARMS.slice(1, -1)}`,
    )
  })

  it("says how the split is", () => {
    const split = (over: Partial<Verdict["srm"]>): string => lines({ srm: { ...verdict.srm, ...over } })[7]!
    expect(split({ flagged: true, short: "stable" })).toBe(
      "split: NOT as the ramp says, the stable arm is short: 40 canary sessions where 30 were due",
    )
    expect(split({ observed: { stable: 0, canary: 0 } })).toBe(
      "split: no session was assigned while both arms were served",
    )
    expect(split({ observed: { stable: 0, canary: 1 }, expected: { stable: 0.5, canary: 0.5 } })).toContain(
      "off by +50 pp",
    )
    expect(split({ observed: { stable: 1, canary: 1 }, expected: { stable: 1, canary: 1 } })).toContain("off by 0 pp")
  })
})
