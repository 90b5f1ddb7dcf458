import { beforeEach, describe, expect, it } from "vitest"
import { linesOf, logged } from "../disagreements/log.js"
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

  describe("with a decision log", () => {
    // The starter's canary denies refunds above 500, its stable above 1,000.
    const call = (i: number, amount = 700) =>
      logged({
        id: `p-${i}`,
        session: `s-${i}`,
        input: { amount },
        stable: { outcome: "allow", rule: "refund" },
        canary: { outcome: "deny", rule: "large-refund", reason: "Refunds are given up to 500" },
      })
    const LOG = ["--log", "log.jsonl"]
    beforeEach(async () => {
      await bench().serin("start")
      await bench().report({ verdict: verdictOf("inconclusive", { sessions: 500 }), diffs: [DIFFS[1]] })
      const calls = Array.from({ length: 12 }, (_, i) => call(i)).flat()
      const redacted = logged({ id: "r-1", session: "s-99", tool: "export", input: undefined, redacted: true })
      await bench().write("log.jsonl", `${linesOf([...calls, ...redacted])}no entry\n`)
    })

    it("shows calls of each group, and those groups that are in the log alone", async () => {
      const { out } = await bench().serin("diffs", ...LOG)
      expect(out).toContain('p-0  1970-01-01T00:00:00Z, s-0: {"amount":700}')
      expect(out).toContain("canary: Refunds are given up to 500")
      expect(out).toContain("the log holds no input (redacted)")
      expect(out).toContain("note: 1 lines of the log are no entries")
      const { doc } = await bench().json("diffs", ...LOG)
      expect(doc).toMatchObject({
        groups: [
          { examples: [{ id: "p-0" }, { id: "p-1" }, { id: "p-2" }] },
          { tool: "export", sessions: null, evidence: null },
        ],
      })
    })

    it("draws one at random, keeps what is said of it, and bounds how often the canary is wrong", async () => {
      const first = await bench().serin("diffs", ...LOG, "--draw", "--group", await onlyGroup())
      const id = /--label (p-\d+) /.exec(first.out)![1]!
      expect(first.out).toContain(`${id}  1970`)
      const said = await bench().serin("diffs", "--label", id, "--as", "wrong", "--note", "they may", "--by", "bo")
      expect(said).toMatchObject({ code: 0, err: "" })
      expect(said.out).toMatch(new RegExp(`^${id}: labelled wrong by bo\\n`))
      expect(said.out).toMatch(/group [0-9a-f]{10}: 1 of 1 wrong; at most 100 %, at least 2\.5 %/)
      const { doc } = await bench().json("diffs")
      expect(doc).toMatchObject({
        groups: [{ labels: [{ example: id, says: "wrong", by: "bo", note: "they may" }] }],
        wrongRates: [
          { scope: "all", drawn: 0 },
          { drawn: 1, labelled: 1, wrong: 1 },
        ],
      })
      expect((await bench().serin("diffs")).out).toContain("1 × labelled wrong")
    })

    it("takes a label of what was not drawn, and counts it for no bound", async () => {
      expect((await bench().serin("diffs", "--label", "p-3", "--as", "right")).err).toContain(
        "was not drawn; --log FILE",
      )
      expect(await bench().serin("diffs", ...LOG, "--label", "p-3", "--as", "right")).toMatchObject({ code: 0 })
      expect(await bench().serin("diffs", "--label", await onlyGroup(), "--as", "right")).toMatchObject({ code: 0 })
      const { doc } = await bench().json("diffs")
      expect(doc).toMatchObject({ wrongRates: [{ scope: "all", labelled: 0, atMost: 1, atLeast: 0 }] })
      expect((doc["groups"] as { labels: object[] }[])[0]!.labels).toMatchObject([
        { example: null },
        { example: "p-3" },
      ])
    })

    it("replays a call through both releases and says which rule fired in each", async () => {
      const { code, out, err } = await bench().serin("diffs", ...LOG, "--replay", "p-3")
      expect({ code, err }).toEqual({ code: 0, err: "" })
      expect(out).toMatch(/^p-3: 1970-01-01T00:00:00Z, s-3; as it was decided$/m)
      expect(out).toMatch(/^ {2}stable 1\.4\.0: allow by refund$/m)
      expect(out).toMatch(/^ {2}canary 1\.5\.0: deny by large-refund: Refunds are given up to 500$/m)
      expect(out).toContain("both answer as the log has it")
      const none = await bench().serin("diffs", ...LOG, "--replay", "r-1")
      expect(none.out).toMatch(/its input is not in the log\nnote: .*cannot be replayed\n$/)
    })

    it("says what is missing", async () => {
      const err = async (...argv: string[]): Promise<string> => {
        const ran = await bench().serin("diffs", ...argv)
        expect(ran.code).toBe(2)
        return ran.err
      }
      expect(await err("--draw")).toContain("--draw needs --log FILE")
      expect(await err("--replay", "p-1")).toContain("--replay needs --log FILE")
      expect(await err(...LOG, "--replay", "p-77")).toContain("there is no call p-77 in log.jsonl")
      expect(await err("--label", "p-1")).toContain("--as right or --as wrong")
      expect(await err("--draw", "--replay", "p-1")).toContain("do not go together")
      expect(await err("--group", "0123456789")).toContain("there is no group 0123456789")
      expect(await bench().serin("diffs", "--log", "none.jsonl")).toMatchObject({
        code: 1,
        err: expect.stringContaining("DECISION_LOG_UNAVAILABLE"),
      })
    })

    async function onlyGroup(): Promise<string> {
      const { doc } = await bench().json("diffs")
      return (doc["groups"] as { id: string }[])[0]!.id
    }
  })
})
