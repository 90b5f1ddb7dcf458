import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  createStratum,
  mergeEvidence,
  recordEvaluation,
  recordPair,
  recordScan,
  recordScanPair,
  snapshotEvidence,
  subtractEvidence,
} from "../../src/evidence/cells.js"
import { binLowerMs, binOf } from "../../src/evidence/histogram.js"
import { BINS, CELLS, cellIndex, COHORTS, pairIndex } from "../../src/model/evidence.js"
import type { Cell, Evidence, Stratum } from "../../src/model/evidence.js"
import { runs } from "../runs.js"

const cell = (stratum: Stratum, arm: 0 | 1, cohort: number, name: Cell): number =>
  stratum.cells[cellIndex(arm, cohort, CELLS.indexOf(name))]!
const total = (array: ArrayLike<number>): number => Array.from(array).reduce((a, b) => a + b, 0)

const call = fc.record({
  arm: fc.constantFrom<0 | 1>(0, 1),
  cohort: fc.integer({ min: 0, max: COHORTS - 1 }),
  outcome: fc.integer({ min: 0, max: 3 }),
  ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
  first: fc.boolean(),
})
type RecordedCall = typeof call extends fc.Arbitrary<infer T> ? T : never

function evidenceOf(calls: readonly RecordedCall[]): Evidence {
  const stratum = createStratum()
  for (const c of calls) {
    recordEvaluation(stratum, c.arm, c.cohort, c.outcome, c.ms, c.first)
    recordPair(stratum, c.cohort, c.outcome, (c.outcome + 1) % 4, c.ms, c.ms * 2, c.first)
    recordScanPair(stratum, c.cohort, c.outcome, (c.outcome + 1) % 4, c.ms, c.ms * 2, c.first)
    recordScan(stratum, c.arm, c.cohort, (["clean", "flagged", "blocked", "error"] as const)[c.outcome]!, c.ms, c.first)
  }
  return { generation: 1, strata: [stratum] }
}

/** Byte for byte; a structural comparison of 300,000 numbers takes seconds. */
function expectSame(a: Evidence, b: Evidence): void {
  expect(a.generation).toBe(b.generation)
  expect(a.strata.length).toBe(b.strata.length)
  for (const [i, stratum] of a.strata.entries()) {
    for (const key of Object.keys(stratum) as (keyof Stratum)[]) {
      const [x, y] = [stratum[key], b.strata[i]![key]]
      expect(Buffer.from(x.buffer).equals(Buffer.from(y.buffer)), key).toBe(true)
    }
  }
}

describe("evidence", () => {
  it("adds up: evaluations are the sum of outcomes, in cells and in the histogram", () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
        const stratum = evidenceOf(calls).strata[0]!
        for (let cohort = 0; cohort < COHORTS; cohort++) {
          for (const arm of [0, 1] as const) {
            const of = (name: Cell): number => cell(stratum, arm, cohort, name)
            expect(of("evaluations")).toBe(of("allow") + of("deny") + of("escalate") + of("error"))
            expect(of("sessions")).toBe(of("first_allow") + of("first_deny") + of("first_escalate") + of("first_error"))
          }
        }
        expect(total(stratum.latency)).toBe(calls.length)
        expect(total(stratum.pairs)).toBe(calls.length)
        expect(total(stratum.pairedLatency)).toBe(2 * calls.length)
        expect(total(stratum.scanLatency)).toBe(calls.length)
        expect(total(stratum.scanPairs)).toBe(calls.length)
        expect(total(stratum.pairedScanLatency)).toBe(2 * calls.length)
        expect(total(stratum.scanPairedSessions)).toBe(calls.filter((c) => c.first).length)
        expect(total(stratum.pairedSessions)).toBe(calls.filter((c) => c.first).length)
      }),
      { numRuns: runs(30) },
    )
  })

  it("merges as if it had been recorded in one place, in any order, and subtracts back", () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 30 }), fc.array(call, { maxLength: 30 }), (a, b) => {
        const together = evidenceOf([...a, ...b])
        expectSame(mergeEvidence(evidenceOf(a), evidenceOf(b)), together)
        expectSame(mergeEvidence(evidenceOf(b), evidenceOf(a)), together)
        expectSame(subtractEvidence(together, evidenceOf(b)), evidenceOf(a))
      }),
      { numRuns: runs(15) },
    )
  })

  it("keeps strata that only one side has, and refuses to mix generations", () => {
    const one = evidenceOf([{ arm: 1, cohort: 3, outcome: 1, ms: 1, first: true }])
    const two: Evidence = { generation: 1, strata: [createStratum(), one.strata[0]!] }
    const merged = mergeEvidence(one, two)
    expect(merged.strata.map((s) => cell(s, 1, 3, "deny"))).toEqual([1, 1])
    expect(() => mergeEvidence(one, { ...one, generation: 2 })).toThrow(/generation 1 and of 2/)
  })

  it("gives snapshots that later recording does not touch", () => {
    const live = evidenceOf([])
    const before = snapshotEvidence(live)
    recordPair(live.strata[0]!, 5, 0, 1, 1, 1, true)
    expect(before.strata[0]!.pairs[pairIndex(5, 0, 1)]).toBe(0)
    expect(live.strata[0]!.pairs[pairIndex(5, 0, 1)]).toBe(1)
  })
})

describe("latency bins", () => {
  it("hold each duration between their edges, to within the rounding of a logarithm", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 63_000, noNaN: true }), (ms) => {
        const bin = binOf(ms)
        expect(binLowerMs(bin)).toBeLessThanOrEqual(ms * (1 + 1e-9))
        expect(binLowerMs(bin + 1)).toBeGreaterThanOrEqual(ms * (1 - 1e-9))
      }),
    )
  })

  it("are 2.2 % wide and put what is out of range at the ends", () => {
    expect(binLowerMs(101) / binLowerMs(100)).toBeCloseTo(2 ** (1 / 32), 12)
    expect([0, -1, Number.NaN, 1e-9].map(binOf)).toEqual([0, 0, 0, 0])
    expect([64_000, 1e9, Infinity].map(binOf)).toEqual([BINS - 1, BINS - 1, BINS - 1])
    expect(binOf(63_999)).toBe(BINS - 2)
  })
})
