import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { reportKey } from "../src/controller/keys.js"
import { parseReport } from "../src/controller/report.js"
import { act, ensureState, pastStates, readState } from "../src/controller/verbs.js"
import { embed } from "../src/embed.js"
import { SerinError } from "../src/errors.js"
import type { EvidenceSource } from "../src/evidence/source.js"
import type { Evidence } from "../src/model/evidence.js"
import type { EmbedOptions, Embedded } from "../src/embed.js"
import type { Call } from "../src/model/call.js"
import { phaseOf } from "../src/rollout/phase.js"
import { parseSpec } from "../src/rollout/spec.js"
import type { StateStore } from "../src/rollout/store.js"
import { fileStore } from "../src/stores/file.js"
import { memoryStore } from "../src/stores/memory.js"
import { fakeClock } from "../src/testing/fake-clock.js"
import { paired } from "./controller/evidence.js"
import { unreliable } from "./controller/unreliable.js"

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
  const clock = (options.clock as ReturnType<typeof fakeClock> | undefined) ?? fakeClock()
  const guard = await embed({
    rollout: join(dir, "rollout.yaml"),
    releases: join(dir, "releases"),
    start: true,
    ...options,
    clock,
  })
  running.push(guard)
  return { guard, clock }
}

/** Sessions of five calls each, two a second, judged at the end of every minute. */
async function traffic(
  guard: Embedded,
  clock: ReturnType<typeof fakeClock>,
  minutes: number,
  from = 0,
  startedAt?: number,
): Promise<void> {
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
      const session = guard.session(`session-${from + minute * 30 + n}`, { startedAt })
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

  it("judges by what `source` reads, whatever is counted here, and holds with no_data while it gives nothing", async () => {
    await safety(STABLE_RULES)
    let answer: () => Promise<Evidence | null> = () => Promise.reject(new SerinError("EVIDENCE_STALE", "no scrape"))
    const asked: unknown[] = []
    const source: EvidenceSource = {
      read: (query) => {
        asked.push(query?.generation)
        return answer()
      },
    }
    const { guard, clock } = await open({ source })
    await traffic(guard, clock, 2)
    expect(asked).toContain(1)
    expect((await guard.judge()).verdict).toMatchObject({ result: "inconclusive" })
    expect(guard.status().state.holds).toContainEqual(expect.objectContaining({ reason: "no_data" }))
    // The whole fleet: the canary denies every second call of what this process saw no difference in.
    answer = () => Promise.resolve(paired(1, 2, 200, (n) => n % 2 === 0))
    await guard.judge()
    expect(guard.status()).toMatchObject({
      phase: { phase: "rolled_back" },
      state: { last: { verdict: { result: "breach", sessions: { paired: 200 } } } },
    })
  })

  it("with on_failure: contain, serves the stricter answer of both from the breach on, until a human rolls back", async () => {
    const lax = STABLE_RULES.replace("[A-Z0-9]{6}", "[A-Z]{6}").replace("input.amount <= 100", "input.amount <= 1000")
    await safety(lax, spec().replace('on_failure: "rollback"', "on_failure: contain"))
    const { guard, clock } = await open()
    for (let minute = 0; minute < 60 && guard.status().phase.phase !== "contained"; minute++) {
      await traffic(guard, clock, 1, minute * 30)
    }
    expect(guard.status()).toMatchObject({
      phase: { phase: "contained" },
      state: { last: { event: "contain", actor: { kind: "controller" }, verdict: { result: "breach" } } },
    })
    const booking: Call = { action: "cancel_booking", input: { id: "A1B2C3" } }
    const refund: Call = { action: "refund", input: { amount: 900 } }
    const session = guard.session("after")
    expect(session.evaluate(booking)).toMatchObject({ outcome: "deny", source: "contained", arm: "canary" })
    expect(session.evaluate(refund)).toMatchObject({ source: "contained", arm: "stable" })
    expect(session.evaluate(refund).outcome).not.toBe("allow")
    clock.advance(60_000)
    await guard.judge()
    expect(guard.status().phase.phase).toBe("contained")
    await guard.act({ type: "rollback", actor: human, reason: "stable is fine" })
    expect(session.evaluate(booking)).toMatchObject({ outcome: "allow", source: "policy", arm: "stable" })
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

  it("shows how much of the comparison is done", async () => {
    await safety(STABLE_RULES)
    const { guard, clock } = await open({ shadow: { queue: 75 } })
    expect(guard.status().shadow).toEqual({ coverage: null, cpuShare: 0, waiting: 0, dropped: 0 })
    await traffic(guard, clock, 1)
    expect(guard.status().shadow).toEqual({ coverage: 0.5, cpuShare: 0, waiting: 0, dropped: 75 })
  })

  it("does not advance while the fuse of its process is blown, and does when it is reset", async () => {
    await write("rollout.yaml", spec())
    let broken = true
    const policy = { evaluate: () => "allow" as const }
    const canary = {
      evaluate() {
        if (broken) throw new Error("boom")
        return "allow" as const
      },
    }
    const releases = new Map([
      ["1.4.0", { version: "1.4.0", policy }],
      ["1.5.0", { version: "1.5.0", policy: canary }],
    ])
    const { guard, clock } = await open({ releases, store: memoryStore() })
    for (let n = 0; n < 5; n++) guard.session(`first-${n}`).evaluate({ action: "get_user" })
    await guard.idle()
    broken = false
    expect(guard.status().fuse).toMatchObject({ cause: "errors", inARow: 5 })
    await guard.judge()
    const holdsOf = () => guard.status().state.holds.map(({ reason, note }) => [reason, note])
    expect(holdsOf()).toContainEqual(["fuse", "the canary's policy failed 5 times in a row"])
    await traffic(guard, clock, 60)
    expect(guard.status().report?.verdict?.result).toBe("pass")
    expect(holdsOf()).toEqual([["fuse", "the canary's policy failed 5 times in a row"]])
    expect(guard.status().phase.phase).toBe("shadow")
    guard.resetFuse()
    expect(guard.status().fuse).toBeNull()
    await guard.judge()
    expect(guard.status().phase).toMatchObject({ phase: "canary", weightBp: 500 })
    expect(holdsOf()).toEqual([])
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
    await rm(join(dir, "state"), { recursive: true, maxRetries: 10, retryDelay: 20 })
    const event = { type: "kill", position: "deny", actor: human, reason: "now" } as const
    await expect(guard.act(event)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    expect(guard.session("a").evaluate({ action: "get_user" })).toMatchObject({ outcome: "deny", source: "lockdown" })
  })

  it("keeps the last good state when the store's directory is deleted", async () => {
    await safety(STABLE_RULES)
    const { guard, clock } = await open()
    await rm(join(dir, "state"), { recursive: true, maxRetries: 10, retryDelay: 20 })
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
    // Past the stage's period and with all the sessions that it asks for, by a clock that says that it has not begun.
    clock.setWall(clock.now() - 86_400_000)
    await traffic(guard, clock, 60, 100_000, state.ramp.at(-1)!.at)
    expect(guard.status().report?.verdict?.sessions.canary).toBeGreaterThan(state.spec.minSessions)
    expect(guard.status().report?.verdict?.result).toBe("pass")
    expect(guard.status().state.ramp).toEqual(state.ramp)
    expect(session.evaluate({ action: "get_user" }).arm).toBe(arm)
    await guard.act({ type: "promote", actor: human, reason: "I know what time it is" })
    const times = guard.status().state.ramp.map(({ at }) => at)
    expect(times).toHaveLength(3)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(session.evaluate({ action: "get_user" }).arm).toBe(arm)
    clock.setWall(clock.now() + 86_400_000)
    await traffic(guard, clock, 45, 200_000)
    expect(guard.status().state.ramp.length).toBeGreaterThan(3)
  })
})

/** A store that the test can take away. */
function frail() {
  const made = unreliable(memoryStore())
  return { ...made, store: { ...made.store, watch: () => {} } satisfies StateStore }
}

const lockdown = { type: "kill", position: "deny", actor: human, reason: "incident" } as const

describe("what is taken away", () => {
  it("while the store is down is written when it is back", async () => {
    await safety(STABLE_RULES)
    const { store, turn } = frail()
    const { guard, clock } = await open({ store })
    turn("down")
    await expect(guard.act(lockdown)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    expect(guard.status().follower.pending).toMatchObject([{ event: "kill", message: "STORE_UNAVAILABLE: down" }])
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect((await readState(store, "booking-agent"))?.kill).toBe("deny")
    expect(guard.status().follower.pending).toEqual([])
    expect(guard.session("a").evaluate({ action: "get_user" }).source).toBe("lockdown")
  })

  it("is taken away also where the canary is not served: a lockdown after a rollback, with the store down", async () => {
    await safety(STABLE_RULES)
    const { store, turn } = frail()
    const { guard } = await open({ store })
    await guard.act({ type: "rollback", actor: human, reason: "bad" })
    turn("down")
    await expect(guard.act(lockdown)).rejects.toThrow("down")
    expect(guard.session("a").evaluate({ action: "get_user" }).source).toBe("lockdown")
    turn("fine")
  })

  it("is what the store's canary serves, also when this process does not know of it yet", async () => {
    await safety(STABLE_RULES)
    const { store } = frail()
    const { guard, clock } = await open({ store, start: false })
    const event = {
      type: "start",
      spec: parseSpec(spec(), { path: "x" }),
      salt: "s",
      actor: human,
      reason: "",
    } as const
    await act(store, "booking-agent", event, () => clock.now())
    expect(guard.status().phase.phase).toBe("idle")
    await guard.act({ type: "rollback", actor: human, reason: "bad" })
    expect(guard.status().phase.phase).toBe("rolled_back")
    expect(phaseOf((await readState(store, "booking-agent"))!).phase).toBe("rolled_back")
  })

  it("by a kill in a state directory that was wiped and begun anew, arrives", async () => {
    await safety(STABLE_RULES)
    const { guard, clock } = await open()
    await rm(join(dir, "state"), { recursive: true, maxRetries: 10, retryDelay: 20 })
    const anew = fileStore({ dir: join(dir, "state") })
    await ensureState(anew, parseSpec(spec(), { path: "x" }), human, clock.now())
    await act(anew, "booking-agent", lockdown, () => clock.now())
    await expect
      .poll(() => {
        // A store that is gone is not asked more often than every 50 ms.
        clock.advance(50)
        return guard.session("a").evaluate({ action: "get_user" }).source
      })
      .toBe("lockdown")
    expect(guard.status().follower.problem?.message).toContain("its kill switch is obeyed")
  })

  it("keeps close() no longer than 2 s from settling, when the store does not answer", async () => {
    await safety(STABLE_RULES)
    const { store, turn } = frail()
    const { guard, clock } = await open({ store })
    turn("stalled")
    const acting = guard.act(lockdown).catch((error: unknown) => error)
    const closing = guard.close()
    await clock.settle()
    clock.advance(2000)
    await closing
    expect(await acting).toMatchObject({ code: "STORE_UNAVAILABLE" })
    turn("fine")
  })
})

describe("a release that is not there yet", () => {
  it("is asked for at every interval, and lifts the hold by itself when it comes", async () => {
    await safety(STABLE_RULES)
    const policy = { evaluate: () => "allow" as const }
    const there = new Map([["1.4.0", { version: "1.4.0", policy }]])
    let asked = 0
    const releases = {
      get(version: string) {
        if (version === "1.5.0") asked++
        const release = there.get(version)
        if (release === undefined) throw new Error("not there yet")
        return release
      },
    }
    const { guard, clock } = await open({ releases, store: memoryStore() })
    const beat = async (): Promise<void> => {
      clock.advance(5000)
      await clock.settle()
      guard.session(`s-${clock.now()}`).evaluate({ action: "get_user" })
      await guard.idle()
    }
    const before = asked
    for (let n = 0; n < 20; n++) await beat()
    // Once an interval, and at the change of state that the hold is.
    expect(asked - before).toBeGreaterThanOrEqual(20)
    expect(asked - before).toBeLessThanOrEqual(22)
    expect(guard.status().state.holds.map(({ reason }) => reason)).toContain("releases")
    there.set("1.5.0", { version: "1.5.0", policy })
    for (let n = 0; n < 3; n++) await beat()
    expect(asked - before).toBeLessThanOrEqual(23)
    expect(guard.status().unavailable.size).toBe(0)
    expect(guard.status().state.holds.map(({ reason }) => reason)).not.toContain("releases")
    await guard.close()
  })

  it("is not asked for after close", async () => {
    await safety("rules: nonsense")
    let asked = 0
    const releases = {
      get(version: string) {
        if (version === "1.5.0") asked++
        if (version === "1.5.0") throw new Error("not there yet")
        return { version, policy: { evaluate: () => "allow" as const } }
      },
    }
    const { guard, clock } = await open({ releases, store: memoryStore() })
    await clock.settle()
    await guard.close()
    const before = asked
    clock.advance(60_000)
    await clock.settle()
    expect(asked).toBe(before)
  })
})

describe("start: true", () => {
  const named = (version: string) => spec().replace("1.5.0", version)
  async function with16(store: StateStore) {
    await safety(STABLE_RULES)
    await writeRelease("1.6.0", STABLE_RULES)
    const begin = async (version: string) => {
      await write("rollout.yaml", named(version))
      return (await open({ store })).guard
    }
    return begin
  }

  it.each([
    ["rolled back", { type: "rollback", actor: human, reason: "bad" }],
    ["contained", { type: "contain", actor: human, reason: "bad" }],
    ["killed", { type: "kill", position: "stable", actor: human, reason: "bad" }],
  ] as const)("with an older file does not start again what was %s, after another was started", async (_, event) => {
    const store = memoryStore()
    const begin = await with16(store)
    const first = await begin("1.5.0")
    expect(first.status().notice).toBeUndefined()
    await first.act(event)
    await first.close()
    const newer = parseSpec(named("1.6.0"), { path: "x" })
    const again = { type: event.type === "kill" ? "retry" : "start", spec: newer, salt: "s", actor: human } as const
    await act(store, "booking-agent", { ...again, reason: "the mended one" }, () => fakeClock().now())
    const old = await begin("1.5.0")
    const { state, phase, notice } = old.status()
    expect(state).toMatchObject({ canary: "1.6.0", generation: 2 })
    expect(phase.phase).toBe("shadow")
    expect(notice).toMatch(
      /1\.5\.0 is not started again: it was stopped in revision 4 \(bad\); `serin start` starts it/,
    )
  })

  it("starts again what a human retried, and what was only superseded", async () => {
    const store = memoryStore()
    const begin = await with16(store)
    const first = await begin("1.5.0")
    await first.act({ type: "rollback", actor: human, reason: "bad" })
    await first.act({ type: "retry", salt: "s2", actor: human, reason: "it was not" })
    await first.close()
    const second = await begin("1.6.0")
    expect(second.status().state.canary).toBe("1.6.0")
    await second.close()
    const third = await begin("1.5.0")
    expect(third.status()).toMatchObject({ notice: undefined, state: { canary: "1.5.0", generation: 4 } })
  })

  it("with a gate starts what keeps its limits on the recorded calls, and else says what does not", async () => {
    const yaml = (limit: number) =>
      spec(`  gate: { replay: recorded.jsonl }`).replace(
        "newly_allowed_rate_max: 0.002",
        `newly_denied_rate_max: ${limit}`,
      )
    const calls = [50, 60, 70, 80].map((amount, i) =>
      JSON.stringify({ session: `s${i}`, tool: "refund", input: { amount } }),
    )
    await safety(
      STABLE_RULES.replace("<= 100", "<= 75"),
      yaml(0.2).replace("deny_rate_delta_max: 0.02", "deny_rate_delta_max: 1"),
    )
    const none = (await open({ start: true })).guard
    expect(none.status().notice).toMatch(/1\.5\.0 is not started: its replay failed: .*recorded\.jsonl: cannot be read/)
    await none.close()
    await write("recorded.jsonl", calls.join("\n"))
    const over = (await open({ start: true })).guard
    expect(over.status()).toMatchObject({ phase: { phase: "idle" }, state: { canary: null } })
    expect(over.status().notice).toMatch(/newly_denied_rate_max is 0\.25, above 0\.2/)
    expect(over.session("a").evaluate({ action: "refund", input: { amount: 80 } }).outcome).toBe("allow")
    await over.close()
    await write("recorded.jsonl", calls.slice(0, 3).join("\n"))
    const within = (await open({ start: true })).guard
    expect(within.status()).toMatchObject({ notice: undefined, phase: { phase: "shadow" } })
    const reasons: string[] = []
    for await (const { last } of pastStates(fileStore({ dir: join(dir, "state") }), "booking-agent")) {
      reasons.push(last.reason)
    }
    expect(reasons.join("\n")).toMatch(/replayed 3 calls of recorded\.jsonl \(sha256:\w+\), 0 answered otherwise/)
  })

  it("says what keeps it from starting: a rollback, a containment, a pause, a kill", async () => {
    const store = memoryStore()
    const begin = await with16(store)
    const first = await begin("1.5.0")
    await first.act({ type: "pause", actor: human, reason: "lunch" })
    expect((await begin("1.5.0")).status().notice).toBeUndefined()
    expect((await begin("1.6.0")).status().notice).toContain("a human paused it")
    await first.act({ type: "rollback", actor: human, reason: "bad" })
    expect((await begin("1.5.0")).status().notice).toContain("`retry` gives 1.5.0 another chance")
    await first.act({ type: "contain", actor: human, reason: "stable is bad as well" })
    expect((await begin("1.5.0")).status().notice).toContain("`retry` gives 1.5.0 another chance")
    expect((await begin("1.6.0")).status().notice).toContain("only a human may")
    await first.act(lockdown)
    expect((await begin("1.5.0")).status().notice).toContain("`retry` begins again and lifts the kill")
  })
})

describe("two processes on one directory", () => {
  it("have one that moves the rollout; the other takes over when it closes; a kill of either reaches both", async () => {
    await safety(STABLE_RULES)
    const { guard: first, clock } = await open()
    await first.judge()
    const { guard: second } = await open({ clock })
    const store = fileStore({ dir: join(dir, "state") })
    const follows = () => second.judge().then(({ problem }) => problem?.includes("judges this rollout") ?? false)
    await expect.poll(follows).toBe(true)

    /** Both are asked: only `first` has calls, so `second` would hold for want of numbers. */
    const moves = async (minutes: number) => {
      for (let minute = 0; minute < minutes; minute++) {
        for (let beat = 0; beat < 12; beat++) {
          clock.advance(5000)
          first.session(`s-${clock.now()}`).evaluate({ action: "get_user" })
          await first.idle()
          await first.judge()
          await second.judge()
          await expect.poll(() => reportAge(store, clock)).toBeLessThanOrEqual(5000)
        }
      }
    }
    await moves(1)
    const by = async () => {
      const ids: string[] = []
      for await (const { last } of pastStates(store, "booking-agent"))
        if (last.event !== "init") ids.push(last.actor.id)
      return new Set(ids)
    }
    expect((await by()).size).toBe(1)
    const { revision } = first.status().state
    expect(revision).toBeLessThanOrEqual(5)

    await first.close()
    await expect.poll(follows).toBe(false)
    expect((await second.judge()).by).toBe(second.status().report?.by)
    await expect.poll(async () => (await by()).size).toBe(2)

    const { guard: third } = await open({ clock })
    await third.act(lockdown)
    await expect.poll(() => second.session("x").evaluate({ action: "get_user" }).source).toBe("lockdown")
    await second.act({ ...lockdown, position: "stable" })
    await expect.poll(() => third.status().state.kill).toBe("stable")
  })

  async function reportAge(store: StateStore, clock: ReturnType<typeof fakeClock>): Promise<number> {
    const found = await store.get(reportKey("booking-agent"))
    return clock.now() - (parseReport(found?.envelope ?? "")?.at ?? 0)
  }
})

describe("bad input", () => {
  it("an option of the wrong kind is refused by name before anything is read", async () => {
    await safety(STABLE_RULES)
    for (const judgeEveryMs of [0, -1, Number.NaN]) await expect(open({ judgeEveryMs })).rejects.toThrow(/judgeEveryMs/)
    await expect(open({ rollout: {} as unknown as string })).rejects.toThrow(/rollout must be the path/)
    const least = /^embed takes its options as an object, got undefined; write embed\(\{ rollout: .*releases: /
    await expect(embed(undefined as never)).rejects.toThrow(least)
    await expect(embed({} as never)).rejects.toThrow(/^rollout must be the path .*got undefined; `serin init`/)
    const lacks =
      /^(store|clock) must have the methods .*, got (an object without (get|now), .*|null); leave it out for /
    for (const what of ["store", "clock"]) {
      for (const value of [{}, null])
        await expect(embed({ rollout: "x", [what]: value } as never)).rejects.toThrow(lacks)
    }
    await expect(open({ releases: null as never })).rejects.toThrow(/new Map\(Object.entries/)
    await expect(open({ releases: {} as unknown as string })).rejects.toThrow(/new Map\(Object.entries/)
  })

  it("an option that there is not is refused by name", async () => {
    await safety(STABLE_RULES)
    for (const options of [{ judgeEvery: 1 }, { state: null }, { shadow: { queues: 1 } }]) {
      await expect(open(options as object)).rejects.toThrow(
        / has no option (judgeEvery|state|queues); (did you mean \w+\? )?its options are /,
      )
    }
    await expect(open({ judgeEvery: 1 } as object)).rejects.toThrow(/^embed has no option/)
  })

  it("what is no event is refused by the field, and changes nothing", async () => {
    await safety(STABLE_RULES)
    const { guard } = await open()
    const { state } = guard.status()
    await expect(guard.act({ type: "kill", position: "deny", reason: "r" } as never)).rejects.toThrow(
      /^event\.actor must be who asks: \{ kind: "human"/,
    )
    await expect(guard.act(undefined as never)).rejects.toThrow(TypeError)
    expect(guard.status().state).toBe(state)
  })

  it("no releases and no wrap: says why it denies", async () => {
    await safety(STABLE_RULES)
    const events: string[] = []
    const { guard } = await open({
      releases: undefined,
      onEvent: (event) => void events.push(event.type === "misuse" ? event.what : event.type),
    })
    expect(guard.session("a").evaluate({ action: "refund", input: {} }).outcome).toBe("deny")
    expect(events).toContain("no_releases")
    expect(events).not.toContain("unknown_release")
  })

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
