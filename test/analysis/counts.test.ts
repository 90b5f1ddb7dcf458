import { describe, expect, it } from "vitest"
import { compactEvidence, expandEvidence, hasOwnLayout } from "../../src/analysis/compact.js"
import { armTally, checkCounts, flipTally, pairTally, pairTrials, scanPairTally } from "../../src/analysis/counts.js"
import { createStratum } from "../../src/evidence/cells.js"
import { CELLS, COHORTS, cellIndex, pairIndex, type Stratum } from "../../src/model/evidence.js"
import { addTo } from "./traffic.js"

const names = Object.keys(createStratum()) as (keyof Stratum)[]
const check = (stratum: Stratum) => (): void => checkCounts({ generation: 1, strata: [createStratum(), stratum] })

describe("counts", () => {
  it("of a cohort are those of its arm and its outcomes", () => {
    const stratum = createStratum()
    addTo(stratum, 0, 7, { evaluations: 9, deny: 2, sessions: 3 })
    addTo(stratum, 1, 7, { evaluations: 5, deny: 1, sessions: 2 })
    addTo(stratum, 1, 63, { evaluations: 4, scans: 6, scan_flagged: 5, scan_sessions: 3, observations: 8, alerts: 1 })
    addTo(stratum, 1, 0, { observed_sessions: 4 })
    const at = (values: ArrayLike<number>) => [0, 7, 63].map((k) => values[k])
    const deny = armTally(stratum, 1, "deny", "evaluations")
    expect([at(deny.events), at(deny.trials), deny.sessions]).toEqual([[0, 1, 0], [0, 5, 4], 2])
    const flags = armTally(stratum, 1, "scan_flagged", "scans")
    expect([at(flags.events), at(flags.trials), flags.sessions]).toEqual([[0, 0, 5], [0, 0, 6], 3])
    expect(armTally(stratum, 1, "alerts", "observations").sessions).toBe(4)
  })

  it("of pairs are only the canary's, only stable's, and stable's whatever the canary did", () => {
    const stratum = createStratum()
    // Outcomes are allow, deny, escalate and error; a count for each pair of them that tells it from all others.
    for (let stable = 0; stable < 4; stable++) {
      for (let canary = 0; canary < 4; canary++)
        stratum.pairs[pairIndex(63, stable, canary)] = 2 ** (4 * stable + canary)
    }
    stratum.pairedSessions[63] = 5
    const deny = pairTally(stratum, "deny")
    expect(deny.plus[63]).toBe(2 ** 1 + 2 ** 9 + 2 ** 13)
    expect(deny.minus[63]).toBe(2 ** 4 + 2 ** 6 + 2 ** 7)
    expect(deny.stable[63]).toBe(2 ** 4 + 2 ** 5 + 2 ** 6 + 2 ** 7)
    expect([deny.trials[63], deny.trials[62], deny.sessions]).toEqual([2 ** 16 - 1, 0, 5])
    expect(pairTrials(stratum.pairs)).toEqual(Array.from({ length: COHORTS }, (_, k) => (k === 63 ? 2 ** 16 - 1 : 0)))
    const flips = flipTally(stratum, stratum.pairs, (stable, canary) => stable === "error" && canary === "allow")
    expect([flips.events[63], flips.trials[63], flips.sessions]).toEqual([2 ** 12, 2 ** 16 - 1, 5])
  })

  it("of texts are of those that are flagged or blocked", () => {
    const stratum = createStratum()
    // Results are clean, flagged, blocked and error.
    for (let stable = 0; stable < 4; stable++) {
      for (let canary = 0; canary < 4; canary++) {
        stratum.scanPairs[pairIndex(63, stable, canary)] = 2 ** (4 * stable + canary)
      }
    }
    stratum.scanPairedSessions[63] = 5
    const flags = scanPairTally(stratum)
    const sum = (...cells: readonly number[]) => cells.reduce((all, cell) => all + 2 ** cell, 0)
    expect(flags.plus[63]).toBe(sum(1, 2, 13, 14))
    expect(flags.minus[63]).toBe(sum(4, 7, 8, 11))
    expect(flags.stable[63]).toBe(sum(4, 5, 6, 7, 8, 9, 10, 11))
    expect([flags.trials[63], flags.trials[62], flags.sessions]).toEqual([2 ** 16 - 1, 0, 5])
  })

  it.each<[keyof Stratum, number, string]>([
    ["cells", cellIndex(0, 0, 0), "strata[1].cells (stable, cohort 0, evaluations)"],
    ["cells", cellIndex(0, 63, CELLS.length - 1), `strata[1].cells (stable, cohort 63, ${CELLS.at(-1)})`],
    ["cells", cellIndex(1, 0, 0), "strata[1].cells (canary, cohort 0, evaluations)"],
    ["cells", cellIndex(1, 63, CELLS.length - 1), `strata[1].cells (canary, cohort 63, ${CELLS.at(-1)})`],
    ["pairs", pairIndex(0, 0, 0), "strata[1].pairs (cohort 0, stable allow, canary allow)"],
    ["pairs", pairIndex(63, 3, 3), "strata[1].pairs (cohort 63, stable error, canary error)"],
    ["pairs", pairIndex(7, 1, 2), "strata[1].pairs (cohort 7, stable deny, canary escalate)"],
    ["pairedSessions", 63, "strata[1].pairedSessions (cohort 63)"],
    ["scanPairs", pairIndex(0, 0, 0), "strata[1].scanPairs (cohort 0, stable clean, canary clean)"],
    ["scanPairs", pairIndex(63, 3, 3), "strata[1].scanPairs (cohort 63, stable error, canary error)"],
    ["scanPairs", pairIndex(7, 1, 2), "strata[1].scanPairs (cohort 7, stable flagged, canary blocked)"],
    ["scanPairedSessions", 0, "strata[1].scanPairedSessions (cohort 0)"],
  ])("that are none are refused where they stand: %s[%d]", (name, index, where) => {
    for (const value of [-1, -0.001, Infinity, NaN]) {
      const stratum = createStratum()
      stratum[name][index] = value
      expect(check(stratum)).toThrow(`evidence.${where}: must be a finite count of at least 0, got ${value}`)
    }
    const large = createStratum()
    large[name][index] = 1e300
    expect(check(large)).not.toThrow()
  })

  it.each(["cells", "pairs", "pairedSessions", "scanPairs", "scanPairedSessions"] as const)(
    "of another length are refused: %s",
    (name) => {
      for (const more of [-1, 1]) {
        const stratum = createStratum()
        const wrong = { ...stratum, [name]: new Float64Array(stratum[name].length + more) }
        expect(check(wrong)).toThrow(`must have ${stratum[name].length} cells, got ${stratum[name].length + more}`)
      }
    },
  )
})

describe("compact counts", () => {
  it("are counts and runs of zeros, without those at the end", () => {
    const stratum = createStratum()
    stratum.pairedSessions.set([0, 0, 3, 4, 0, 0.5])
    stratum.scanPairedSessions.set([7])
    const [compact] = compactEvidence({ generation: 1, strata: [stratum] }).strata
    expect(compact).toMatchObject({ pairedSessions: [-2, 3, 4, -1, 0.5], scanPairedSessions: [7], cells: [] })
  })

  it.each(names)("fill %s to its last cell and not beyond", (name) => {
    const stratum = createStratum()
    const last = stratum[name].length - 1
    stratum[name][last] = 9
    const compacted = compactEvidence({ generation: 1, strata: [stratum] })
    const again = expandEvidence(compacted).strata[0]!
    expect(again[name]).toBeInstanceOf(stratum[name].constructor)
    expect([again[name].length - 1, again[name][last]]).toEqual([last, 9])
    expect(again[name].subarray(0, last).every((count) => count === 0)).toBe(true)
    const counts = compacted.strata[0]!
    const long = { ...counts, [name]: [...counts[name], 1] }
    expect(() => expandEvidence({ ...compacted, strata: [counts, long] })).toThrow(
      `evidence.strata[1].${name}: its counts`,
    )
    for (const beyond of [[-last - 2], [-0.5, 1], [0.5 - last]]) {
      expect(() => expandEvidence({ ...compacted, strata: [{ ...counts, [name]: beyond }] })).toThrow(RangeError)
    }
    expect(expandEvidence({ ...compacted, strata: [{ ...counts, [name]: [-last - 1] }] }).strata).toHaveLength(1)
    expect(expandEvidence({ ...compacted, strata: [{ ...counts, [name]: [0, 2] }] }).strata[0]![name][1]).toBe(2)
  })

  it("are not made of what is no count", () => {
    for (const value of [-1, NaN, Infinity]) {
      const stratum = createStratum()
      stratum.cells[5] = value
      expect(() => compactEvidence({ generation: 1, strata: [stratum] })).toThrow(`${value} is no count`)
    }
  })

  it("are laid out as this version lays them out, or not read", () => {
    const own = { cohorts: 64, bins: 833, cells: CELLS }
    expect(hasOwnLayout(own)).toBe(true)
    expect(hasOwnLayout({ ...own, cohorts: 65 })).toBe(false)
    expect(hasOwnLayout({ ...own, bins: 834 })).toBe(false)
    expect(hasOwnLayout({ ...own, cells: CELLS.slice(1) })).toBe(false)
  })
})
