import { beforeEach, describe, expect, it } from "vitest"
import { useBench } from "./harness.js"
import { verdictOf } from "../rollout/states.js"

const bench = useBench()
const controller = { kind: "controller", id: "host/1" } as const

beforeEach(async () => void (await bench().serin("init")))

describe("serin history", () => {
  beforeEach(async () => {
    await bench().serin("start")
    bench().clock.advance(60_000)
    await bench().serin("pause", "--by", "bo", "--reason", "incident 42")
    bench().clock.advance(60_000)
    await bench().act({ type: "tick", actor: controller, verdict: verdictOf("breach") })
  })

  it("lists every revision, newest first: when, what, who, why", async () => {
    const { code, out } = await bench().serin("history")
    expect(code).toBe(0)
    expect(out.split("\n").slice(0, -1)).toEqual([
      expect.stringMatching(/^revision +hash +time +event +verdict +actor +reason$/),
      expect.stringMatching(
        /^4 +[0-9a-f]{12} +2026-01-01T00:02:00Z +rollback +- +host\/1 \(controller\) +the verdict is breach$/,
      ),
      expect.stringMatching(/^3 +[0-9a-f]{12} +2026-01-01T00:01:00Z +pause +- +bo +incident 42$/),
      expect.stringMatching(/^2 +[0-9a-f]{12} +2026-01-01T00:00:00Z +start +- +ana +put 1\.5\.0 to the test$/),
      expect.stringMatching(/^1 +[0-9a-f]{12} +2026-01-01T00:00:00Z +init +- +ana +first revision$/),
    ])
  })

  it("stops after --limit", async () => {
    const { out } = await bench().serin("history", "--limit", "2")
    expect(
      out
        .split("\n")
        .slice(1, -1)
        .map((line) => line[0]),
    ).toEqual(["4", "3"])
  })

  it("answers a list of transitions with --json", async () => {
    const { out } = await bench().serin("history", "--json")
    const { revisions: rows } = JSON.parse(out) as {
      revisions: { revision: number; event: string; verdict?: unknown }[]
    }
    expect(rows.map(({ revision, event }) => `${revision} ${event}`)).toEqual([
      "4 rollback",
      "3 pause",
      "2 start",
      "1 init",
    ])
    expect(rows[0]).toMatchObject({
      hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      actor: controller,
      verdict: { result: "breach" },
    })
  })

  it("shows a revision that cannot be read as such, and those before it", async () => {
    await bench().writeRaw(JSON.stringify({ ...(await bench().state()), kill: 1 }))
    const lines = (await bench().serin("history")).out.split("\n")
    expect(lines[1]).toMatch(/^5 +[0-9a-f]{12} +- +unreadable +- +- +kill /)
    expect(lines[2]).toMatch(/^4 .*rollback/)
  })
})

it("serin history exits with 6 without a state", async () => {
  expect(await bench().serin("history")).toMatchObject({ code: 6, out: expect.stringContaining("`serin start`") })
  expect(await bench().serin("history", "--json")).toMatchObject({
    code: 6,
    out: `{"format":"serin/history/1","rollout":"refund-agent","revisions":[]}\n`,
  })
})

describe("serin explain", () => {
  const diffs = [
    {
      action: "issue_refund",
      stable: { outcome: "allow", rule: "refund" },
      canary: { outcome: "escalate", rule: "large-refund" },
      calls: 1280,
    },
    { action: "other", stable: { outcome: "deny" }, canary: { outcome: "error" }, calls: 3 },
  ] as const

  it("says why the verdict is what it is, and where the releases disagree, by action and rule", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("inconclusive"), diffs })
    const { code, out } = await bench().serin("explain")
    expect(code).toBe(0)
    expect(out).toMatch(/^INCONCLUSIVE, judged 2026-01-01/)
    expect(out).toContain("the verdict is inconclusive\n")
    expect(out).toContain("error_rate_delta_max")
    expect(out).toMatch(/1,280× +issue_refund +stable allows by refund +canary escalates by large-refund/)
    expect(out).toMatch(/3× +other +stable denies +canary fails/)
  })

  it("says that the releases agreed, once they have judged the same calls", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("pass") })
    expect((await bench().serin("explain")).out).toContain("the releases agreed on every call that both judged")
    await bench().report({ verdict: verdictOf("pass", { sessions: 0 }) })
    expect((await bench().serin("explain")).out).not.toContain("the releases agreed")
  })

  it("explains the verdict that rolled back rather than an older report, also after a kill", async () => {
    await bench().serin("start")
    await bench().act({ type: "tick", actor: controller, verdict: verdictOf("breach") })
    await bench().report({ verdict: verdictOf("inconclusive") })
    expect((await bench().serin("explain")).out).toMatch(/^BREACH/)
    await bench().report({ generation: 0 })
    await bench().serin("kill")
    expect((await bench().serin("explain")).out).toMatch(/^BREACH/)
  })

  it("does not explain a rollout by the verdict of the generation before it", async () => {
    await bench().serin("start")
    await bench().act({ type: "tick", actor: controller, verdict: verdictOf("breach") })
    await bench().serin("retry", "--reason", "x")
    expect((await bench().serin("explain")).out).toMatch(/^no verdict: no process is judging/)
  })

  it("tells the age of a verdict when nobody judges any more", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("inconclusive") })
    bench().clock.advance(120_000)
    expect((await bench().serin("explain")).out).toContain(
      "no process is judging this rollout: the verdict is of 2m ago",
    )
  })

  it("says why there is no verdict, and what to do", async () => {
    const why = async (): Promise<string> => (await bench().serin("explain")).out
    expect(await bench().serin("explain")).toMatchObject({
      code: 6,
      out: expect.stringContaining("`serin start` makes it"),
    })
    await bench().serin("start")
    expect(await why()).toMatch(/no verdict: no process is judging this rollout; start the application/)
    await bench().report({})
    expect(await why()).toContain("no verdict: the rollout was not judged yet")
    await bench().report({ problem: "the evidence cannot be read" })
    expect(await why()).toContain("no verdict: judging failed: the evidence cannot be read")
    await bench().report({ diffs: 1 as never })
    expect(await why()).toContain("no verdict: the report cannot be read: diffs")
  })

  it("answers a document with --json", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("inconclusive"), diffs })
    expect((await bench().json("explain")).doc).toMatchObject({
      verdict: { result: "inconclusive" },
      diffs,
      why: null,
      text: expect.stringContaining("INCONCLUSIVE"),
    })
  })
})
