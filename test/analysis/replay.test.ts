import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compactEvidence, expandEvidence, type CompactEvidence } from "../../src/analysis/compact.js"
import { lookAgain, recordVerdict, replay, type Judged, type VerdictRecord } from "../../src/analysis/replay.js"
import type { TripState } from "../../src/analysis/trip.js"
import { parseRecord } from "../../src/controller/verdict-record.js"
import { createStratum } from "../../src/evidence/cells.js"
import type { Evidence, Stratum } from "../../src/model/evidence.js"
import { CRITERIA } from "../../src/model/verdict.js"
import { denying, enforce, serve, uniforms, type World } from "./traffic.js"
import { runs } from "../runs.js"

const ABOUT = {
  serin: "0.0.0",
  runtime: { node: "0", v8: "0", arch: "none" },
  rollout: "demo",
  stable: "1",
  canary: "2",
  revision: 3,
}
const ALL = CRITERIA.map((name) => enforce(name, name.includes("latency") ? 50 : 0.02))

const worse: World["canary"] = (stable, _, random) => (random() < 0.06 ? "deny" : stable)

function judged(over: Partial<Judged> = {}, sessions = 300): Judged {
  const stratum = serve({ sessions, weightBp: 2000, random: uniforms(3), stable: denying, canary: worse, shadow: true })
  return {
    criteria: ALL,
    falseAlarmRate: 0.05,
    shadow: true,
    at: 1234,
    ramp: [{ at: 1000, weightBp: 2000 }],
    evidence: { generation: 1, strata: [createStratum(), stratum] },
    tripBefore: undefined,
    ...over,
  }
}

/** Through the text of a file and back. */
const stored = (record: VerdictRecord): VerdictRecord => JSON.parse(JSON.stringify(record)) as VerdictRecord
const recorded = (input: Judged): VerdictRecord => stored(recordVerdict(input, lookAgain(input), ABOUT))

describe("a recorded verdict", () => {
  it("is the same again to the bit, at every look, with the trip carried from look to look", () => {
    let trip: TripState | undefined
    for (const sessions of [20, 60, 150, 400]) {
      const input = judged({ tripBefore: trip }, sessions)
      const look = lookAgain(input)
      const again = replay(stored(recordVerdict(input, look, ABOUT)))
      expect(again).toMatchObject({ differences: [], count: 0, largest: 0 })
      expect(again.verdict).toEqual(look.verdict)
      trip = look.trip
    }
    expect(trip?.rows.some(({ logE }) => logE !== 0)).toBe(true)
  })

  it("is the same again where durations were known in ranges and something was missing", () => {
    const input = judged({ criteria: [enforce("latency_p99_delta_max", 50)] })
    const { evidence } = input
    const coarse = { latency: [[0, 800]], scanLatency: [] } as const
    const gap = { noData: "stale", detail: "1 of 3" } as const
    const record = recorded({ ...input, evidence: { ...evidence, coarse, gap } })
    expect(replay(parseRecord(JSON.stringify(record)))).toMatchObject({ differences: [], verdict: { noData: "stale" } })
    const exact = replay({ ...record, inputs: { ...record.inputs, evidence: compactEvidence(evidence) } })
    expect(exact.count).toBeGreaterThan(0)
  })

  it("rests on the trip of the looks before it", () => {
    const before = lookAgain(judged({}, 40)).trip
    const record = recorded(judged({ tripBefore: before }, 300))
    const again = replay({ ...record, inputs: { ...record.inputs, trip: null } })
    expect(again.differences.map(({ where }) => where)).toContainEqual(
      expect.stringMatching(/^trip\.rows\[\d+\]\.logE$/),
    )
  })

  it("does not change with the evidence that it was read from", () => {
    const input = judged()
    const look = lookAgain(input)
    const record = recordVerdict(input, look, ABOUT)
    input.evidence.strata[1]!.cells.fill(7)
    expect(replay(stored(record)).count).toBe(0)
  })

  it("tells each number that was changed, by where it is and what it should be", () => {
    const record = recorded(judged())
    const verdict = record.verdict as { criteria: { lower: number }[]; srm: { logBayesFactor: number } }
    const right = verdict.criteria[2]!.lower
    verdict.criteria[2]!.lower = right + Math.abs(right) * Number.EPSILON
    verdict.srm.logBayesFactor = 0
    const { differences, count } = replay(record)
    expect(count).toBe(2)
    expect(differences).toContainEqual({
      where: "verdict.criteria[2].lower",
      recorded: verdict.criteria[2]!.lower,
      replayed: right,
    })
    expect(differences).toContainEqual(expect.objectContaining({ where: "verdict.srm.logBayesFactor", recorded: 0 }))
  })

  it("tells how large the largest difference is, and that a word is not a matter of size", () => {
    const record = recorded(judged())
    const verdict = record.verdict as { logEFamily: number; reason: string }
    verdict.logEFamily *= 1 + 1e-12
    expect(replay(record).largest).toBeGreaterThan(1e-13)
    expect(replay(record).largest).toBeLessThan(1e-11)
    verdict.reason += "!"
    expect(replay(record).largest).toBe(Infinity)
  })

  it("measures a difference against the larger of the two, whatever their signs", () => {
    const halved = (pick: (record: VerdictRecord) => [Record<string, number>, string], times: number): number => {
      const record = recorded(judged({}, 30))
      const [of, key] = pick(record)
      of[key]! *= times
      return replay(record).largest
    }
    const at = (record: VerdictRecord): [Record<string, number>, string] => [
      record.verdict as Record<string, number>,
      "at",
    ]
    const srm = (record: VerdictRecord): [Record<string, number>, string] => [
      (record.verdict as { srm: Record<string, number> }).srm,
      "logBayesFactor",
    ]
    const [found, key] = srm(recorded(judged({}, 30)))
    expect(found[key]).toBeLessThan(0)
    for (const pick of [at, srm]) {
      expect(halved(pick, 1)).toBe(0)
      expect(halved(pick, 0.5)).toBe(0.5)
      expect(halved(pick, 2)).toBe(0.5)
    }
    const worded = recorded(judged({}, 30))
    expect(replay({ ...worded, verdict: { ...(worded.verdict as object), at: "1234" } }).largest).toBe(Infinity)
  })

  it("shows twenty differences and counts all, also at either end of a list", () => {
    const record = recorded(judged({}, 30))
    const more = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`more${i}`, i]))
    const found = replay({ ...record, verdict: { ...(record.verdict as object), ...more } })
    expect([found.count, found.differences.length]).toEqual([25, 20])
    const { criteria } = record.verdict as { criteria: readonly Record<string, unknown>[] }
    const without = (changed: readonly unknown[]) =>
      replay({ ...record, verdict: { ...(record.verdict as object), criteria: changed } })
    expect(without(criteria.slice(0, -1)).differences).toMatchObject([
      { where: `verdict.criteria[${criteria.length - 1}]` },
    ])
    expect(without([...criteria, 1]).differences).toEqual([
      { where: `verdict.criteria[${criteria.length}]`, recorded: 1, replayed: undefined },
    ])
    expect(without([{ ...criteria[0], max: 7 }, ...criteria.slice(1)]).differences).toMatchObject([
      { where: "verdict.criteria[0].max", recorded: 7 },
    ])
  })

  it("has no trip before its first look", () => {
    const input = judged({}, 30)
    expect(recordVerdict(input, lookAgain(input), ABOUT).inputs.trip).toBeNull()
  })

  it.each([
    ["one session more in the evidence", (r: VerdictRecord) => alter(r, "cells")],
    ["one pair more", (r: VerdictRecord) => alter(r, "pairs")],
    ["another limit", (r: VerdictRecord) => ((r.inputs.criteria[2] as { max: number }).max = 0.03)],
    [
      "another false-alarm rate",
      (r: VerdictRecord) => ((r.inputs as { falseAlarmRate: number }).falseAlarmRate = 0.06),
    ],
    ["another share", (r: VerdictRecord) => ((r.inputs.ramp[0] as { weightBp: number }).weightBp = 2500)],
  ])("differs after %s", (_, change) => {
    const record = recorded(judged())
    change(record)
    expect(replay(record).count).toBeGreaterThan(0)
  })

  it("differs by what is not there, and by what is there in addition", () => {
    const record = recorded(judged())
    const verdict = record.verdict as Record<string, unknown>
    delete verdict["reason"]
    verdict["more"] = 1
    expect(
      replay(record)
        .differences.map(({ where }) => where)
        .toSorted(),
    ).toEqual(["verdict.more", "verdict.reason"])
  })

  it.each([[null], [1], ["x"], [[]], [{}], [{ criteria: 1 }]])("is only compared, whatever it is: %j", (verdict) => {
    expect(replay({ ...recorded(judged()), verdict }).count).toBeGreaterThan(0)
  })

  it("keeps what JSON has no number for", () => {
    const input = judged()
    const { verdict, trip } = lookAgain(input)
    const odd = { ...verdict, logEFamily: -0, srm: { ...verdict.srm, logBayesFactor: Infinity } }
    const record = stored(recordVerdict(input, { verdict: odd, trip }, ABOUT))
    expect(record.verdict).toMatchObject({ logEFamily: "-0", srm: { logBayesFactor: "Infinity" } })
    expect(replay(record).count).toBe(2)
  })

  function alter(record: VerdictRecord, name: keyof Stratum): void {
    const counts = record.inputs.evidence.strata[1]![name] as number[]
    counts[counts.findIndex((count) => count > 0)]! += 1
  }
})

describe("compact evidence", () => {
  const sparse = (length: number) =>
    fc.array(fc.tuple(fc.nat(length - 1), fc.oneof(fc.nat(2 ** 32 - 1), fc.constant(1))), { maxLength: 200 })

  /** Compared as text: a comparison cell by cell would take minutes. */
  const bytesOf = (stratum: Stratum): string[] =>
    Object.entries(stratum).map(([name, { buffer }]: [string, Float64Array | Uint32Array]) => {
      return `${name} ${Buffer.from(buffer).toString("base64")}`
    })

  it("is the evidence, through the text of a file and back", () => {
    fc.assert(
      fc.property(
        sparse(2 * 64 * 17),
        sparse(2 * 64 * 833),
        fc.array(fc.double({ min: 0, noNaN: true, max: 1e300 })),
        (a, b, c) => {
          const stratum = createStratum()
          for (const [at, count] of a) stratum.cells[at] = count
          for (const [at, count] of b) stratum.latency[at] = count
          c.slice(0, 64).forEach((value, i) => (stratum.pairedSessions[i] = value === 0 ? 0 : value))
          const evidence: Evidence = { generation: 4, strata: [createStratum(), stratum] }
          const again = expandEvidence(JSON.parse(JSON.stringify(compactEvidence(evidence))) as CompactEvidence)
          expect(again.generation).toBe(4)
          expect(again.strata.map(bytesOf)).toEqual(evidence.strata.map(bytesOf))
        },
      ),
      { numRuns: runs(30) },
    )
  })

  it("of a busy stage takes tens of kilobytes, not the 1.4 MB of its arrays", () => {
    const { evidence } = judged({}, 3000)
    expect(JSON.stringify(compactEvidence(evidence)).length).toBeLessThan(200_000)
  })

  it.each([
    ["more counts than there are cells", [-63, 1, 1]],
    ["more zeros than there are cells", [-65]],
    ["a run of half a zero", [-0.5, 1]],
    ["a run without an end", [-Number.MAX_VALUE]],
  ])("refuses %s", (_, pairedSessions) => {
    const compacted = compactEvidence({ generation: 1, strata: [createStratum()] })
    const strata = [{ ...compacted.strata[0]!, pairedSessions }]
    expect(() => expandEvidence({ ...compacted, strata })).toThrow(/strata\[0\]\.pairedSessions/)
  })

  it.each([[1.5], [2 ** 32]])("refuses %d durations in a bin", (value) => {
    const compacted = compactEvidence({ generation: 1, strata: [createStratum()] })
    const strata = [{ ...compacted.strata[0]!, latency: [value] }]
    expect(() => expandEvidence({ ...compacted, strata })).toThrow(/strata\[0\]\.latency/)
  })

  it("refuses counts that are laid out in another way", () => {
    const compacted = compactEvidence({ generation: 1, strata: [] })
    expect(() => expandEvidence({ ...compacted, cells: [...compacted.cells].toReversed() })).toThrow("another way")
    expect(() => expandEvidence({ ...compacted, bins: 10 })).toThrow("another way")
  })
})
