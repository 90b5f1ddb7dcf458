import { beforeEach, describe, expect, it } from "vitest"
import { useBench } from "./harness.js"

const bench = useBench()
const CALLS = Array.from({ length: 60 }, (_, i) =>
  JSON.stringify({
    session: `s${i % 12}`,
    tool: i % 7 === 0 ? "issue_refund" : "get_order",
    input: { amount: i * 10 },
  }),
).join("\n")

beforeEach(async () => {
  await bench().serin("init")
  await bench().write("calls.jsonl", CALLS)
})

const QUICK = ["--calls", "calls.jsonl", "--runs", "3", "--sessions", "60"]

describe("serin calibrate", () => {
  it("says how the release behaves against itself, and which limits it bears", async () => {
    const { code, out } = await bench().serin("calibrate", ...QUICK)
    expect(code).toBe(0)
    expect(out).toMatch(/^refund-agent: 1\.4\.0 against itself, 60 calls of 12 sessions\n/)
    expect(out).toMatch(/churn +0 % of calls \(0\) were answered in another way/)
    expect(out).toMatch(/false alarms +0 of 3 rollouts of 60 sessions, judged 10 times each/)
    expect(out).toMatch(/^newly_allowed_rate_max +0 +0 +.* so 0 can be kept/m)
    expect(out).toMatch(/^deny_rate_delta_max +0\.03 +\S+ +asked twice, the release never disagreed with itself/m)
  })

  it("tries another release, and answers a document with --json", async () => {
    const { code, doc } = await bench().json("calibrate", ...QUICK, "--release", "1.5.0", "--sessions-per-minute", "40")
    expect(code).toBe(0)
    expect(doc).toMatchObject({ release: "1.5.0", measured: { sessions: 12 }, aa: { runs: 3, breached: 0 } })
  })

  it("asks for calls, and says what is wrong with a release, a file or a number", async () => {
    expect(await bench().serin("calibrate")).toMatchObject({ code: 2, err: expect.stringContaining("--calls FILE") })
    expect((await bench().serin("calibrate", ...QUICK, "--release", "9")).err).toContain("RELEASE_NOT_FOUND")
    expect((await bench().serin("calibrate", "--calls", "none")).err).toContain("CALLS_INVALID")
    expect(await bench().serin("calibrate", ...QUICK, "--runs", "0")).toMatchObject({ code: 2 })
    expect(await bench().serin("calibrate", ...QUICK, "--seed", "x")).toMatchObject({ code: 2 })
  })
})
