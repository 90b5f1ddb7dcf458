import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connect, embed, memoryStore } from "serin"
import type { Call, Connected, Embedded, Release, StateStore } from "serin"
import { withKillFlag } from "serin/adapters/openfeature"
import { fakeClock } from "serin/testing"
import { readState } from "../../../src/controller/verbs.js"
import { sharedSource } from "../../../src/sources/fleet.js"
import { openFlags } from "./flags.js"

const YAML = `
rollout: shop
stable: 1.0.0
canary:
  release: 2.0.0
  stages: [50, 100]
  observation_period: 2m
  shadow: { period: 1m }
  acceptance_criteria: { newly_denied_rate_max: 0.05, newly_allowed_rate_max: 0.05 }
`
const release = (version: string): Release => ({
  version,
  policy: { evaluate: () => ({ outcome: "allow", rule: version }) },
})
const releases = new Map(["1.0.0", "2.0.0"].map((version) => [version, release(version)]))
const ada = { actor: { kind: "human", id: "ada" }, reason: "a test" } as const
const kill = { event: "kill", reason: "the flag kill says so" }

let folder = ""
let clock = fakeClock()
let store: StateStore
let opened: Awaited<ReturnType<typeof openFlags>>
const running: { close(): Promise<void> }[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "serin-flag-leader-"))
  await writeFile(join(folder, "rollout.yaml"), YAML)
  clock = fakeClock()
  store = memoryStore()
  opened = await openFlags()
  opened.flags.put("kill", false)
})
afterEach(async () => {
  for (const one of running.splice(0)) await one.close()
  await rm(folder, { recursive: true, force: true })
})

const flagged = (): StateStore => withKillFlag(store, { client: opened.client, flagKey: "kill", clock })

async function lead(options: Partial<Parameters<typeof embed<Call>>[0]> = {}): Promise<Embedded> {
  const rollout = join(folder, "rollout.yaml")
  const guard = await embed<Call>({ rollout, releases, store, start: true, clock, ...options, async: false })
  running.push(guard)
  return guard
}

/** Let minutes pass: 150 sessions each, and the leader's looks at what came of them. */
async function minutes(guard: Embedded | Connected, count: number, name: string): Promise<void> {
  for (let n = 0; n < count * 30; n++) {
    for (let i = 0; i < 5; i++) guard.session(`${name}-${n}-${i}`).evaluate({ action: "x" })
    clock.advance(2000)
    await clock.settle()
  }
}

/** Which releases serve sessions that begin now. */
const serving = (guard: Embedded | Connected, name: string): string[] => {
  const rules = Array.from({ length: 30 }, (_, i) => guard.session(`${name}-${i}`).evaluate({ action: "x" }).rule ?? "")
  return [...new Set(rules)].toSorted()
}

describe("a kill by flag in the process that leads", () => {
  it("arrives, is not undone by the leader, is seen in status, and ends with the flag, where the rollout stood", async () => {
    const guard = await lead({ store: flagged() })
    await guard.act({ type: "promote", ...ada })
    await minutes(guard, 1, "before")
    expect(guard.status().phase).toMatchObject({ phase: "canary", weightBp: 5000 })
    const before = await readState(store, "shop")

    opened.flags.set("kill", true)
    await clock.settle()
    expect(guard.status()).toMatchObject({ phase: { phase: "killed", position: "stable" }, state: { last: kill } })
    expect(serving(guard, "during")).toEqual(["1.0.0"])
    await minutes(guard, 3, "killed")
    expect((await guard.judge()).problem).toBeUndefined()
    expect(guard.status()).toMatchObject({ phase: { phase: "killed" }, state: { kill: "stable", last: kill } })
    expect(await readState(store, "shop")).toEqual(before)

    opened.flags.set("kill", false)
    await minutes(guard, 0.1, "released")
    expect(guard.status().phase).toMatchObject({ phase: "canary", weightBp: 5000 })
    expect(serving(guard, "during"), "who was moved stays").toEqual(["1.0.0"])
    expect(serving(guard, "after")).toEqual(["1.0.0", "2.0.0"])
    await minutes(guard, 4, "on")
    expect(guard.status().phase.phase).not.toBe("killed")
    expect((await readState(store, "shop"))?.ramp.at(-1)?.weightBp).toBe(10_000)
  })

  it("holds for a process that starts anew, whose leader starts nothing and lifts nothing", async () => {
    const first = await lead({ store: flagged() })
    await first.act({ type: "promote", ...ada })
    await minutes(first, 1, "before")
    const before = await readState(store, "shop")
    opened.flags.set("kill", true)
    await clock.settle()
    await first.close()

    const second = await lead({ store: flagged() })
    await minutes(second, 1, "killed")
    expect(second.status()).toMatchObject({ phase: { phase: "killed" }, state: { last: kill } })
    expect(serving(second, "new")).toEqual(["1.0.0"])
    const after = await readState(store, "shop")
    expect({ ...after, epoch: 0, revision: 0, last: 0 }).toEqual({ ...before, epoch: 0, revision: 0, last: 0 })
  })

  it("lets a human end the rollout for good meanwhile, which stays when the flag lets go", async () => {
    const guard = await lead({ store: flagged() })
    await guard.act({ type: "promote", ...ada })
    await minutes(guard, 1, "before")
    opened.flags.set("kill", true)
    await clock.settle()
    await guard.act({ type: "kill", position: "stable", ...ada, reason: "INC-7" })
    expect(guard.status().state.last.reason).toBe("INC-7")
    opened.flags.set("kill", false)
    await minutes(guard, 1, "after")
    expect(guard.status()).toMatchObject({ phase: { phase: "killed" }, state: { last: { reason: "INC-7" } } })
    expect(serving(guard, "new")).toEqual(["1.0.0"])
  })
})

describe("a kill by flag in processes that follow a leader elsewhere", () => {
  async function fleet() {
    const source = sharedSource({ store, rollout: "shop", clock })
    const leader = await lead({ source })
    const follower = await connect<Call>({
      rollout: "shop",
      store: flagged(),
      evidence: store,
      releases,
      bootstrap: "1.0.0",
      lastKnownGood: false,
      clock,
    })
    running.push(follower)
    await leader.act({ type: "promote", ...ada })
    await minutes(follower, 1, "before")
    expect(follower.status().phase).toMatchObject({ phase: "canary" })
    return { leader, follower }
  }

  it("is seen in theirs, moves nothing in the store, and the leader goes on when the flag lets go", async () => {
    const { leader, follower } = await fleet()
    const before = await readState(store, "shop")
    opened.flags.set("kill", true)
    await clock.settle()
    expect(follower.status()).toMatchObject({ phase: { phase: "killed", position: "stable" }, state: { last: kill } })
    await minutes(follower, 3, "killed")
    expect(serving(follower, "during")).toEqual(["1.0.0"])
    // It has no evidence of a canary that nobody is served by, and so it neither advances nor takes anything back.
    expect(leader.status()).toMatchObject({ phase: { phase: "canary", weightBp: 5000 }, state: { kill: "off" } })
    expect(leader.status().state.holds.map(({ reason }) => reason)).toContain("inconclusive")
    expect((await readState(store, "shop"))?.ramp).toEqual(before?.ramp)

    opened.flags.set("kill", false)
    await minutes(follower, 0.2, "released")
    expect(follower.status().phase).toMatchObject({ phase: "canary" })
    expect(serving(follower, "after")).toEqual(["1.0.0", "2.0.0"])
    await minutes(follower, 4, "on")
    expect((await readState(store, "shop"))?.ramp.at(-1)?.weightBp).toBe(10_000)
  })
})
