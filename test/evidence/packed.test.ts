import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createStratum, mergeEvidence } from "../../src/evidence/cells.js"
import { PACKED_VERSION, mergePacked, packEvidence, readPacked } from "../../src/evidence/packed.js"
import { ARRAYS, BINS, CELLS, COHORTS, LENGTHS, type Evidence, type Stratum } from "../../src/model/evidence.js"
import { runs } from "../runs.js"

/** A process whose counts are anywhere, in up to two strata. */
const process = fc.array(
  fc.record({
    stratum: fc.nat(1),
    array: fc.constantFrom(...ARRAYS),
    cell: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    count: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 30 })),
  }),
  { maxLength: 40 },
)
type Counted = typeof process extends fc.Arbitrary<infer T> ? T : never

function evidenceOf(...processes: readonly Counted[]): Evidence {
  const strata = processes.some((counted) => counted.length > 0) ? [0, 1].map(createStratum) : []
  for (const { stratum, array, cell, count } of processes.flat()) {
    strata[stratum]![array][Math.floor(cell * LENGTHS[array])]! += count
  }
  return { generation: 3, strata }
}

/** Byte for byte: a comparison cell by cell takes seconds. */
function expectSame(a: Evidence, b: Evidence): void {
  expect(a.generation).toBe(b.generation)
  expect(a.strata.length).toBe(b.strata.length)
  a.strata.forEach((stratum, i) => {
    for (const name of ARRAYS) expect(bytesOf(stratum, name).equals(bytesOf(b.strata[i]!, name)), name).toBe(true)
  })
}
const bytesOf = (stratum: Stratum, name: keyof Stratum): Buffer => Buffer.from(stratum[name].buffer)

/** Over a wire and back. */
const sent = (evidence: Evidence) => readPacked(Uint8Array.from(packEvidence(evidence).bytes))

/** One count of 5 in the last pair of sessions, in a stratum that has nothing else. */
const SMALL = packEvidence({ generation: 7, strata: [filled("pairedSessions", COHORTS - 1, 5)] }).bytes
const HEADER = [PACKED_VERSION, 7, 1]

function filled(name: keyof Stratum, cell: number, count: number): Stratum {
  const stratum = createStratum()
  stratum[name][cell] = count
  return stratum
}

describe("packed evidence", () => {
  it("merges as if it had been recorded in one place, in any order, and as unpacked evidence does", () => {
    fc.assert(
      fc.property(process, process, process, (a, b, c) => {
        const together = evidenceOf(a, b, c)
        const parts = [a, b, c].map((counted) => sent(evidenceOf(counted)))
        expectSame(mergePacked(3, parts), together)
        expectSame(mergePacked(3, parts.toReversed()), together)
        expectSame(mergePacked(3, [sent(mergePacked(3, parts.slice(0, 2))), parts[2]!]), together)
        expectSame(mergeEvidence(mergePacked(3, parts.slice(0, 1)), mergePacked(3, parts.slice(1))), together)
      }),
      { numRuns: runs(8) },
    )
  })

  it("has a few bytes for each cell that is not 0, and next to none for an empty stratum", () => {
    expect(packEvidence({ generation: 1, strata: [createStratum(), createStratum()] }).bytes.length).toBe(23)
    expect([...SMALL]).toEqual([...HEADER, 0, 0, 0, COHORTS, 5, 0, 0, 0, 0, 0, 0, 0])
  })

  it("of no process is nothing", () => {
    expect(mergePacked(4, [])).toEqual({ generation: 4, strata: [] })
  })

  it("is of one generation", () => {
    const parts = [3, 4].map((generation) => packEvidence({ generation, strata: [] }))
    expect(() => mergePacked(3, parts)).toThrow(/generation 4 .*of 3/)
  })

  it.each([[-1], [0.5], [NaN], [Infinity], [2 ** 32]])("is not made of a count of %d", (count) => {
    expect(() => packEvidence({ generation: 1, strata: [filled("cells", 3, count)] })).toThrow(RangeError)
  })

  it("keeps the largest count", () => {
    const evidence = { generation: 2 ** 32 - 1, strata: [filled("latency", LENGTHS.latency - 1, 2 ** 32 - 1)] }
    expectSame(mergePacked(2 ** 32 - 1, [sent(evidence)]), evidence)
  })

  it("stands for one layout: with another one its version is another one too", () => {
    const layout = { version: PACKED_VERSION, arrays: ARRAYS.map((name) => `${name} ${LENGTHS[name]}`).join() }
    expect({ ...layout, cells: CELLS.join(), bins: BINS, cohorts: COHORTS }).toEqual({
      version: 1,
      arrays:
        "cells 2176,pairs 1024,pairsAfter 1024,pairedSessions 64,latency 106624,pairedLatency 106624,scanLatency 106624," +
        "scanPairs 1024,scanPairedSessions 64,pairedScanLatency 106624",
      cells:
        "evaluations,allow,deny,escalate,error,sessions,first_allow,first_deny,first_escalate,first_error," +
        "scans,scan_flagged,scan_error,scan_sessions,observations,alerts,observed_sessions",
      bins: 833,
      cohorts: 64,
    })
  })
})

describe("packed evidence from a hostile process", () => {
  it.each([
    ["nothing", []],
    ["another version", [PACKED_VERSION + 1, 7, 0]],
    ["more strata than there are stages", [PACKED_VERSION, 7, 66, ...Array<number>(660).fill(0)]],
    ["fewer strata than it says", [PACKED_VERSION, 7, 2, ...Array<number>(10).fill(0)]],
    ["something after its end", [...SMALL, 0]],
    ["a cell after the end of its array", [...HEADER, 0, 0, 0, COHORTS + 1, 5, 0, 0, 0, 0, 0, 0, 0]],
    ["a count of 0", [...HEADER, 0, 0, 0, COHORTS, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["a step of 0 in two bytes", [...HEADER, 0, 0, 0, COHORTS, 5, 128, 0, 1, 0, 0, 0, 0, 0, 0, 0]],
    ["a step longer than any array", [...HEADER, 0, 0, 0, 255, 255, 255, 5, 0, 0, 0, 0, 0, 0, 0]],
    ["a count over 2^32", [...HEADER, 0, 0, 0, 1, 255, 255, 255, 255, 127, 0, 0, 0, 0, 0, 0, 0]],
    ["a number without an end", [PACKED_VERSION, ...Array<number>(5000).fill(255)]],
  ])("is refused with %s", (_, bytes) => {
    expect(() => readPacked(Uint8Array.from(bytes))).toThrow(RangeError)
  })

  it("is refused when it is cut anywhere", () => {
    for (let length = 0; length < SMALL.length; length++) {
      expect(() => readPacked(SMALL.slice(0, length)), `${length}`).toThrow(RangeError)
    }
  })

  it("is refused, or is evidence like any other", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((tail) => Uint8Array.from([...HEADER, ...tail])),
      fc.tuple(fc.nat(SMALL.length - 1), fc.nat(255)).map(([at, byte]) => SMALL.with(at, byte)),
    )
    fc.assert(
      fc.property(bytes, (bytes) => {
        let read
        try {
          read = readPacked(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
          return
        }
        const merged = mergePacked(read.generation, [read])
        expectSame(mergePacked(read.generation, [sent(merged)]), merged)
      }),
      { numRuns: runs(200) },
    )
  })
})
