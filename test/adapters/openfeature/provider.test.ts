import { AsyncLocalStorageTransactionContextPropagator, OpenFeature, ProviderEvents } from "@openfeature/server-sdk"
import type { Client, Provider } from "@openfeature/server-sdk"
import { context, trace } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { serinContext, serinHook, serinProvider } from "../../../src/adapters/openfeature.js"
import type { FlagEvaluation, SerinProviderOptions, ServingGuard } from "../../../src/adapters/openfeature.js"
import { packEvidence } from "../../../src/evidence/packed.js"
import { createGuard } from "../../../src/guard.js"
import type { Release } from "../../../src/release/ports.js"
import type { RolloutState } from "../../../src/rollout/state.js"
import { fakeClock } from "../../../src/testing/fake-clock.js"
import { fakeState, release, stateWith, T0 } from "../../guard/harness.js"
import { openFlags } from "./flags.js"

const quiet = { error() {}, warn() {}, info() {}, debug() {} }
let domains = 0

const configured = (version: string, config?: unknown): Release => ({ ...release(version, () => "allow"), config })

interface Given {
  readonly state?: RolloutState | null
  readonly configs?: readonly [stable: unknown, canary: unknown]
  readonly provider?: SerinProviderOptions
}

/** A guard, half of whose sessions are the canary's, as a provider of the real SDK. */
async function open({ state = stateWith(), configs = [{ limit: 1 }, { limit: 2 }], provider = {} }: Given = {}) {
  const reader = fakeState(state)
  const releases = new Map(["1.0.0", "2.0.0"].map((version, i) => [version, configured(version, configs[i])]))
  const guard = createGuard({ rollout: "demo", state: reader, releases, bootstrap: "1.0.0", clock: fakeClock(T0) })
  const domain = `provider-${domains++}`
  await OpenFeature.setProviderAndWait(domain, serinProvider(guard, provider))
  const client = OpenFeature.getClient(domain).setLogger(quiet)
  return { guard, reader, domain, client, [Symbol.asyncDispose]: () => guard.close() }
}

const IDS = Array.from({ length: 40 }, (_, i) => `session-${i}`)
const arm = (client: Client, targetingKey?: string) =>
  client.getStringDetails("demo.arm", "none", targetingKey === undefined ? {} : { targetingKey })

describe("serin as a provider", () => {
  it("resolves arm, release and config for the session that the targeting key names, as the guard does", async () => {
    const { client, guard } = await open()
    for (const targetingKey of IDS) {
      const session = guard.session(targetingKey)
      const version = session.arm === "canary" ? "2.0.0" : "1.0.0"
      const details = await arm(client, targetingKey)
      expect(details).toEqual({
        flagKey: "demo.arm",
        value: session.arm,
        variant: session.arm,
        reason: "SPLIT",
        flagMetadata: {
          rollout: "demo",
          arm: session.arm,
          release: version,
          revision: 1,
          flagSetId: "demo",
          version: "1",
        },
      })
      expect(await client.getStringValue("demo.release", "none", { targetingKey })).toBe(version)
      const config = await client.getObjectValue("demo.config", {}, { targetingKey })
      expect(config).toBe(session.config)
      expect(session.evaluate({ action: "x" })).toMatchObject({ arm: details.value, release: version })
    }
    expect(new Set(IDS.map((id) => guard.session(id).arm)).size).toBe(2)
  })

  it("knows the session of withSession, and is stable's without any", async () => {
    const { client, guard } = await open()
    for (const id of IDS.slice(0, 10)) {
      expect(await guard.withSession(id, () => arm(client))).toMatchObject({ value: guard.session(id).arm })
    }
    for (const key of [undefined, ""]) {
      expect(await arm(client, key)).toMatchObject({ value: "stable", variant: "stable", reason: "DEFAULT" })
    }
    expect(await client.getObjectValue("demo.config", {})).toEqual({ limit: 1 })
  })

  it("counts nothing for an arm or a release that is looked at, and a config as being served", async () => {
    const { client, guard, reader } = await open({ state: stateWith({ ramp: [{ at: T0, weightBp: 0, stage: 0 }] }) })
    const before = packEvidence(guard.evidence())
    for (const targetingKey of IDS) {
      await arm(client, targetingKey)
      await client.getStringValue("demo.release", "", { targetingKey })
      await client.getStringValue("demo.nothing", "", { targetingKey })
    }
    expect(packEvidence(guard.evidence())).toEqual(before)
    await client.getObjectValue("demo.config", {}, { targetingKey: "reader" })
    await client.getStringValue("demo.arm", "", { targetingKey: "looker" })
    // To whom stable was served, the canary is not; a look is no service.
    reader.set(stateWith({ revision: 2, ramp: [{ at: T0 - 1, weightBp: 10_000, stage: 0 }] }))
    expect(guard.session("reader").arm).toBe("stable")
    expect(guard.session("looker").arm).toBe("canary")
  })

  it("says why: drawn, pinned, nobody is drawn, no longer the canary's, locked down", async () => {
    const pinned = { session: () => ({ arm: "canary" as const }) }
    const reasons = async (given: Given) => (await arm((await open(given)).client, "a")).reason
    expect(await reasons({})).toBe("SPLIT")
    expect(await reasons({ provider: pinned })).toBe("TARGETING_MATCH")
    expect(await reasons({ state: null })).toBe("STATIC")
    expect(await reasons({ state: stateWith({ kill: "stable" }) })).toBe("DEFAULT")
    expect(await reasons({ state: stateWith({ kill: "deny" }) })).toBe("DISABLED")
    expect(await reasons({ state: stateWith({ ended: { kind: "contained", at: T0 } }) })).toBe("STATIC")
  })

  it("tells the guard of a session what the host says from the context", async () => {
    const startedAt = T0 - 1000
    const { client, guard } = await open({ provider: { session: ({ since }) => ({ startedAt: Number(since) }) } })
    await client.getStringValue("demo.arm", "", { targetingKey: "a", since: startedAt })
    expect(guard.session("a").startedAt).toBe(startedAt)
  })

  it("answers the default and a code for what it does not have, and never rejects", async () => {
    const { client, domain } = await open({
      configs: [undefined, "text"],
      provider: {
        session({ broken }) {
          if (broken === true) throw new Error("the host's own fault")
          return undefined
        },
      },
    })
    expect(await client.getStringDetails("other.arm", "mine")).toMatchObject({
      value: "mine",
      errorCode: "FLAG_NOT_FOUND",
    })
    expect(await client.getBooleanDetails("demo.arm", true)).toMatchObject({ value: true, errorCode: "TYPE_MISMATCH" })
    expect(await client.getNumberDetails("demo.release", 7)).toMatchObject({ value: 7, errorCode: "TYPE_MISMATCH" })
    expect(await client.getObjectDetails("demo.arm", [])).toMatchObject({ value: [], errorCode: "TYPE_MISMATCH" })
    expect(await client.getObjectDetails("demo.config", [])).toMatchObject({ value: [], errorCode: "FLAG_NOT_FOUND" })
    expect(await client.getStringDetails("demo.arm", "mine", { targetingKey: 7 } as never)).toMatchObject({
      value: "mine",
      errorCode: "INVALID_CONTEXT",
    })
    expect(await client.getStringDetails("demo.arm", "mine", { targetingKey: "a", broken: true })).toMatchObject({
      value: "mine",
      errorCode: "GENERAL",
      errorMessage: "the host's own fault",
    })
    const canaries = await Promise.all(
      IDS.map((targetingKey) => client.getObjectDetails("demo.config", [], { targetingKey })),
    )
    expect(new Set(canaries.map(({ errorCode }) => errorCode))).toEqual(new Set(["FLAG_NOT_FOUND", "TYPE_MISMATCH"]))
    expect(OpenFeature.getProvider(domain).metadata).toEqual({ name: "serin" })
  })

  it("tells its clients when something else may be served, until it is closed", async () => {
    const { client, reader, guard, domain } = await open()
    const told: unknown[] = []
    client.addHandler(ProviderEvents.ConfigurationChanged, (details) => void told.push(details?.flagsChanged))
    client.addHandler(ProviderEvents.ConfigurationChanged, () => {
      throw new Error("a listener's own fault")
    })
    reader.set(stateWith({ revision: 2, kill: "stable" }))
    await fakeClock().settle()
    expect(told).toEqual([["demo.arm", "demo.release", "demo.config"]])
    guard.refresh()
    await fakeClock().settle()
    expect(told).toHaveLength(2)
    await OpenFeature.setProviderAndWait(domain, (await openFlags()).flags)
    await fakeClock().settle()
    const before = told.length
    reader.set(stateWith({ revision: 3 }))
    await fakeClock().settle()
    expect(told).toHaveLength(before)
  })

  it("tells them when the fuse blows in the middle of a call", async () => {
    const failing = () => {
      throw new Error("the canary's own fault")
    }
    const releases = new Map([
      ["1.0.0", release("1.0.0", () => "allow")],
      ["2.0.0", release("2.0.0", failing)],
    ])
    const state = fakeState(stateWith({ ramp: [{ at: T0, weightBp: 10_000, stage: 0 }] }))
    const guard = createGuard({ rollout: "demo", state, releases, clock: fakeClock(T0) })
    let changes = 0
    guard.onChange(() => {
      throw new Error("a listener's own fault")
    })
    const stop = guard.onChange(() => changes++)
    for (let i = 0; guard.fuse() === null; i++)
      expect(guard.session(`s-${i}`).evaluate({ action: "x" }).outcome).toBe("allow")
    expect(changes).toBe(0)
    await fakeClock().settle()
    expect(changes).toBe(1)
    stop()
    guard.resetFuse()
    expect(changes).toBe(1)
    await guard.close()
  })

  it("serves guards of either mode", async () => {
    const releases = new Map([["1.0.0", release("1.0.0", () => "allow")]])
    const guard = createGuard({ rollout: "demo", state: fakeState(null), releases, bootstrap: "1.0.0", async: true })
    const domain = `provider-${domains++}`
    await OpenFeature.setProviderAndWait(domain, serinProvider(guard))
    expect(await OpenFeature.getClient(domain).getStringValue("demo.release", "")).toBe("1.0.0")
    await guard.close()
  })

  it("refuses what is no guard", () => {
    for (const make of [serinProvider, serinHook, serinContext]) {
      expect(() => make({} as ServingGuard)).toThrow(/^guard must have the methods session, current, onChange/)
    }
  })
})

describe("the arm in other flags", () => {
  const exporter = new InMemorySpanExporter()
  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  })
  afterAll(() => {
    trace.disable()
    context.disable()
  })

  it("is on the span and in the log of each evaluation in a session", async () => {
    const { guard } = await open()
    const { client, flags } = await openFlags()
    flags.set("colour", true)
    const seen: FlagEvaluation[] = []
    client.addHooks(serinHook(guard, { onEvaluation: (evaluation) => seen.push(evaluation) }))
    const tracer = trace.getTracer("test")
    await tracer.startActiveSpan("outside", async (span) => {
      await client.getBooleanValue("colour", false)
      span.end()
    })
    for (const id of IDS.slice(0, 6)) {
      await tracer.startActiveSpan(id, async (span) => {
        expect(await guard.withSession(id, () => client.getBooleanValue("colour", false))).toBe(true)
        span.end()
      })
    }
    const [outside, ...inside] = exporter.getFinishedSpans()
    expect(outside?.attributes).toEqual({})
    expect(inside.map(({ name, attributes }) => [name, attributes])).toEqual(
      IDS.slice(0, 6).map((id) => [id, serinContext(guard, id)]),
    )
    expect(seen).toEqual(
      IDS.slice(0, 6).map((sessionId) => ({
        flagKey: "colour",
        variant: undefined,
        reason: "STATIC",
        errorCode: undefined,
        sessionId,
        ...guardFacts(guard, sessionId),
      })),
    )
  })

  it("flips nothing, whatever goes wrong in the hook, and takes no user for a session", async () => {
    const { guard } = await open()
    const { client, flags } = await openFlags()
    flags.set("colour", true)
    const errors: unknown[] = []
    client.setLogger({ ...quiet, error: (...told) => errors.push(told) })
    const fail = (): never => {
      throw new Error("the host's own fault")
    }
    const broken = { rollout: "demo", session: fail, current: fail, onChange: () => () => {} }
    const hooks = [
      serinHook(broken),
      serinHook(guard, { onEvaluation: fail }),
      serinHook(guard, { session: fail }),
      serinHook(guard, { session: () => "" }),
    ]
    client.addHooks(...hooks)
    const details = await guard.withSession("a", () =>
      client.getBooleanDetails("colour", false, { targetingKey: "user-7" }),
    )
    expect(details).toMatchObject({ value: true, reason: "STATIC" })
    expect(errors).toEqual([])
    for (const hook of hooks) expect(Object.keys(hook)).toEqual(["finally"])
    const seen: FlagEvaluation[] = []
    const own = serinHook(guard, {
      session: ({ run }) => run as string | undefined,
      onEvaluation: (each) => seen.push(each),
    })
    client.clearHooks().addHooks(own)
    await client.getBooleanValue("colour", false, { targetingKey: "user-7", run: "b" })
    await client.getBooleanValue("colour", false, { targetingKey: "user-7" })
    expect(seen.map(({ sessionId }) => sessionId)).toEqual(["b"])
  })

  it("can be gone by in the rules of other flags, through the transaction's context", async () => {
    const { guard } = await open()
    const { client, flags } = await openFlags()
    OpenFeature.setTransactionContextPropagator(new AsyncLocalStorageTransactionContextPropagator())
    const rule: Provider["resolveBooleanEvaluation"] = async (_key, _default, given) => ({
      value: given["serin.arm"] === "canary",
    })
    Object.assign(flags, { resolveBooleanEvaluation: rule })
    for (const id of IDS.slice(0, 6)) {
      const fragment = serinContext(guard, id)
      const asked = await new Promise((resolve) =>
        OpenFeature.setTransactionContext(fragment, () => resolve(client.getBooleanValue("colour", false))),
      )
      expect(asked).toBe(guard.session(id).arm === "canary")
    }
    expect(serinContext(guard)).toEqual({ "serin.rollout": "demo", "serin.arm": "stable", "serin.release": "1.0.0" })
    expect(() => serinContext(guard, "")).toThrow("session id must be a non-empty string")
  })

  const guardFacts = (guard: ServingGuard, id: string) => {
    const { arm: of, release: version } = guard.session(id).assignment()
    return { rollout: "demo", arm: of, release: version }
  }
})
