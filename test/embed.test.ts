import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { embed } from "../src/embed.js"
import type { EmbedOptions, Embedded } from "../src/embed.js"
import type { Call } from "../src/model/call.js"
import { fakeClock } from "../src/testing/fake-clock.js"

const STABLE_RULES = `
rules:
  - { id: own-booking, action: cancel_booking, when: 'input.id.matches("^[A-Z0-9]{6}$")', effect: allow }
  - { id: small-refund, action: refund, when: "input.amount <= 100", effect: allow }
  - { id: look, action: "get_*", effect: allow }
`

const spec = (extra = "") => `
rollout: booking-agent
stable: 1.4.0
canary:
  release: 1.5.0
  traffic_percentage: 5
  observation_period: "30m"
  acceptance_criteria:
    error_rate_delta_max: 0.01
    deny_rate_delta_max: 0.02
    newly_allowed_rate_max: 0.002
  on_failure: "rollback"
${extra}`

const human = { kind: "human", id: "ada" } as const

let dir = ""
const running: { close(): Promise<void> }[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "serin-embed-"))
})
afterEach(async () => {
  for (const guard of running.splice(0)) await guard.close()
  await rm(dir, { recursive: true, force: true })
})

async function write(path: string, text: string): Promise<void> {
  await mkdir(join(dir, path, ".."), { recursive: true })
  await writeFile(join(dir, path), text)
}

async function writeRelease(version: string, rules: string): Promise<void> {
  await write(
    `releases/${version}/release.yaml`,
    `version: ${version}\npolicy: { engine: rules, files: [rules.yaml] }\n`,
  )
  await write(`releases/${version}/rules.yaml`, rules)
}

async function safety(canaryRules: string, yaml = spec()): Promise<void> {
  await write("rollout.yaml", yaml)
  await writeRelease("1.4.0", STABLE_RULES)
  await writeRelease("1.5.0", canaryRules)
}

async function open(options: Partial<EmbedOptions<Call, "sync">> = {}) {
  const clock = fakeClock()
  const guard = await embed({
    rollout: join(dir, "rollout.yaml"),
    releases: join(dir, "releases"),
    start: true,
    clock,
    ...options,
  })
  running.push(guard)
  return { guard, clock }
}

/** Sessions of five calls each, two a second, judged at the end of every minute. */
async function traffic(guard: Embedded, clock: ReturnType<typeof fakeClock>, minutes: number, from = 0): Promise<void> {
  const actions: Call[] = [
    { action: "get_booking", input: {} },
    { action: "cancel_booking", input: { id: "A1B2C3" } },
    { action: "refund", input: { amount: 80 } },
    { action: "refund", input: { amount: 900 } },
    { action: "get_user", input: {} },
  ]
  for (let minute = 0; minute < minutes; minute++) {
    for (let n = 0; n < 30; n++) {
      clock.advance(2000)
      const session = guard.session(`session-${from + minute * 30 + n}`)
      for (const action of actions) session.evaluate(action)
    }
    await guard.idle()
    await guard.judge()
    const { phase } = guard.status().phase
    if (phase === "promoted" || phase === "rolled_back") return
  }
}

describe("a rollout in one process", () => {
  it("takes a good canary through shadow, 5, 25, 50 and 100 % to promoted", async () => {
    await safety(STABLE_RULES)
    const phases: string[] = []
    const { guard, clock } = await open({ onEvent: (e) => void (e.type === "applied" && phases.push(e.phase)) })
    expect(guard.status().phase.phase).toBe("shadow")
    await traffic(guard, clock, 200)
    expect(guard.status().phase.phase).toBe("promoted")
    expect(guard.session("after").evaluate({ action: "get_user" })).toMatchObject({ arm: "canary", release: "1.5.0" })
    const weights = guard.status().state.ramp.map((entry) => entry.weightBp)
    expect(weights).toEqual([0, 500, 2500, 5000, 10_000])
  })

  it("rolls back a canary that denies what stable allows, before it served anybody, and names the rule", async () => {
    await safety(STABLE_RULES.replace("[A-Z0-9]{6}", "[A-Z]{6}"))
    const { guard, clock } = await open()
    await traffic(guard, clock, 60)
    const { phase, state } = guard.status()
    expect(phase.phase).toBe("rolled_back")
    expect(state.last.verdict).toMatchObject({
      result: "breach",
      cause: "deny_rate_delta_max",
      sessions: { canary: 0 },
    })
    expect(guard.diffs()[0]).toMatchObject({
      action: "cancel_booking",
      stable: { outcome: "allow", rule: "own-booking" },
      canary: { outcome: "deny" },
    })
  })

  it("rolls back a canary that allows what stable denies, on the safety budget", async () => {
    await safety(STABLE_RULES.replace("input.amount <= 100", "input.amount <= 1000"))
    const { guard, clock } = await open()
    await traffic(guard, clock, 60)
    expect(guard.status().state.last.verdict?.criteria.find((c) => c.result === "breach")?.criterion).toBe(
      "newly_allowed_rate_max",
    )
    expect(guard.status().phase.phase).toBe("rolled_back")
  })

  it("compares nothing until somebody starts it", async () => {
    await safety(STABLE_RULES)
    const { guard, clock } = await open({ start: false })
    await traffic(guard, clock, 2)
    expect(guard.status().phase.phase).toBe("idle")
    expect(guard.status().report?.verdict).toBeNull()
  })

  it("goes on where it was after a restart, and does not undo a rollback", async () => {
    await safety(STABLE_RULES)
    const first = await open()
    await first.guard.act({ type: "rollback", actor: human, reason: "not today" })
    await first.guard.close()
    const second = await open()
    expect(second.guard.status().phase.phase).toBe("rolled_back")
    expect(second.guard.status().state.revision).toBe(first.guard.status().state.revision)
  })

  it("kills at once, even when the store's directory is gone", async () => {
    await safety(STABLE_RULES)
    const { guard } = await open()
    await rm(join(dir, "state"), { recursive: true })
    const event = { type: "kill", position: "deny", actor: human, reason: "now" } as const
    await expect(guard.act(event)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    expect(guard.session("a").evaluate({ action: "get_user" })).toMatchObject({ outcome: "deny", source: "lockdown" })
  })

  it("keeps the last good state when the store's directory is deleted", async () => {
    await safety(STABLE_RULES)
    const { guard, clock } = await open()
    await rm(join(dir, "state"), { recursive: true })
    await traffic(guard, clock, 1)
    clock.advance(5000)
    await clock.settle()
    expect(guard.status().phase.phase).toBe("shadow")
    await expect.poll(() => guard.status().follower.problem?.code).toBe("store_unreachable")
    expect(guard.session("b").evaluate({ action: "get_user" }).outcome).toBe("allow")
  })

  it("survives a clock that goes backwards, without moving a session or a stage", async () => {
    await safety(STABLE_RULES)
    const { guard, clock } = await open()
    await traffic(guard, clock, 45)
    const { state } = guard.status()
    expect(guard.status().phase.phase).toBe("canary")
    const session = guard.session("kept")
    const { arm } = session.evaluate({ action: "get_user" })
    clock.setWall(clock.now() - 86_400_000)
    await traffic(guard, clock, 5, 100_000)
    expect(guard.status().state.ramp).toEqual(state.ramp)
    expect(session.evaluate({ action: "get_user" }).arm).toBe(arm)
  })
})

describe("bad input", () => {
  it("a spec with mistakes is refused with every one of them and its line", async () => {
    await safety(STABLE_RULES, spec().replace("traffic_percentage: 5", "trafic_percentage: 5").replace("0.02", "2"))
    await expect(open()).rejects.toMatchObject({
      code: "SPEC_INVALID",
      problems: expect.arrayContaining([
        expect.objectContaining({
          where: expect.stringMatching(/rollout\.yaml:6:/),
          fix: expect.stringContaining("traffic_percentage"),
        }),
        expect.objectContaining({ where: expect.stringMatching(/rollout\.yaml:10:/) }),
      ]),
    })
  })

  it("a spec that is not there says which command writes one", async () => {
    await expect(open()).rejects.toThrow(/serin init/)
  })

  it("a stable release that is not there or broken is refused", async () => {
    await safety(STABLE_RULES)
    await writeRelease("1.4.0", "rules: [{ id: x, action: '*', effect: alow }]")
    await expect(open()).rejects.toMatchObject({ code: "RELEASE_INVALID" })
    await rm(join(dir, "releases/1.4.0"), { recursive: true })
    await expect(open()).rejects.toMatchObject({ code: "RELEASE_NOT_FOUND" })
  })

  it("a canary that cannot be loaded leaves stable serving, holds the rollout and says why", async () => {
    await safety("rules: nonsense")
    const { guard, clock } = await open()
    await traffic(guard, clock, 3)
    expect(guard.session("a").evaluate({ action: "get_user" })).toMatchObject({ outcome: "allow", release: "1.4.0" })
    expect(guard.status().state.holds.map((hold) => hold.reason)).toContain("releases")
    expect(guard.status().unavailable.get("1.5.0")).toMatch(/rules/)
    expect(guard.status().phase.phase).toBe("shadow")
  })

  it("a state directory that cannot be made is a clear error", async () => {
    await safety(STABLE_RULES)
    await write("state", "a file where a directory must be")
    await expect(open()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
  })

  it("a corrupt state file is refused at start and never starts a canary", async () => {
    await safety(STABLE_RULES)
    await write("state/booking-agent/state/0000000001.json", '{"format":"serin/state/1","kill"')
    await expect(open()).rejects.toMatchObject({ code: "STATE_INVALID" })
  })
})
