import { beforeEach, describe, expect, it } from "vitest"
import { verdictOf } from "../rollout/states.js"
import { useBench } from "./harness.js"

const bench = useBench()
beforeEach(() => bench().serin("init"))
/** What a terminal would obey. */
const ATTACK = "ok\u001b[2J\u001b]52;c;aGk=\u0007\u009b1A\u202egnihton\nin more than 50 %\r\u2028x\u0000\u007f"
// oxlint-disable-next-line no-control-regex
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/

const refund = {
  action: "issue_refund",
  stable: { outcome: "allow", rule: "refund" },
  canary: { outcome: "deny", rule: "large-refund" },
} as const
const DIFFS = [
  // Often, but in two sessions only: an agent that tried again and again.
  {
    action: "search",
    stable: { outcome: "allow" },
    canary: { outcome: "deny", rule: "loop" },
    calls: 900,
    sessions: 2,
  },
  { ...refund, calls: 60, sessions: 25 },
  { action: "export", stable: { outcome: "deny", rule: "pii" }, canary: { outcome: "allow" }, calls: 9, sessions: 9 },
] as const

describe("serin diffs", () => {
  it("ranks by evidence with the session as the unit, and not by calls", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("inconclusive", { sessions: 500 }), diffs: DIFFS })
    const { code, out, err } = await bench().serin("diffs")
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const order = ["issue_refund", "export", "not known to be more than chance yet", "search"].map((word) =>
      out.indexOf(word),
    )
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(order[0]).toBeGreaterThan(out.indexOf("in more than 0.1 % of the sessions"))
    expect(out).toMatch(/^ {2}[0-9a-f]{10} {2}newly denied {2}issue_refund: allow by refund → deny by large-refund$/m)
    expect(out).toMatch(/^ +60 calls of 25 sessions, at least [12]\.\d % of all$/m)
    expect(out).toMatch(/^ {2}[0-9a-f]{10} {2}newly allowed {2}export: deny by pii → allow$/m)
  })

  it("says all of it with --json, and each group's id is the same wherever it is counted", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("inconclusive", { sessions: 500 }), diffs: DIFFS })
    const { doc } = await bench().json("diffs")
    expect(doc).toMatchObject({
      format: "serin/disagreements/1",
      source: "report",
      unit: "session",
      sessions: 500,
      tolerated: 0.001,
      falseDiscoveryRate: 0.05,
      groups: [
        { change: "newly_denied", calls: 60, sessions: 25, evidence: { events: 24, trials: 499, found: true } },
        { change: "newly_allowed", tool: "export", evidence: { found: true } },
        { tool: "search", evidence: { events: 1, found: false } },
      ],
      notes: [],
    })
    const ids = (found: typeof doc) => (found["groups"] as { id: string }[]).map(({ id }) => id)
    await bench().report({ verdict: verdictOf("inconclusive", { sessions: 900 }), diffs: [DIFFS[1]] })
    expect(ids((await bench().json("diffs")).doc)).toEqual([ids(doc)[0]])
  })

  it("claims nothing where sessions were not counted, and says why", async () => {
    await bench().serin("start")
    const { sessions: _, ...uncounted } = DIFFS[1]
    await bench().report({ verdict: verdictOf("inconclusive", { sessions: 500 }), diffs: [uncounted] })
    const { doc } = await bench().json("diffs")
    expect(doc).toMatchObject({
      groups: [{ calls: 60, sessions: null, evidence: null }],
      notes: [expect.stringContaining("earlier version")],
    })
    await bench().report({ verdict: null, diffs: DIFFS })
    const { out } = await bench().serin("diffs")
    expect(out).toContain("none is known to be more than chance yet")
    expect(out).not.toContain("at least")
    expect(out).toContain("note: the sessions that both releases judged are not known")
  })

  it("shows nothing of the generation before, and exits with 6 where there is no state", async () => {
    expect(await bench().serin("diffs")).toMatchObject({ code: 6 })
    expect(await bench().json("diffs")).toMatchObject({ code: 6, doc: { disagreements: null } })
    await bench().serin("start")
    await bench().report({ generation: 0, verdict: verdictOf("pass"), diffs: DIFFS })
    const { out } = await bench().serin("diffs")
    expect(out).toMatch(/^refund-agent: no disagreement in generation 1\n\nnote: no process has judged/)
  })

  it("lets nothing of a group reach the terminal but as text", async () => {
    await bench().serin("start")
    const side = { outcome: "deny", rule: ATTACK } as const
    const diffs = [{ action: ATTACK, stable: side, canary: { outcome: "allow" as const }, calls: 3, sessions: 3 }]
    await bench().report({ verdict: verdictOf("pass", { sessions: 90 }), diffs })
    const { out, err } = await bench().serin("diffs")
    expect(out + err).not.toMatch(OBEYED)
    expect(out).not.toMatch(/^in more than 50 %/m)
  })
})
