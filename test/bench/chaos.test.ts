import { describe, expect, it } from "vitest"
import { FORGOT } from "../../bench/chaos/event.js"
import type { Line } from "../../bench/chaos/event.js"
import { RULES, violationsOf } from "../../bench/chaos/invariants.js"
import { scriptOf } from "../../bench/chaos/script.js"
import { runs } from "../runs.js"

const state = (
  t: number,
  revision: number,
  phase = "canary",
  more: { refused?: boolean; draw?: string } = {},
): Line => {
  return {
    t,
    is: "state",
    revision,
    draw: "one",
    kill: phase === "killed" ? "stable" : "off",
    phase,
    refused: false,
    ...more,
  }
}
const decision = (t: number, session: string, arm: "stable" | "canary", draw = "one", leaderless = false): Line => {
  return { t, is: "decision", session, arm, source: "policy", revision: 1, draw, leaderless }
}
const counted = (t: number, evaluations: number, draw = "one"): Line => ({ t, is: "counted", draw, evaluations })
const published = (t: number, evaluations: number, life = 0, draw = "one"): Line => {
  return { t, is: "published", life, draw, evaluations }
}
const born = (t: number, life: number): Line => ({ t, is: "born", life })
const many = (from: number, count: number): Line[] =>
  Array.from({ length: count }, (_, i) => decision(from + i, "long", "stable"))
const CUT = { process: "a", from: 100, to: 1000 }

function rulesBrokenBy(
  lines: Readonly<Record<string, readonly Line[]>>,
  losses: readonly number[] = [],
): readonly string[] {
  const all = violationsOf({ lines: new Map(Object.entries(lines)), isolations: [CUT], losses, leaseMs: 50 })
  return [...new Set(all.map(({ rule }) => rule))]
}

describe("the promises that the chaos suite holds a fleet to", () => {
  it("are kept by a process that does what it should", () => {
    const told = [
      state(1, 1),
      decision(90, "s", "canary"),
      decision(140, "s", "canary"),
      decision(160, "s", "stable"),
      counted(161, 3),
      decision(162, "meanwhile", "stable", "one", true),
      decision(163, "meanwhile", "stable"),
      counted(164, 3),
      state(170, 2, "killed"),
      decision(180, "u", "stable"),
      counted(181, 3),
      state(182, 3, "shadow", { draw: "two" }),
      decision(183, "u", "stable", "two", true),
      counted(184, 1, "two"),
      published(190, 1, 0, "two"),
    ]
    const leader: Line[] = [{ t: 200, is: "merged", draw: "two", evaluations: 1 }]
    expect(rulesBrokenBy({ a: told, leader })).toEqual([])
  })

  it.each([
    ["a canary served after its lease", RULES.lease, [decision(151, "s", "canary")]],
    ["a canary served after a kill", RULES.kill, [state(1, 1, "killed"), decision(2, "s", "canary")]],
    [
      "a session that changes to the canary",
      RULES.arm,
      [decision(1, "s", "stable"), decision(2, "s", "canary", "two")],
    ],
    ["a revision that goes back", RULES.floor, [state(1, 2), state(2, 1)]],
    [
      "a revision below the one that the life before had kept",
      RULES.floor,
      [state(1, 2), ...many(1001, 100), born(1200, 1), state(1201, 1)],
    ],
    ["evidence of what never was", RULES.evidence, [state(1, 1), decision(2, "s", "stable"), counted(3, 2)]],
    ["evidence of what never was, after the end", RULES.evidence, [state(1, 1, "rolled_back"), counted(3, 1)]],
    ["evidence that is lost", RULES.evidence, [state(1, 1), decision(2, "s", "stable"), counted(3, 0)]],
    [
      "evidence of who was called while nobody led",
      RULES.evidence,
      [state(1, 1), decision(2, "s", "stable", "one", true), decision(3, "s", "stable"), counted(4, 1)],
    ],
    ["evidence that is not published", RULES.complete, [state(1, 1), decision(2, "s", "stable"), published(3, 0)]],
    [
      "a process that did not come along",
      RULES.complete,
      [state(1, 1), state(2, 2, "shadow", { draw: "two" }), published(3, 0)],
    ],
    [
      "evidence that counts twice",
      RULES.merged,
      [published(3, 0), { t: 4, is: "merged", draw: "one", evaluations: 1 }],
    ],
  ] satisfies [string, string, Line[]][])("find %s", (_, rule, lines) => {
    expect(rulesBrokenBy({ a: lines })).toEqual([rule])
  })

  it("allow a process to begin below what it may not have written down yet, and to obey a kill that was refused", () => {
    expect(rulesBrokenBy({ a: [state(1, 2), decision(2, "s", "stable"), born(3, 1), state(4, 1)] })).toEqual([])
    const refused = state(2, 3, "killed", { refused: true })
    expect(rulesBrokenBy({ a: [state(1, 2), refused, decision(3, "s", "stable"), state(4, 2)] })).toEqual([])
    const kept = [state(1, 2), ...many(1001, 100), born(1200, 1)]
    expect(rulesBrokenBy({ a: [...kept, { t: 1201, is: "problem", code: FORGOT }, state(1202, 1)] })).toEqual([])
  })

  const leads = (t: number, epoch: number): Line => ({ t, is: "leads", epoch })

  it("let a canary that was promoted serve on, whoever is cut off", () => {
    const late = decision(151, "s", "canary")
    expect(rulesBrokenBy({ a: [state(1, 2, "promoted"), late] })).toEqual([])
    expect(rulesBrokenBy({ a: [state(1, 2, "promoted"), state(2, 3, "canary"), late] })).toEqual([RULES.lease])
  })

  it("find two that lead in one epoch, unless the store forgot it in between", () => {
    expect(rulesBrokenBy({ a: [leads(1, 3), leads(2, 3)], b: [leads(3, 4)] })).toEqual([])
    const twice = { a: [leads(1, 3), leads(200, 3)], b: [leads(400, 3)] }
    expect(rulesBrokenBy(twice)).toEqual([RULES.epoch])
    expect(rulesBrokenBy(twice, [300])).toEqual([])
    expect(rulesBrokenBy(twice, [0, 500])).toEqual([RULES.epoch])
    // The first did not know yet that it had been forgotten.
    expect(rulesBrokenBy(twice, [150])).toEqual([])
  })

  it("find two that lead at a time, in whatever epochs", () => {
    const b = [leads(10, 4)]
    expect(rulesBrokenBy({ a: [leads(1, 3), leads(21, 3)], b })).toEqual([RULES.lead])
    expect(rulesBrokenBy({ a: [leads(1, 3), leads(5, 3)], b })).toEqual([])
    expect(rulesBrokenBy({ a: [leads(1, 3), leads(21, 5)], b })).toEqual([])
    expect(rulesBrokenBy({ a: [leads(1, 3), leads(300, 3)], b })).toEqual([])
  })

  it("are tried by a script in which everything happens, and the last minutes of which are calm", () => {
    for (let seed = 0; seed < runs(20); seed++) {
      const script = scriptOf(seed, 60, ["a", "b"], ["l"])
      const kinds = new Set(script.map(({ is }) => is))
      expect(kinds.size).toBe(12)
      expect(script).toEqual(script.toSorted((x, y) => x.at - y.at))
      expect(script.filter(({ at }) => at > 55 * 60_000).map((one) => one.is === "verb" && one.verb)).toEqual([
        "rollback",
        "retry",
      ])
      expect(scriptOf(seed, 60, ["a", "b"], ["l"])).toEqual(script)
    }
  })
})
