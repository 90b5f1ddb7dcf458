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
        sessions: 0,
      },
      {
        action: "refund",
        stable: { outcome: "deny", rule: "cap" },
        canary: { outcome: "allow", rule: "own" },
        calls: 1,
        sessions: 0,
      },
    ])
  })

  it("count a session once in each group, and only where its calls count", () => {
    const diffs = createDiffs()
    const denied = [{ outcome: "allow" }, { outcome: "deny" }] as const
    const [one, other] = [new Set(), new Set()]
    for (const met of [one, one, other, undefined]) diffs.record("cancel", ...denied, met)
    diffs.record("refund", ...denied, one)
    expect(diffs.list()).toMatchObject([
      { action: "cancel", calls: 4, sessions: 2 },
      { action: "refund", calls: 1, sessions: 1 },
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
