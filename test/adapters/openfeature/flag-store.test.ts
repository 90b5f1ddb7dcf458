import { NOOP_PROVIDER, OpenFeature, ProviderEvents } from "@openfeature/server-sdk"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { openFeatureStore } from "../../../src/adapters/openfeature.js"
import type { OpenFeatureStoreOptions } from "../../../src/adapters/openfeature.js"
import { trustedStore } from "../../../src/stores/trusted.js"
import { codeOf } from "../../../src/testing/outcome.js"
import { createFleet } from "../../controller/fleet.js"
import { keyPair, sealed, trusting, type KeyPair } from "../../signing/keys.js"
import { openFlags } from "./flags.js"

type Opened = Awaited<ReturnType<typeof openFlags>>

let fleet = createFleet()
let opened: Opened
beforeEach(async () => {
  fleet = createFleet()
  opened = await openFlags()
})
afterEach(() => fleet.close())

const flagOf: Readonly<Record<string, string>> = { "demo/state": "rollout", "demo/leader": "leader" }
const storeOf = ({ client }: Opened) => openFeatureStore({ client, flagKey: (key) => flagOf[key] })

/** The flags that say what the store of a fleet says. */
async function copy(): Promise<void> {
  for (const [key, flag] of Object.entries(flagOf)) {
    const found = await fleet.inner.get(key)
    if (found !== null) opened.flags.set(flag, JSON.parse(found.envelope) as unknown)
  }
}

/** Let time pass; a leader beats, and somebody writes what it says into the flags. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1000) {
    await fleet.pass(1000)
    await copy()
    await fleet.clock.settle()
  }
}

/** A process that follows flags, with a live canary. */
async function live() {
  await fleet.begin()
  fleet.lead(true)
  await copy()
  const process = await fleet.process({ store: storeOf(opened) })
  await pass(3000)
  expect(process.canary()).toBe(true)
  return process
}

describe("a rollout in flags", () => {
  it("is followed: state and beats, a kill at once, without a poll", async () => {
    const process = await live()
    expect(process.problem()).toBeUndefined()
    await fleet.kill("deny")
    await copy()
    await fleet.clock.settle()
    expect(process.serves().source).toBe("lockdown")
  })

  it("stays as it is while the provider gives nothing, and the canary ends with its lease", async () => {
    for (const weather of ["fails", "throws", "nonsense", "stale", "hangs"] as const) {
      fleet = createFleet()
      opened = await openFlags()
      const process = await live()
      opened.flags.weather = weather
      await pass(8000)
      expect(process.canary()).toBe(true)
      expect(process.problem()).toBe("store_unreachable")
      await pass(12_000)
      expect(process.canary()).toBe(false)
      expect(process.leaseProblem()).toBe("canary_lease_expired")
      expect(process.guard.status().phase).toMatchObject({ phase: "canary" })
      opened.flags.weather = "fine"
      opened.flags.release()
      await pass(10_000)
      expect(process.problem()).toBeUndefined()
      expect(process.canary()).toBe(true)
      await fleet.close()
    }
  })

  it("keeps its kill when the flag is gone, is switched off, or says that there is no rollout", async () => {
    const process = await live()
    await fleet.kill()
    await copy()
    await fleet.clock.settle()
    fleet.lead(false)
    for (const lose of [
      () => opened.flags.drop("rollout"),
      ...[undefined, {}, 1].map((value) => () => opened.flags.set("rollout", value)),
    ]) {
      lose()
      await fleet.pass(6000)
      expect(process.guard.status().phase).toMatchObject({ phase: "killed" })
      expect(process.canary()).toBe(false)
    }
  })

  it("is no rollout yet while the flag holds an empty object", async () => {
    opened.flags.set("rollout", {})
    const process = await fleet.process({ store: storeOf(opened) })
    expect(process.problem()).toBeUndefined()
    expect(process.guard.status().state).toBeNull()
    expect(process.serves()).toMatchObject({ release: "0.9.0" })
  })

  it("that is no state is refused by the parser of states", async () => {
    const process = await live()
    for (const value of [
      { format: "serin/state/1" },
      "{",
      [],
      JSON.parse('{"__proto__": {"kill": "off"}}') as unknown,
    ]) {
      opened.flags.set("rollout", value)
      await fleet.clock.settle()
      expect(process.problem()).toBe("rejected_invalid")
    }
    opened.flags.set("rollout", {
      ...(await fleet.state()),
      rollout: "other",
      spec: { ...(await fleet.state()).spec, rollout: "other" },
    })
    await fleet.clock.settle()
    expect(process.problem()).toBe("rejected_other_rollout")
  })

  it("serves no canary where the leader's document is in no flag", async () => {
    await fleet.begin()
    fleet.lead(true)
    await copy()
    const process = await fleet.process({ store: openFeatureStore({ client: opened.client, flagKey: "rollout" }) })
    await pass(20_000)
    expect(process.problem()).toBeUndefined()
    expect(process.guard.status().phase).toMatchObject({ phase: "canary" })
    expect(process.canary()).toBe(false)
    expect(process.leaseProblem()).toBe("canary_lease_expired")
  })
})

describe("openFeatureStore", () => {
  it("gives the same text for the same document, in whichever order a provider has its keys", async () => {
    const store = storeOf(opened)
    opened.flags.set("rollout", { revision: 7, b: { d: [1, { f: null, e: true }], c: "x" }, a: 1.5 })
    const first = await store.get("demo/state")
    opened.flags.set("rollout", { a: 1.5, b: { c: "x", d: [1, { e: true, f: null }] }, revision: 7 })
    expect(await store.get("demo/state")).toEqual(first)
    expect(first?.revision).toBe(7)
    expect(JSON.parse(first?.envelope ?? "")).toEqual({
      revision: 7,
      b: { d: [1, { f: null, e: true }], c: "x" },
      a: 1.5,
    })
  })

  it("takes a signed document as an object and as a text, and a state by hand is not trusted", async () => {
    const [ana, mallory] = [keyPair(), keyPair()] as [KeyPair, KeyPair]
    const store = trustedStore(storeOf(opened), { trustedKeys: trusting(ana) })
    const text = JSON.stringify({ format: "serin/state/1", revision: 3 })
    const signed = sealed("demo/state", text, [ana])
    for (const value of [signed, JSON.parse(signed) as unknown]) {
      opened.flags.set("rollout", value)
      expect(await store.get("demo/state")).toMatchObject({ revision: 3, envelope: text })
    }
    for (const value of [text, JSON.parse(text) as unknown, sealed("demo/state", text, [mallory])]) {
      opened.flags.set("rollout", value)
      expect(await codeOf(store.get("demo/state"))).toBe("STATE_UNTRUSTED")
    }
  })

  it("has nothing, and does not say that there is nothing, without a value of the provider's own", async () => {
    const { flags, client, domain } = opened
    const store = storeOf(opened)
    const why = () =>
      store.get("demo/state").then(
        () => "a value",
        (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
      )
    expect(await why()).toContain("STORE_UNAVAILABLE: the flag rollout gives no document: FLAG_NOT_FOUND")
    flags.set("rollout", undefined)
    expect(await why()).toContain("the provider has no value for it (DEFAULT)")
    for (const [value, what] of [
      [1, "number"],
      [true, "boolean"],
    ]) {
      flags.set("rollout", value)
      expect(await why()).toContain(`it is a ${what}`)
    }
    const cyclic: Record<string, unknown> = {}
    cyclic["self"] = cyclic
    for (const value of [
      cyclic,
      { f: () => {} },
      { n: Number.NaN },
      { text: "x".repeat(600_000) },
      "x".repeat(600_000),
    ]) {
      flags.set("rollout", value)
      expect(await why()).toContain("it is no JSON, too deep or over 524288 characters long")
    }
    flags.set("rollout", { revision: 1 })
    expect(await why()).toBe("a value")
    for (const event of [ProviderEvents.Stale, ProviderEvents.Error]) {
      flags.events.emit(event)
      expect(await why()).toContain(`the provider is ${client.providerStatus}`)
    }
    flags.events.emit(ProviderEvents.Ready)
    expect(await why()).toBe("a value")
    const never = new (flags.constructor as new () => typeof flags & { initialize?: () => Promise<void> })()
    never.initialize = () => new Promise(() => {})
    OpenFeature.setProvider(domain, never)
    expect(await why()).toContain("PROVIDER_NOT_READY")
    await OpenFeature.setProviderAndWait(domain, NOOP_PROVIDER)
    expect(await why()).toContain("the provider has no value for it (No-op)")
  })

  it("is not misled by a hook that throws", async () => {
    const { flags, client } = opened
    flags.set("rollout", { revision: 1 })
    client.setLogger({ error() {}, warn() {}, info() {}, debug() {} })
    for (const stage of ["before", "after", "error", "finally"] as const) {
      client.clearHooks().addHooks({
        [stage]() {
          throw new Error("a hook's own fault")
        },
      })
      const isFatal = stage === "before" || stage === "after"
      expect(await codeOf(storeOf(opened).get("demo/state"))).toBe(isFatal ? "STORE_UNAVAILABLE" : undefined)
    }
  })

  it("drops what comes after its caller gave up", async () => {
    opened.flags.set("rollout", { revision: 1 })
    opened.flags.weather = "hangs"
    const patience = new AbortController()
    const reading = storeOf(opened).get("demo/state", { signal: patience.signal })
    patience.abort()
    expect(await codeOf(reading)).toBe("STORE_UNAVAILABLE")
  })

  it("leaves nobody listening when its watch ends", async () => {
    const { client, flags } = opened
    const before = flags.events.getHandlers(ProviderEvents.ConfigurationChanged).length
    const stop = new AbortController()
    storeOf(opened).watch("demo/state", () => {}, { signal: stop.signal })
    expect(client.getHandlers(ProviderEvents.ConfigurationChanged)).toHaveLength(1)
    stop.abort()
    expect(client.getHandlers(ProviderEvents.ConfigurationChanged)).toHaveLength(0)
    expect(flags.events.getHandlers(ProviderEvents.ConfigurationChanged).length).toBe(before)
  })

  it.each([
    ["no client", { client: undefined, flagKey: "a" }, /^client must have the methods .*OpenFeature\.getClient\(\)/],
    ["no flag", { flagKey: "" }, /^flagKey must be the name of a flag, got an empty text/],
    ["an unknown option", { flagKey: "a", contxt: {} }, /did you mean context\?/],
  ])("refuses %s", (_, options, message) => {
    const given = { client: opened.client, ...options } as unknown as OpenFeatureStoreOptions
    expect(() => openFeatureStore(given)).toThrow(message)
    expect(() => openFeatureStore(given)).toThrow(TypeError)
  })
})
