import { describe, expect, it } from "vitest"
import { bernoulliLogE } from "../../src/analysis/bernoulli.js"
import { rankReport } from "../../src/disagreements/from-report.js"
import { TOLERATED } from "../../src/disagreements/ranking.js"
import { createDiffs, type Diff, type Met } from "../../src/evidence/diffs.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { verdictOf } from "../rollout/states.js"

const reportOf = (diffs: readonly Diff[]) => ({ rollout: "r", generation: 1, at: 0, diffs })

describe("groups that the data name", () => {
  it("are not found because there are so many of them: a thousand kinds, each as rare as is tolerated", () => {
    // In each session a kind happens with 1 in 1,000: one kind a session, on average. Looked at every 100 sessions.
    const [worlds, sessions, kinds] = [30, 300, 1000]
    let [corrected, alone] = [0, 0]
    // As if each group were the only one that was looked at, and had been named before.
    for (let world = 0; world < worlds; world++) {
      const random = sfc32(world + 1)
      const diffs = createDiffs()
      let [isWrong, wouldBe] = [false, false]
      for (let n = 1; n <= sessions; n++) {
        const met: Met = new Set()
        // Poisson with mean 1, by Knuth's product.
        for (let p = random(); p > Math.exp(-1); p *= random()) {
          const tool = `tool-${Math.floor(random() * kinds)}`
          diffs.record(tool, { outcome: "allow" }, { outcome: "deny" }, met)
        }
        if (n % 100 > 0) continue
        const { groups } = rankReport(reportOf(diffs.list()), verdictOf("pass", { sessions: n }))
        const own = groups.filter(({ tool }) => tool !== "other")
        isWrong ||= own.some(({ evidence }) => evidence?.found)
        wouldBe ||= own.some(({ sessions: seen }) => bernoulliLogE(seen ?? 0, n, TOLERATED) > Math.log(20))
      }
      corrected += Number(isWrong)
      alone += Number(wouldBe)
    }
    // All are null, so any that is found makes the share of wrong ones 1.
    expect(corrected / worlds).toBeLessThanOrEqual(0.05)
    expect(alone / worlds).toBeGreaterThan(0.1)
  })

  it("are found where one happens in one of twenty sessions, among all of those", () => {
    const random = sfc32(7)
    const diffs = createDiffs()
    for (let n = 1; n <= 300; n++) {
      const met: Met = new Set()
      diffs.record(`tool-${Math.floor(random() * 1000)}`, { outcome: "allow" }, { outcome: "deny" }, met)
      if (n % 20 === 0) diffs.record("refund", { outcome: "allow" }, { outcome: "deny" }, met)
    }
    const { groups } = rankReport(reportOf(diffs.list()), verdictOf("pass", { sessions: 300 }))
    const found = groups.filter(({ evidence }) => evidence?.found).map(({ tool }) => tool)
    // The others together are not rare.
    expect(found.toSorted()).toEqual(["other", "refund"])
  })
})

describe("a report of which counts and verdict are not of one moment", () => {
  const diff = {
    action: "refund",
    stable: { outcome: "allow" },
    canary: { outcome: "deny" },
    calls: 9,
    sessions: 9,
  } as const

  it("is no evidence: more sessions disagreed than the verdict knows of", () => {
    for (const paired of [0, 8]) {
      const { groups, sessions, notes } = rankReport(reportOf([diff]), verdictOf("inconclusive", { sessions: paired }))
      expect({ sessions, evidence: groups[0]!.evidence, notes: notes.length }).toEqual({
        sessions: null,
        evidence: null,
        notes: 1,
      })
    }
    expect(rankReport(reportOf([diff]), verdictOf("pass", { sessions: 9 })).groups[0]!.evidence?.events).toBe(8)
  })
})
