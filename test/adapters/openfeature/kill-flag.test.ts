import { ProviderEvents } from "@openfeature/server-sdk"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { withKillFlag } from "../../../src/adapters/openfeature.js"
import type { KillFlagOptions } from "../../../src/adapters/openfeature.js"
import { createWritingFollower } from "../../../src/controller/writing-follower.js"
import { packEvidence } from "../../../src/evidence/packed.js"
import type { ReadStore } from "../../../src/rollout/store.js"
import { trustedStore } from "../../../src/stores/trusted.js"
import { signedStore } from "../../../src/stores/signed.js"
import { memoryStore } from "../../../src/stores/memory.js"
import { drain } from "../../../src/testing/outcome.js"
import { createFleet } from "../../controller/fleet.js"
import { keyPair, trusting, type KeyPair } from "../../signing/keys.js"
import { openFlags } from "./flags.js"
import type { Weather } from "./flags.js"

let fleet = createFleet()
let opened: Awaited<ReturnType<typeof openFlags>>
let dir = ""
beforeEach(async () => {
  fleet = createFleet()
  opened = await openFlags()
  dir = await mkdtemp(join(tmpdir(), "serin-flag-"))
})
afterEach(async () => {
  await fleet.close()
  await rm(dir, { recursive: true, force: true })
})

const guarded = (options: Partial<KillFlagOptions> = {}, store: ReadStore = fleet.store) =>
  withKillFlag(store, { client: opened.client, flagKey: "kill", clock: fleet.clock, ...options })

/** Let time pass, and everybody have their answers. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await fleet.pass(500)
    await fleet.clock.settle()
  }
}

/** A process with a live canary and a flag that does not kill. */
async function live(options: Partial<KillFlagOptions> = {}, off: unknown = false) {
  opened.flags.put("kill", off)
  await fleet.begin()
  fleet.lead(true)
  const store = guarded(options)
  const process = await fleet.process({ store, lastKnownGood: join(dir, "kept.json") })
  await pass(3000)
  expect(process.canary()).toBe(true)
  return { ...process, store }
}

describe("a kill flag", () => {
  it("puts every session on stable at once, and back when it is switched off, with no alarm and nothing written", async () => {
    const { guard, canary, problem, events, serves } = await live()
    const before = await fleet.state()
    opened.flags.set("kill", true)
    await fleet.clock.settle()
    expect(canary()).toBe(false)
    expect(serves()).toMatchObject({ arm: "stable", release: "1.0.0", outcome: "allow" })
    expect(guard.status().phase).toMatchObject({ phase: "killed", position: "stable" })
    expect(guard.status().state?.last).toMatchObject({ event: "kill", reason: "the flag kill says so" })
    await pass(10_000)
    expect(canary()).toBe(false)
    opened.flags.set("kill", false)
    await pass(3000)
    expect(canary()).toBe(true)
    expect(problem()).toBeUndefined()
    expect(events.filter(({ type }) => type === "problem")).toEqual([])
    expect(await fleet.state()).toEqual(before)
  })

  it("keeps those who were moved, and those they would be compared with, out of the evidence", async () => {
    const { guard } = await live()
    opened.flags.set("kill", true)
    await fleet.clock.settle()
    const sessions = Array.from({ length: 100 }, (_, i) => guard.session(`during-${i}`))
    for (const killed of [true, false]) {
      opened.flags.set("kill", killed)
      await pass(3000)
      const before = packEvidence(guard.evidence())
      for (const session of sessions) expect(session.evaluate({ action: "x" })).toMatchObject({ arm: "stable" })
      expect(packEvidence(guard.evidence())).toEqual(before)
    }
  })

  it("is heard of with the next look where the provider tells nobody", async () => {
    const { canary } = await live()
    opened.flags.put("kill", true)
    await pass(6000)
    expect(canary()).toBe(false)
  })

  it.each(["down", "stalled", "frozen"] as const)("arrives at once although the store is %s", async (weather) => {
    const { canary, guard } = await live()
    fleet.turn(weather)
    await pass(1000)
    expect(canary()).toBe(true)
    opened.flags.set("kill", true)
    await fleet.clock.settle()
    expect(canary()).toBe(false)
    expect(guard.status().phase).toMatchObject({ phase: "killed" })
  })

  it("denies every call, where a true means that", async () => {
    const { serves } = await live({ position: "deny" })
    opened.flags.set("kill", true)
    await fleet.clock.settle()
    expect(serves()).toMatchObject({ source: "lockdown", outcome: "deny" })
  })

  it("says as an object which kill, and why", async () => {
    const { guard, serves } = await live({ type: "object" }, { kill: "off" })
    opened.flags.set("kill", { kill: "deny", reason: "INC-7" })
    await fleet.clock.settle()
    expect(serves().source).toBe("lockdown")
    expect(guard.status().state?.last.reason).toBe("the flag kill says so: INC-7")
    opened.flags.set("kill", { kill: "stable" })
    await fleet.clock.settle()
    expect(guard.status().phase).toMatchObject({ phase: "killed", position: "stable" })
  })

  it("lifts no kill of the store's, and makes it no weaker", async () => {
    const { serves, guard } = await live()
    await fleet.kill("deny")
    for (const value of [false, true, false]) {
      opened.flags.set("kill", value)
      await pass(6000)
      expect(serves().source).toBe("lockdown")
    }
    expect(guard.status().state).toEqual(await fleet.state())
  })

  it("ends no containment: the stricter of both answers is stricter than stable's", async () => {
    const { guard } = await live()
    await fleet.elsewhere({ type: "contain", actor: { kind: "human", id: "ada" }, reason: "a test" })
    await pass(6000)
    opened.flags.set("kill", true)
    await fleet.clock.settle()
    expect(guard.status().phase).toMatchObject({ phase: "contained" })
  })

  it("still holds below a refused kill of the store's, which holds when the flag lets go", async () => {
    const { guard } = await live()
    const state = await fleet.state()
    opened.flags.set("kill", true)
    await fleet.clock.settle()
    fleet.forge(JSON.stringify({ ...state, kill: "stable", revision: state.revision - 1 }))
    await pass(6000)
    opened.flags.set("kill", false)
    for (let i = 0; i < 10; i++) await Promise.resolve()
    expect(guard.status().phase).toMatchObject({ phase: "killed" })
  })
})

describe("a kill flag without an answer", () => {
  const WEATHERS: readonly Weather[] = ["fails", "throws", "hangs", "nonsense", "stale"]

  it("keeps what it said last, whatever takes the answer away", async () => {
    for (const killed of [true, false]) {
      const { canary, store } = await live()
      opened.flags.set("kill", killed)
      await pass(3000)
      const answeredAt = store.killFlag().answeredAt
      const losses: readonly (readonly [weather: Weather, lose?: () => void])[] = [
        ...WEATHERS.map((weather) => [weather] as const),
        ["fine", () => opened.flags.drop("kill")],
        ["fine", () => opened.flags.set("kill", undefined)],
        ["fine", () => opened.flags.set("kill", "yes")],
        ["fine", () => opened.client.addHooks({ before: () => Promise.reject(new Error("a hook's own fault")) })],
      ]
      for (const [weather, lose] of losses) {
        opened.flags.put("kill", weather === "stale" ? false : undefined)
        opened.flags.weather = weather
        lose?.()
        await pass(5500)
        expect(canary()).toBe(!killed)
        expect(store.killFlag()).toMatchObject({ position: killed ? "stable" : "off" })
        if (weather !== "hangs") expect(store.killFlag().problem).toBeDefined()
      }
      expect(store.killFlag().answeredAt).toBeGreaterThanOrEqual(answeredAt ?? 0)
      await fleet.close()
      fleet = createFleet()
      opened = await openFlags()
    }
  })

  it("kills also by what is stale, which lifts nothing and makes nothing weaker", async () => {
    const { canary, store } = await live({ type: "object" }, { kill: "off" })
    const { flags } = opened
    flags.events.emit(ProviderEvents.Stale)
    flags.set("kill", { kill: "deny" })
    await fleet.clock.settle()
    expect(store.killFlag()).toMatchObject({ position: "deny", problem: "the provider is STALE" })
    for (const kill of ["stable", "off"]) {
      flags.set("kill", { kill })
      await pass(6000)
      expect(store.killFlag().position).toBe("deny")
    }
    flags.events.emit(ProviderEvents.Ready)
    await pass(3000)
    expect(store.killFlag()).toMatchObject({ position: "off", problem: undefined })
    expect(canary()).toBe(true)
  })

  it("holds the canary back until it has one: a process that starts lifts no kill", async () => {
    await fleet.begin()
    fleet.lead(true)
    opened.flags.weather = "fails"
    const store = guarded()
    const process = await fleet.process({ store })
    await pass(6000)
    expect(process.canary()).toBe(false)
    expect(process.serves()).toMatchObject({ release: "1.0.0", outcome: "allow" })
    expect(process.guard.status().state?.last.reason).toBe("the flag kill has not answered yet")
    expect(store.killFlag()).toMatchObject({ answeredAt: null, problem: expect.stringContaining("connection refused") })
    opened.flags.weather = "fine"
    opened.flags.set("kill", false)
    await pass(6000)
    expect(process.canary()).toBe(true)
  })

  it("holds nothing back, if that is asked for", async () => {
    await fleet.begin()
    fleet.lead(true)
    const process = await fleet.process({ store: guarded({ untilAnswered: "off" }) })
    await pass(3000)
    expect(process.canary()).toBe(true)
  })

  it("keeps the store waiting for no longer than it may, and counts when it comes", async () => {
    const { canary, guard } = await live()
    opened.flags.weather = "hangs"
    opened.flags.put("kill", true)
    await fleet.elsewhere({ type: "pause", actor: { kind: "human", id: "ada" }, reason: "a test" })
    await pass(6000)
    expect(guard.status().state?.holds).toHaveLength(1)
    expect(canary()).toBe(true)
    opened.flags.weather = "fine"
    opened.flags.release()
    await fleet.clock.settle()
    expect(canary()).toBe(false)
  })

  it("goes by the answer that was asked for last, in whichever order they come", async () => {
    const { store } = await live({ type: "object" }, { kill: "off" })
    const { flags } = opened
    let asked = 0
    const values = [{ kill: "stable" }, { kill: "off" }]
    const held: ((value: unknown) => void)[] = []
    flags.resolveObjectEvaluation = () => {
      asked += 1
      return new Promise((resolve) => held.push((value) => resolve({ value: value as never })))
    }
    flags.set("kill", {})
    flags.set("kill", {})
    await fleet.clock.settle()
    expect(asked).toBe(2)
    held[1]?.(values[1])
    await fleet.clock.settle()
    held[0]?.(values[0])
    await fleet.clock.settle()
    expect(store.killFlag().position).toBe("off")
  })
})

describe("a kill flag around a store", () => {
  const ada = keyPair() as KeyPair

  it("whose documents are signed stands outside of the signature, on either side of it", async () => {
    const trust = { trustedKeys: trusting(ada) }
    const inner = memoryStore()
    const signed = signedStore(inner, { ...trust, signWith: ada.privatePem })
    await fleet.begin()
    const revisions = (await drain(fleet.inner.history("demo/state"))).toReversed()
    for (const { revision, envelope } of revisions) await signed.compareAndSet("demo/state", revision - 1, envelope)
    opened.flags.put("kill", false)
    const stores = [guarded({}, trustedStore(inner, trust)), trustedStore(guarded({}, inner), trust)]
    for (const store of stores) {
      opened.flags.set("kill", false)
      const { guard, problem } = await fleet.process({ store })
      await fleet.clock.settle()
      expect(guard.status().phase).toMatchObject({ phase: "canary" })
      opened.flags.set("kill", true)
      await fleet.clock.settle()
      expect(guard.status().phase).toMatchObject({ phase: "killed" })
      expect(problem()).toBeUndefined()
    }
  })

  it("that has another flag obeys the stricter of both", async () => {
    await fleet.begin()
    opened.flags.put("kill", true)
    opened.flags.put("lockdown", true)
    const both = guarded({ flagKey: "lockdown", position: "deny" }, guarded())
    const { guard } = await fleet.process({ store: both })
    await fleet.clock.settle()
    expect(guard.status().phase).toMatchObject({ position: "deny" })
    opened.flags.set("lockdown", false)
    await fleet.clock.settle()
    expect(guard.status().phase).toMatchObject({ position: "stable" })
  })

  it("that is written to writes what the store says, without the flag", async () => {
    await fleet.begin()
    opened.flags.put("kill", true)
    const store = withKillFlag(fleet.inner, { client: opened.client, flagKey: "kill", clock: fleet.clock })
    const making = createWritingFollower({ store, rollout: "demo", clock: fleet.clock })
    await fleet.settled(making)
    const follower = await making
    expect(follower.current()?.kill).toBe("stable")
    await follower.act({ type: "pause", actor: { kind: "human", id: "ada" }, reason: "a test" })
    expect(await fleet.state()).toMatchObject({ kill: "off", holds: [{ reason: "paused" }] })
    expect(follower.current()).toMatchObject({ kill: "stable", holds: [{ reason: "paused" }] })
    await follower.act({ type: "kill", position: "stable", actor: { kind: "human", id: "ada" }, reason: "for good" })
    expect(await fleet.state()).toMatchObject({ kill: "stable", last: { reason: "for good" } })
    follower.close()
  })

  it.each([
    ["no store", [undefined, { flagKey: "kill" }], /^store must have the methods get, watch/],
    ["no flag", [memoryStore(), {}], /^flagKey must be the name of a flag, got undefined/],
    ["a type of no flag", [memoryStore(), { flagKey: "a", type: "string" }], /^type must be boolean or object/],
    ["a position that is none", [memoryStore(), { flagKey: "a", position: "off" }], /^position must be stable or deny/],
    ["a position of an object", [memoryStore(), { flagKey: "a", type: "object", position: "deny" }], /says it itself/],
    ["a wait that is none", [memoryStore(), { flagKey: "a", timeoutMs: 0 }], /^timeoutMs must be a number of ms/],
    ["an unknown option", [memoryStore(), { flagKey: "a", postion: "deny" }], /did you mean position\?/],
  ] as const)("refuses %s", (_, [store, options], message) => {
    expect(() => withKillFlag(store as never, { client: opened.client, ...options } as never)).toThrow(message)
  })
})
