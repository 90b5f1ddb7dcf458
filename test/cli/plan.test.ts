import { beforeEach, describe, expect, it } from "vitest"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { createLeader } from "../../src/controller/leader.js"
import { NAME, useBench } from "./harness.js"
import { paired } from "../controller/evidence.js"

const bench = useBench()
const CALLS = ["a", "a", "a", "b", "b", "c"]
  .map((session) => JSON.stringify({ session, tool: "x", input: {} }))
  .join("\n")

beforeEach(async () => void (await bench().serin("init")))

describe("serin plan", () => {
  it("says what each stage takes, what was assumed, and what would help", async () => {
    const { code, out } = await bench().serin("plan", "--sessions-per-minute", "2")
    expect(code).toBe(0)
    expect(out).toMatch(/^refund-agent: 1\.4\.0 → 1\.5\.0\n/)
    expect(out).toMatch(/2 sessions a minute +flag/)
    expect(out).toMatch(/stable denies 5 %.* assumed/)
    expect(out).toMatch(/^shadow +newly_denied_rate_max +[\d,]+ in \S+ .*\+100 %: \d+ in \S+ \(0\)/m)
    expect(out).toMatch(/a good canary is promoted after about \S+, and \S+ or less in four of five rollouts/)
    expect(out).toMatch(
      /warning: at shadow, \S+ takes about \S+; the period is 2h: it holds as inconclusive from then on\n {2}would do: /,
    )
  })

  it("warns of nothing in what `serin init` writes, at the traffic that its file names", async () => {
    const { doc } = await bench().json("plan", "--sessions-per-minute", "10")
    expect(doc).toMatchObject({ warnings: [], stages: [{ weightBp: 0, periodMs: 7_200_000 }, {}, {}, {}, {}] })
  })

  it("takes effects to look for, and the sizes of sessions from recorded calls", async () => {
    await bench().write("calls.jsonl", CALLS)
    const { out } = await bench().serin(
      "plan",
      "--sessions-per-minute",
      "2",
      "--calls",
      "calls.jsonl",
      "--effects",
      "0.3",
    )
    expect(out).toMatch(/2 counted calls a session +calls\.jsonl/)
    expect(out).toMatch(/\+30 pp: /)
    expect(out).not.toContain("+100 pp")
  })

  it("answers a document with --json, in which what never comes is null", async () => {
    const rollout = (await bench().read("safety/rollout.yaml")).replace("escalate_rate_delta_max", "error_rate_max")
    await bench().write("safety/rollout.yaml", rollout.replace(/error_rate_max: .*/, "error_rate_max: 0.001"))
    const { code, doc } = await bench().json("plan", "--sessions-per-minute", "2")
    expect(code).toBe(0)
    expect(doc).toMatchObject({
      rollout: NAME,
      traffic: { sessionsPerMinute: 2, callsPerSession: 8 },
      trafficFrom: { sessionsPerMinute: "flag" },
    })
    expect(doc["warnings"]).toContainEqual(expect.objectContaining({ criterion: "error_rate_max", needsMs: null }))
    expect(doc["likelyMs"]).toBeNull()
  })

  it("takes the traffic from the newest recorded verdict", async () => {
    await bench().serin("start")
    const { store, clock } = bench()
    const follower = await createWritingFollower({ store, rollout: NAME, clock })
    const leader = createLeader({
      store,
      rollout: NAME,
      follower,
      source: { read: () => Promise.resolve(paired(1, 2, 200, () => false)) },
      clock,
      actor: { kind: "controller", id: "host/1" },
    })
    clock.advance(100_000)
    expect(await leader.record()).not.toBeNull()
    await leader.close()
    follower.close()
    const { doc } = await bench().json("plan")
    // 200 sessions of 8 calls since the ramp began, 100 s ago.
    expect(doc).toMatchObject({ traffic: { callsPerSession: 8, rates: { deny: 0 } } })
    const { sessionsPerMinute } = doc["traffic"] as { sessionsPerMinute: number }
    expect(sessionsPerMinute).toBeCloseTo(120, 0)
    const flagged = await bench().json("plan", "--sessions-per-minute", "3")
    expect(flagged.doc).toMatchObject({ traffic: { sessionsPerMinute: 3, callsPerSession: 8 } })
  })

  it("asks for the traffic when nothing tells it", async () => {
    const { code, err } = await bench().serin("plan")
    expect(code).toBe(2)
    expect(err).toContain("--sessions-per-minute N")
  })

  it.each([
    [["--sessions-per-minute", "0"]],
    [["--sessions-per-minute", "-1"]],
    [["--sessions-per-minute", "many"]],
    [["--sessions-per-minute", "2", "--calls-per-session", "21"]],
    [["--sessions-per-minute", "2", "--effects", "2"]],
    [["--sessions-per-minute", "2", "--effects", ""]],
  ])("refuses %j", async (flags) => {
    expect(await bench().serin("plan", ...flags)).toMatchObject({ code: 2, out: "" })
  })

  it("tells which lines of a file are no calls", async () => {
    await bench().write("calls.jsonl", "{}")
    const { code, err } = await bench().serin("plan", "--sessions-per-minute", "2", "--calls", "calls.jsonl")
    expect(code).toBe(1)
    expect(err).toMatch(/CALLS_INVALID/)
  })
})
