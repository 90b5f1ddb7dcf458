import { describe, expect, it } from "vitest"
import { createDiffs } from "../../src/evidence/diffs.js"

describe("diffs", () => {
  it("group by action, outcomes and rules, most frequent first", () => {
    const diffs = createDiffs()
    const newlyDenied = [{ outcome: "allow", rule: "own" }, { outcome: "deny" }] as const
    diffs.record("refund", { outcome: "deny", rule: "cap" }, { outcome: "allow", rule: "own" })
    for (let i = 0; i < 3; i++) diffs.record("cancel", ...newlyDenied)
    expect(diffs.list()).toEqual([
      {
        action: "cancel",
        stable: { outcome: "allow", rule: "own" },
        canary: { outcome: "deny", rule: undefined },
        calls: 3,
      },
      {
        action: "refund",
        stable: { outcome: "deny", rule: "cap" },
        canary: { outcome: "allow", rule: "own" },
        calls: 1,
      },
    ])
  })

  it("stay bounded: past the limit, new groups share one per kind of disagreement", () => {
    const diffs = createDiffs(2)
    for (let i = 0; i < 100; i++) diffs.record(`tool-${i}`, { outcome: "allow" }, { outcome: "deny" })
    const list = diffs.list()
    expect(list).toHaveLength(3)
    expect(list[0]).toMatchObject({ action: "other", calls: 98 })
  })
})
