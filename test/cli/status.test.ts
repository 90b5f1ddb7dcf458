import { rm } from "node:fs/promises"
import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { advance, useBench } from "./harness.js"
import { verdictOf } from "../rollout/states.js"

const bench = useBench()
const controller = { kind: "controller", id: "host/1" } as const

beforeEach(async () => void (await bench().serin("init")))

describe("serin status", () => {
  it("exits with 13 when the store cannot be reached, and with 8 when the rollout is contained", async () => {
    const { code, err } = await bench().serin("status", "--state", "http://127.0.0.1:1/v1")
    expect({ code, err }).toMatchObject({ code: 13, err: expect.stringMatching(/^STORE_UNAVAILABLE: /) })
    await bench().serin("start")
    await bench().serin("contain")
    expect((await bench().serin("status")).code).toBe(8)
  })

  it("exits with 6 and says what to do when there is no state", async () => {
    const { code, out } = await bench().serin("status")
    expect(code).toBe(6)
    expect(out).toContain("no state in")
    expect(out).toContain("`serin start` makes it")
    expect(await bench().json("status")).toEqual({
      code: 6,
      doc: {
        format: "serin/status/1",
        rollout: "refund-agent",
        state: null,
        phase: null,
        report: null,
        outlook: [],
        exitCode: 6,
      },
    })
  })

  it("names the rollouts that are there when the file was renamed under a running one", async () => {
    await bench().serin("start")
    const text = await bench().read("safety/rollout.yaml")
    await bench().write("safety/rollout.yaml", text.replace("rollout: refund-agent", "rollout: refunds"))
    const { code, out } = await bench().serin("status")
    expect(code).toBe(6)
    expect(out).toContain("there: refund-agent")
  })

  it("says by its exit code and in words where the rollout stands", async () => {
    await bench().serin("start")
    expect(await bench().serin("status")).toMatchObject({
      code: 12,
      out: expect.stringContaining("refund-agent  in shadow"),
    })
    await bench().report({})
    expect((await bench().serin("status")).code).toBe(0)
    await bench().act({ type: "tick", actor: controller, verdict: null })
    expect(await bench().serin("status")).toMatchObject({ code: 11, out: expect.stringMatching(/hold +no_data/) })
    await bench().act({ type: "tick", actor: controller, verdict: verdictOf("pass") })
    await bench().serin("pause")
    expect(await bench().serin("status")).toMatchObject({ code: 3, out: expect.stringMatching(/hold +paused for 0s/) })
    await bench().serin("resume")
    await bench().serin("promote", "--to", "end", "--reason", "x")
    expect(await bench().serin("status")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/releases +1\.5\.0 promoted, 1\.4\.0 before/),
    })
    await bench().serin("rollback")
    expect(await bench().serin("status")).toMatchObject({ code: 4, out: expect.stringContaining("rolled back") })
    expect((await bench().serin("status")).out).toMatch(/next +`serin start.* a new version, or `serin retry/)
    await bench().serin("retry", "--reason", "x")
    await bench().serin("kill")
    expect(await bench().serin("status")).toMatchObject({ code: 5, out: expect.stringContaining("killed") })
  })

  it("says why a fuse is blown, and how it is reset", async () => {
    await bench().serin("start")
    const fuse = "the canary's policy failed 5 times in a row"
    await bench().act({ type: "tick", actor: controller, verdict: verdictOf("pass"), fuse })
    bench().clock.advance(60_000)
    await bench().report({})
    const { code, out } = await bench().serin("status")
    expect(code).toBe(3)
    expect(out).toMatch(/hold +fuse for 1m: the canary's policy failed 5 times in a row/)
    expect(out).toMatch(/next +a process took the canary out by itself.*`serin start`.*`guard\.resetFuse\(\)`/)
    expect((await bench().serin("explain")).out).toContain(
      "a fuse keeps the canary out of the judging process since 1m ago: the canary's policy failed 5 times in a row",
    )
  })

  it("shows ramp, holds with their age, releases and what comes next", async () => {
    await bench().serin("start")
    await advance(bench(), verdictOf("pass"))
    bench().clock.advance(10_000)
    await bench().act({ type: "tick", actor: controller, verdict: verdictOf("inconclusive", { sessions: 3 }) })
    bench().clock.advance(90_000)
    await bench().report({})
    const { code, out } = await bench().serin("status")
    expect(code).toBe(3)
    expect(out).toContain("refund-agent  canary at 5 %")
    expect(out).toMatch(/releases +1\.4\.0 stable, 1\.5\.0 canary/)
    expect(out).toMatch(/ramp +shadow → \[5 %\] → 25 % → 50 % → 100 %/)
    expect(out).toMatch(/stage +since 2026-01-01T02:00:10Z \(1m30s ago\), 4h at least/)
    expect(out).toMatch(/hold +sample for 1m30s/)
    expect(out).toMatch(/last +hold by host\/1, 1m30s ago/)
    expect(out).toMatch(/next +it waits for 50 sessions/)
  })

  it("shows the last verdict in a table: criterion, result, estimate, interval, limit, n, and when it is settled at this rate", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("inconclusive") })
    const { out } = await bench().serin("status")
    expect(out).toContain("inconclusive: the verdict is inconclusive")
    expect(out).toMatch(/criterion +result +estimate +interval +limit +n +at this rate\n/)
    expect(out).toMatch(
      /error_rate_delta_max +inconclusive +\+0\.1 pp +-1 pp to \? +\+1 pp +1,000 canary, 1,000 stable +not at this stage$/m,
    )
  })

  it("shows a latency and its limit in ms, beside the share of calls that it is judged by", async () => {
    await bench().serin("start")
    const verdict = verdictOf("pass")
    const [rate] = verdict.criteria
    const latency = { criterion: "latency_p99_delta_max", unit: "ms", max: 50, estimate: -0.008, lower: -0.01 } as const
    const quantiles = { stableMs: 70, canaryMs: 82.345 }
    await bench().report({ verdict: { ...verdict, criteria: [{ ...rate!, ...latency, upper: -0.004, quantiles }] } })
    expect((await bench().serin("status")).out).toMatch(
      /latency_p99_delta_max +pass +\+12\.3 ms, 0\.2 % slower +0 % to 0\.6 % +\+50 ms for all but 1 % +1,000/,
    )
  })

  it("does not show a verdict of an earlier generation", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("inconclusive") })
    await bench().serin("rollback")
    await bench().serin("retry", "--reason", "x")
    expect((await bench().serin("status")).out).not.toContain("inconclusive")
  })

  it("says that nobody judges once the report is older than 30 s, and only while a rollout runs", async () => {
    await bench().serin("start")
    expect((await bench().serin("status")).out).toContain("none yet: no process is judging this rollout")
    await bench().report({})
    bench().clock.advance(30_000)
    expect((await bench().serin("status")).out).not.toContain("no process is judging")
    bench().clock.advance(1000)
    const stale = await bench().serin("status")
    expect(stale).toMatchObject({
      code: 12,
      out: expect.stringContaining("31s old: no process is judging this rollout"),
    })
    expect((await bench().json("status")).doc).toMatchObject({ judged: false, reportAgeMs: 31_000 })
    await bench().serin("rollback")
    expect((await bench().serin("status")).out).not.toContain("no process is judging")
  })

  it("tells what kept the process from judging", async () => {
    await bench().serin("start")
    await bench().report({ problem: "the disk is full" })
    expect((await bench().serin("status")).out).toMatch(/report +0s old; the disk is full/)
  })

  it("answers state, phase, report and exit code with --json, and nothing else", async () => {
    await bench().serin("start")
    await bench().report({ verdict: verdictOf("pass") })
    const { code, doc } = await bench().json("status")
    expect(code).toBe(0)
    expect(doc).toMatchObject({
      phase: { phase: "shadow" },
      report: { verdict: { result: "pass" } },
      judged: true,
      exitCode: 0,
    })
    expect(doc["state"]).toEqual(JSON.parse(JSON.stringify(await bench().state())))
  })

  it("names the field of a state that was broken by hand, and exits with 1", async () => {
    await bench().serin("start")
    const state = await bench().state()
    await bench().writeRaw(JSON.stringify({ ...state, revision: 3, kill: "maybe", extra: 1 }))
    const { code, out, err } = await bench().serin("status")
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err).toMatch(/^STATE_INVALID: /)
    expect(err).toMatch(/^ {2}kill: /m)
    expect(err).toContain("extra")
  })

  it("shows the state when the report is broken, and names what is wrong with it", async () => {
    await bench().serin("start")
    await bench().report({ verdict: { result: "pass" } as never })
    const { code, out } = await bench().serin("status")
    expect(code).toBe(12)
    expect(out).toMatch(/report +cannot be read: verdict\./)
    await bench().report({ at: "now" as never })
    expect((await bench().serin("status")).out).toMatch(/report +cannot be read: at: /)
  })

  it("goes by the only rollout in the state directory when the file is gone", async () => {
    await bench().serin("start")
    await rm(join(bench().cwd, "safety/rollout.yaml"))
    expect(await bench().serin("status")).toMatchObject({
      code: 12,
      out: expect.stringContaining("refund-agent  in shadow"),
    })
    await rm(join(bench().cwd, "safety/state"), { recursive: true })
    expect(await bench().serin("status")).toMatchObject({ code: 1, err: expect.stringContaining("`serin init`") })
  })

  it("colours on a terminal alone, and not where NO_COLOR is set; the words are the same", async () => {
    await bench().serin("start")
    await bench().serin("kill")
    const dull = (await bench().serin("status")).out
    const bright = (await bench().serinWith({ isTTY: true }, "status")).out
    expect(dull).not.toContain("\u001b")
    expect(bright).toContain("\u001b[31mkilled: stable serves every session\u001b[0m")
    // oxlint-disable-next-line no-control-regex
    expect(bright.replaceAll(/\u001b\[\d+m/g, "")).toBe(dull)
    expect((await bench().serinWith({ isTTY: true, env: { NO_COLOR: "1" } }, "status")).out).toBe(dull)
  })
})
