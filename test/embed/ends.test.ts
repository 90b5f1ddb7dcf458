import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import { embed } from "../../src/embed.js"
import type { Embedded } from "../../src/embed.js"
import type { Call } from "../../src/model/call.js"
import type { Effect } from "../../src/model/decision.js"
import type { Release } from "../../src/release/ports.js"
import { memoryStore } from "../../src/stores/memory.js"
import { NAME, useBench } from "../cli/harness.js"
import { total } from "../guard/harness.js"

const bench = useBench()
const running: Embedded[] = []
afterEach(async () => {
  for (const guard of running.splice(0)) await guard.close()
})

const release = (version: string, evaluate: (n: number) => Effect): Release => ({
  version,
  policy: { evaluate: ({ input }) => evaluate((input as { n: number }).n) },
})
const allows: Effect = "allow"

interface Given {
  readonly lines?: readonly string[]
  readonly criteria?: string
  readonly canary?: (n: number) => Effect
  readonly store?: ReturnType<typeof memoryStore>
}

/** A rollout whose stable release allows everything, started in this process. */
async function begin({ lines = [], criteria, canary = () => allows, store = memoryStore() }: Given = {}) {
  const own = ["observation_period: 10m", "min_sessions: 10", ...lines].map((line) => `  ${line}\n`).join("")
  const limits = criteria ?? "newly_denied_rate_max: 0.05"
  await bench().write(
    "safety/rollout.yaml",
    `rollout: ${NAME}\nstable: 1.4.0\ncanary:\n  release: 1.5.0\n  acceptance_criteria: { ${limits} }\n${own}`,
  )
  return open(canary, store)
}

async function open(canary: (n: number) => Effect, store: ReturnType<typeof memoryStore>) {
  const releases = new Map([
    ["1.4.0", release("1.4.0", () => "allow")],
    ["1.5.0", release("1.5.0", canary)],
  ])
  const rollout = join(bench().cwd, "safety/rollout.yaml")
  const guard = await embed({ rollout, releases, store, start: true, clock: bench().clock })
  running.push(guard)
  return guard
}

/** Sessions of ten calls, one every ten seconds, judged at the end of every minute. */
async function traffic(guard: Embedded, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    for (let i = 0; i < 6; i++) {
      bench().clock.advance(10_000)
      const session = guard.session(`${bench().clock.now()}`)
      for (let n = 0; n < 10; n++) session.evaluate({ action: "pay", input: { n } })
    }
    await guard.idle()
    await guard.judge()
  }
}

/** By the folder's watch, or by the look that each process takes every five seconds. */
const hears = (guard: Embedded, phase: string) =>
  expect
    .poll(
      () => {
        bench().clock.advance(1000)
        return guard.status().phase.phase
      },
      { timeout: 20_000, interval: 10 },
    )
    .toBe(phase)

const escalates = (n: number): Effect => (n < 3 ? "escalate" : "allow")

describe("a limit on escalations", () => {
  const limit = "escalate_rate_delta_max"

  it("rolls back a canary that escalates more, and names itself", async () => {
    const guard = await begin({ criteria: `${limit}: 0.02`, canary: escalates })
    await traffic(guard, 30)
    const { phase, state } = guard.status()
    expect(phase.phase).toBe("rolled_back")
    expect(state.last.reason).toContain(limit)
  })

  it("with on_failure: hold, holds it where it is", async () => {
    const guard = await begin({ criteria: `${limit}: 0.02`, canary: escalates, lines: ["on_failure: hold"] })
    await traffic(guard, 15)
    const { phase, state } = guard.status()
    expect(phase.phase).toBe("shadow")
    expect(state.holds.map(({ reason }) => reason)).toContain("breach")
  })

  it("with mode: notify, is judged and stops nothing", async () => {
    const criteria = `${limit}: { max: 0.02, mode: notify }, newly_denied_rate_max: 0.05`
    const guard = await begin({ criteria, canary: escalates })
    await traffic(guard, 15)
    const { phase, report } = guard.status()
    expect(phase.phase).toBe("canary")
    const notified = report?.verdict?.criteria.find(({ criterion }) => criterion === limit)
    expect(notified).toMatchObject({ mode: "notify", result: "breach" })
  })
})

describe("a stage of its own people, in the file", () => {
  it("serves them alone, and pinned sessions beside them", async () => {
    const stages = "stages: [{ percentage: 50, eligible: { tier: internal } }, 100]"
    const lines = ["shadow: false", stages, "pins: { canary: [nightly] }"]
    const guard = await begin({ criteria: "error_rate_delta_max: 0.01", lines })
    bench().clock.advance(10_000)
    const arms = (tier: string) =>
      new Set(Array.from({ length: 40 }, (_, i) => guard.session(`${tier}-${i}`, { attributes: { tier } }).arm))
    expect(arms("internal")).toEqual(new Set(["stable", "canary"]))
    expect(arms("paying")).toEqual(new Set(["stable"]))
    expect(guard.session("nightly").arm).toBe("canary")
  })
})

describe("on_no_data: rollback", () => {
  it("gives up a rollout that nobody's calls reach for the period of a stage", async () => {
    const guard = await begin({ lines: ["on_no_data: rollback", "shadow: { period: 10m }"] })
    for (let minute = 0; minute < 9; minute++) {
      bench().clock.advance(60_000)
      await guard.judge()
    }
    expect(guard.status().phase.phase).toBe("shadow")
    bench().clock.advance(5 * 60_000)
    await guard.judge()
    expect(guard.status()).toMatchObject({ phase: { phase: "rolled_back" }, state: { last: { event: "rollback" } } })
    expect(guard.status().state.last.reason).toContain("no evidence")
  })
})

describe("a completed rollout", () => {
  it("is taken back by the command: running sessions and new ones are the old release's at once, after a restart too", async () => {
    const store = bench().store
    const guard = await begin({ store })
    expect((await bench().serin("promote", "--to", "end", "--reason", "seen enough")).out).toContain("promoted")
    bench().clock.advance(15_000)
    const call = { action: "pay", input: { n: 1 } }
    await hears(guard, "promoted")
    const before = guard.session("running")
    expect(before.evaluate(call)).toMatchObject({ arm: "canary", release: "1.5.0" })
    const restarted = await open(() => "allow", store)
    expect(restarted.session("elsewhere").evaluate(call).release).toBe("1.5.0")

    const back = await bench().serin("rollback", "--reason", "refunds are denied")
    expect(back.out).toContain("rolled back (was promoted)")
    expect(back.out).toContain("1.4.0 serves every session from its next call on")
    for (const process of [guard, restarted]) {
      await hears(process, "rolled_back")
      expect(process.session("new").evaluate(call).release).toBe("1.4.0")
    }
    expect(before.evaluate(call)).toMatchObject({ arm: "stable", release: "1.4.0" })
    const again = await open(() => "allow", store)
    expect(again.session("later").evaluate(call).release).toBe("1.4.0")
    expect(again.status().notice).toContain("`retry` gives 1.5.0 another chance")
  })
})

describe("the end of an embedded rollout", () => {
  it("counts the pairs of calls that still waited for the other arm", async () => {
    const guard = await begin()
    for (let n = 0; n < 5; n++) guard.session(`s-${n}`).evaluate({ action: "pay", input: { n } })
    expect([guard.status().shadow.waiting, total(guard.evidence(), "pairs")]).toEqual([5, 0])
    await guard.close()
    expect([guard.status().shadow.waiting, total(guard.evidence(), "pairs")]).toEqual([0, 5])
  })

  it("waits a second for a canary that is slow, counts what comes in that time, and nothing of what does not", async () => {
    const { clock } = bench()
    await begin().then((guard) => guard.close())
    let answer = (_effect: Effect): void => {}
    const slow = (n: number): Promise<Effect> => new Promise((resolve) => n === 1 && (answer = resolve))
    const policy = (evaluate: (n: number) => Effect | Promise<Effect>) => ({
      evaluate: ({ input }: Call) => evaluate((input as { n: number }).n),
    })
    const guard = await embed({
      rollout: join(bench().cwd, "safety/rollout.yaml"),
      releases: new Map([
        ["1.4.0", { version: "1.4.0", policy: policy(() => "allow") }],
        ["1.5.0", { version: "1.5.0", policy: policy(slow) }],
      ]),
      store: memoryStore(),
      start: true,
      async: true,
      timeoutMs: 60_000,
      clock,
    })
    for (const n of [1, 2]) await guard.session(`s-${n}`).evaluate({ action: "pay", input: { n } })
    // Both are asked in a turn of their own.
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
    let isClosed = false
    const closed = guard.close().then(() => (isClosed = true))
    await clock.settle()
    clock.advance(500)
    answer("allow")
    await clock.settle()
    clock.advance(499)
    await clock.settle()
    expect(isClosed).toBe(false)
    clock.advance(1)
    await closed
    expect(total(guard.evidence(), "pairs")).toBe(1)
  })
})
