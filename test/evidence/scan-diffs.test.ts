import { describe, expect, it } from "vitest"
import { createScanDiffs } from "../../src/evidence/scan-diffs.js"

const flagged = (category: string) => ({ result: "flagged" as const, scanner: "s", category })
const clean = { result: "clean" as const }

describe("disagreements of scanners", () => {
  it("are grouped by direction, result, scanner and category, most frequent first", () => {
    const diffs = createScanDiffs()
    diffs.record("input", clean, flagged("pii"))
    for (let i = 0; i < 2; i++) diffs.record("output", clean, flagged("pii"))
    for (let i = 0; i < 3; i++) diffs.record("input", clean, flagged("secret"))
    expect(diffs.list()).toEqual([
      { direction: "input", stable: clean, canary: flagged("secret"), scans: 3 },
      { direction: "output", stable: clean, canary: flagged("pii"), scans: 2 },
      { direction: "input", stable: clean, canary: flagged("pii"), scans: 1 },
    ])
  })

  it("are bounded: past the limit new groups count by direction and result alone, and long categories are cut", () => {
    const diffs = createScanDiffs(2)
    for (let i = 0; i < 50; i++) diffs.record("input", clean, flagged(`category-${i}`))
    expect(diffs.list()).toHaveLength(3)
    expect(diffs.list()[0]).toMatchObject({ canary: { result: "flagged" }, scans: 48 })
    expect(diffs.list()[0]?.canary.category).toBeUndefined()
    const cut = createScanDiffs()
    cut.record("input", clean, flagged("x".repeat(1000)))
    expect(cut.list()[0]?.canary.category).toHaveLength(128)
  })
})
