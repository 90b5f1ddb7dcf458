import { afterEach, describe, expect, expectTypeOf, it } from "vitest"
import { connect } from "../src/connect.js"
import type { Connected, ConnectOptions } from "../src/connect.js"
import { createGuard } from "../src/guard.js"
import type { Call } from "../src/model/call.js"
import { memoryStore } from "../src/stores/memory.js"
import { fakeClock } from "../src/testing/fake-clock.js"
import { createFleet, release } from "./controller/fleet.js"
import { fakeState, spec, stateWith, T0 } from "./guard/harness.js"

let fleet = createFleet()
afterEach(async () => {
  await fleet.close()
  fleet = createFleet()
})

describe("connect", () => {
  it("serves bootstrap to everybody while the rollout has no state, and follows it as soon as it has", async () => {
    const process = await fleet.process()
    expect(process.serves()).toMatchObject({ outcome: "allow", release: "0.9.0", arm: "stable" })
    expect(process.guard.status()).toMatchObject({ state: null, phase: null, follower: { lease: { needed: false } } })
    expect(process.problem()).toBeUndefined()
    let changes = 0
    const stop = process.guard.onChange(() => changes++)
    await fleet.begin()
    await fleet.pass(5000)
    // The state, and the release that it names.
    expect(changes).toBe(2)
    expect(process.serves().release).toBe("1.0.0")
    expect(process.guard.status().phase).toMatchObject({ phase: "canary", weightBp: 500 })
    stop()
    await fleet.kill()
    await fleet.pass(5000)
    expect(changes).toBe(2)
  })

  it("hears of a kill at once from a store that pushes", async () => {
    await fleet.begin()
    const process = await fleet.process({ store: fleet.inner })
    await fleet.kill("deny")
    await fleet.clock.settle()
    expect(process.serves().source).toBe("lockdown")
  })

  it("gives a session the same arm in every process", async () => {
    await fleet.begin()
    fleet.lead(true)
    const one = await fleet.process()
    const two = await fleet.process()
    await fleet.pass(3000)
    const ids = Array.from({ length: 200 }, (_, n) => `s-${n}`)
    const arms = (guard: Connected): string[] =>
      ids.map((id) => guard.session(id, { startedAt: fleet.clock.now() }).arm)
    expect(arms(one.guard)).toEqual(arms(two.guard))
    expect(new Set(arms(one.guard)).size).toBe(2)
  })

  it("asks nothing of a store but get and watch", async () => {
    const { get, caps } = fleet.inner
    await fleet.begin()
    const process = await fleet.process({ store: { get, caps, watch: () => {} } })
    expect(process.guard.status().phase?.phase).toBe("canary")
    expect(process.guard).not.toHaveProperty("act")
  })

  it("wraps two functions without releases", async () => {
    await fleet.begin()
    fleet.lead(true)
    const { guard } = await fleet.process({ releases: undefined })
    const judge = guard.wrap(
      (_session: string) => "stable",
      () => "canary",
      { session: (id) => id, outcome: () => "allow" },
    )
    expect(judge("before")).toBe("stable")
    await fleet.pass(3000)
    const answers = Array.from({ length: 200 }, (_, n) => judge(`s-${n}`))
    expect(new Set(answers)).toEqual(new Set(["stable", "canary"]))
    fleet.turn("down")
    await fleet.pass(16_000)
    expect(answers.map((_, n) => judge(`s-${n}`))).not.toContain("canary")
  })

  it("answers promises in an async guard", async () => {
    await fleet.begin()
    const guard = await connect({ ...options(), store: fleet.inner, clock: fleet.clock, async: true })
    expectTypeOf(guard).toEqualTypeOf<Connected<Call, "async">>()
    await expect(guard.session("a").evaluate({ action: "x" })).resolves.toMatchObject({ outcome: "allow" })
    await guard.close()
  })

  it("rejects for a bootstrap release that cannot be loaded, and leaves nothing behind", async () => {
    const clock = fakeClock(T0)
    const made = connect({ ...options(), bootstrap: "7.0.0", clock })
    await expect(made).rejects.toMatchObject({ code: "RELEASE_NOT_FOUND" })
    await clock.settle()
    expect(clock.pending()).toBe(0)
  })

  it("swallows what fails after close()", async () => {
    await fleet.begin()
    const { guard } = await fleet.process()
    fleet.turn("stalled")
    fleet.clock.advance(5000)
    await Promise.all([guard.close(), guard.close()])
    expect(fleet.clock.pending()).toBe(0)
    expect(guard.session("a").evaluate({ action: "x" }).outcome).toBe("allow")
  })
})

const options = (): ConnectOptions<Call, "sync"> => ({
  rollout: "demo",
  store: memoryStore(),
  bootstrap: "1.0.0",
  lastKnownGood: false,
  releases: new Map(["1.0.0", "2.0.0"].map((version) => [version, release(version)])),
})

describe("an option of connect that is wrong is refused by name before anything is read", () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["no rollout", { rollout: "" }, /^rollout must be the name .* got an empty text/],
    [
      "a store that cannot be read",
      { store: { get() {} } },
      /^store must have the methods get, watch, got .* without watch/,
    ],
    [
      "no bootstrap",
      { bootstrap: undefined },
      /^bootstrap must be the version of a release, got undefined; name the release/,
    ],
    [
      "no word on lastKnownGood",
      { lastKnownGood: undefined },
      /^lastKnownGood must be .* or false, got undefined; name a file/,
    ],
    ["lastKnownGood: true", { lastKnownGood: true }, /^lastKnownGood must be .* got true/],
    ["a lease that is raised", { canaryLeaseMs: 15_001 }, /^canaryLeaseMs must be from 1000 to 15000 ms, got 15001/],
    ["a lease that is no number", { canaryLeaseMs: Number.NaN }, /^canaryLeaseMs must be .* got NaN/],
    ["a poll too often", { pollEveryMs: 1 }, /^pollEveryMs must be from 100 to 60000 ms, got 1/],
    ["a misspelt one", { leaseMs: 1000 }, /^connect has no option leaseMs/],
    ["a state", { state: {} }, /^connect has no option state/],
    ["isolated modules without async", { modules: "isolated" }, /^modules: "isolated" needs async: true/],
    ["a clock that is none", { clock: {} }, /^clock must have the methods/],
  ])("%s", async (_, wrong, message) => {
    await expect(connect({ ...options(), ...wrong } as ConnectOptions<Call, "sync">)).rejects.toThrow(message)
  })

  it("no options at all", async () => {
    await expect(connect(undefined as unknown as ConnectOptions<Call, "sync">)).rejects.toThrow(/write connect\(\{/)
  })
})

describe("a guard whose reader tells of a lease", () => {
  it("does not serve by the canary where the reader cannot tell", () => {
    const state = fakeState(
      stateWith({
        ramp: [
          { at: T0, weightBp: 0, stage: 0 },
          { at: T0, weightBp: 10_000, stage: 4 },
        ],
        spec,
      }),
    )
    let broken = false
    const leaseOver = (): boolean => {
      if (broken) throw new Error("the reader's own fault")
      return false
    }
    const releases = new Map(["1.0.0", "2.0.0"].map((version) => [version, release(version)]))
    const guard = createGuard({ rollout: "demo", state: { ...state, leaseOver }, releases, clock: fakeClock(T0) })
    expect(guard.session("a").evaluate({ action: "x" }).rule).toBe("2.0.0")
    broken = true
    expect(guard.session("a").evaluate({ action: "x" }).rule).toBe("1.0.0")
    broken = false
    expect(guard.session("a").evaluate({ action: "x" }).rule).toBe("1.0.0")
  })
})
