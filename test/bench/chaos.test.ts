import { describe, expect, it } from "vitest"
import type { Line } from "../../bench/chaos/event.js"
import { RULES, violationsOf } from "../../bench/chaos/invariants.js"
import { scriptOf } from "../../bench/chaos/script.js"
import { runs } from "../runs.js"

const state = (t: number, revision: number, kill = "off", generation = 1): Line => {
  return { t, is: "state", revision, generation, kill, phase: "canary" }
}
const decision = (t: number, session: string, arm: "stable" | "canary", generation = 1): Line => {
  return { t, is: "decision", session, arm, source: "policy", revision: 1, generation, leaderless: false }
}
const published = (t: number, evaluations: number, life = 0, generation = 1): Line => {
  return { t, is: "published", life, generation, evaluations }
}
const CUT = { process: "a", from: 100, to: 1000 }

function rulesBrokenBy(lines: Readonly<Record<string, readonly Line[]>>): readonly string[] {
  const all = violationsOf({ lines: new Map(Object.entries(lines)), isolations: [CUT], leaseMs: 50 })
  return [...new Set(all.map(({ rule }) => rule))]
}

describe("the promises that the chaos suite holds a fleet to", () => {
  it("are kept by a process that does what it should", () => {
    const told = [
      state(1, 1),
      decision(90, "s", "canary"),
      decision(140, "s", "canary"),
      decision(160, "s", "stable"),
      state(170, 2, "stable"),
      decision(180, "u", "stable"),
      published(190, 4),
    ]
    expect(rulesBrokenBy({ a: told, leader: [{ t: 200, is: "merged", generation: 1, evaluations: 4 }] })).toEqual([])
  })

  it.each([
    ["a canary served after its lease", RULES.lease, [decision(151, "s", "canary")]],
    ["a canary served after a kill", RULES.kill, [state(1, 1, "deny"), decision(2, "s", "canary")]],
    ["a session that changes to the canary", RULES.arm, [decision(1, "s", "stable"), decision(2, "s", "canary", 2)]],
    ["a revision that goes back", RULES.floor, [state(1, 2), state(2, 1)]],
    ["evidence of what never was", RULES.evidence, [state(1, 1), decision(2, "s", "stable"), published(3, 2)]],
    ["evidence that is lost", RULES.evidence, [state(1, 1), decision(2, "s", "stable"), published(3, 0)]],
    [
      "evidence that counts twice",
      RULES.merged,
      [published(3, 0), { t: 4, is: "merged", generation: 1, evaluations: 1 }],
    ],
  ] satisfies [string, string, Line[]][])("find %s", (_, rule, lines) => {
    expect(rulesBrokenBy({ a: lines })).toEqual([rule])
  })

  it("find two that lead in one epoch", () => {
    const leads: Line = { t: 1, is: "leads", epoch: 3 }
    expect(rulesBrokenBy({ a: [leads, leads], b: [{ ...leads, epoch: 4 }] })).toEqual([])
    expect(rulesBrokenBy({ a: [leads], b: [leads] })).toEqual([RULES.epoch])
  })

  it("are tried by a script in which everything happens, and the last minutes of which are calm", () => {
    for (let seed = 0; seed < runs(20); seed++) {
      const script = scriptOf(seed, 60, ["a", "b"], ["l"])
      const kinds = new Set(script.map(({ is }) => is))
      expect(kinds.size).toBe(11)
      expect(script).toEqual(script.toSorted((x, y) => x.at - y.at))
      expect(script.filter(({ at }) => at > 55 * 60_000).map((one) => one.is === "verb" && one.verb)).toEqual([
        "rollback",
        "retry",
      ])
      expect(scriptOf(seed, 60, ["a", "b"], ["l"])).toEqual(script)
    }
  })
})
