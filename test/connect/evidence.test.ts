import { describe, expect, it } from "vitest"
import { connect } from "../../src/connect.js"
import type { ConnectOptions } from "../../src/connect.js"
import { evidenceKey } from "../../src/controller/keys.js"
import { parsePublication } from "../../src/evidence/publication.js"
import type { Call } from "../../src/model/call.js"
import { CELLS, cellIndex, COHORTS } from "../../src/model/evidence.js"
import type { Evidence } from "../../src/model/evidence.js"
import type { Release } from "../../src/release/ports.js"
import { serializeState } from "../../src/rollout/state.js"
import { sharedSource } from "../../src/sources/fleet.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { stateWith, T0, total } from "../guard/harness.js"

const release = (version: string): Release => ({ version, policy: { evaluate: () => "allow" } })
const ALLOW = [["1.0.0", { version: "1.0.0", policy: { evaluate: () => "allow" as const } }]] as const
const RELEASES = new Map([
  ["1.0.0", release("1.0.0")],
  ["2.0.0", release("2.0.0")],
])

async function fleet() {
  const clock = fakeClock(T0)
  const store = memoryStore()
  await store.compareAndSet(
    "demo/state",
    0,
    serializeState(stateWith({ ramp: [{ at: T0 - 1000, weightBp: 0, stage: 0 }] })),
  )
  const join = (options: Partial<ConnectOptions<Call, "sync">> = {}) =>
    connect({
      rollout: "demo",
      store,
      releases: RELEASES,
      bootstrap: "1.0.0",
      lastKnownGood: false,
      clock,
      evidence: store,
      ...options,
    })
  const pass = async (): Promise<void> => {
    for (let n = 0; n < 10; n++) {
      clock.advance(1000)
      await clock.settle()
    }
  }
  return { clock, store, join, pass, source: sharedSource({ store, rollout: "demo", clock }) }
}

function evaluations({ strata }: Evidence): number {
  let sum = 0
  for (const { cells } of strata) {
    for (const arm of [0, 1] as const) {
      for (let cohort = 0; cohort < COHORTS; cohort++)
        sum += cells[cellIndex(arm, cohort, CELLS.indexOf("evaluations"))]!
    }
  }
  return sum
}

describe("connect({ evidence })", () => {
  it("has the controller read what all processes counted, one that has ended and started again too", async () => {
    const { clock, join, pass, source } = await fleet()
    const [one, two] = [await join({ publisher: "one" }), await join()]
    for (let n = 0; n < 5; n++) one.session(`a-${n}`).evaluate({ action: "look" })
    two.session("b").evaluate({ action: "look" })
    await pass()
    expect(evaluations((await source.read({ generation: 1 }))!)).toBe(6)
    // What was counted since the last publication is published at the end.
    one.session("late").evaluate({ action: "look" })
    await one.close()
    const again = await join({ publisher: "one" })
    again.session("c").evaluate({ action: "look" })
    await pass()
    expect(evaluations((await source.read({ generation: 1 }))!)).toBe(8)
    expect(source.processes()).toEqual({ releases: "ready", fuse: null, problem: undefined })
    expect(one.status().publisher?.publisher).toMatch(/^one\.[0-9a-f]{8}$/)
    expect(again.status().publisher?.publisher).not.toBe(one.status().publisher?.publisher)
    await two.close()
    await again.close()
    expect(clock.pending()).toBe(0)
  })

  it("publishes at the end the pairs of calls that still waited for the other arm", async () => {
    const { join, pass, source } = await fleet()
    const one = await join()
    await pass() // the canary is loaded
    for (let n = 0; n < 5; n++) one.session(`a-${n}`).evaluate({ action: "look" })
    expect(one.status().shadow.waiting).toBe(5)
    await one.close()
    const evidence = (await source.read({ generation: 1 }))!
    expect([evaluations(evidence), total(evidence, "pairs")]).toEqual([5, 5])
  })

  it("publishes at the end without those that a slow canary does not answer within a second", async () => {
    const { clock, store, pass, source } = await fleet()
    const never: Release<Call, Promise<"allow">> = {
      version: "2.0.0",
      policy: { evaluate: () => new Promise(() => {}) },
    }
    const one = await connect({
      rollout: "demo",
      store,
      releases: new Map<string, Release<Call, "allow" | Promise<"allow">>>([...ALLOW, ["2.0.0", never]]),
      bootstrap: "1.0.0",
      lastKnownGood: false,
      clock,
      evidence: store,
      async: true,
      timeoutMs: 60_000,
    })
    await pass() // the canary is loaded
    await one.session("a").evaluate({ action: "look" })
    await new Promise((resolve) => setImmediate(resolve)) // and asked
    let isClosed = false
    const closed = one.close().then(() => (isClosed = true))
    await clock.settle()
    clock.advance(999)
    await clock.settle()
    expect(isClosed).toBe(false)
    clock.advance(1)
    await closed
    const evidence = (await source.read({ generation: 1 }))!
    expect([evaluations(evidence), total(evidence, "pairs")]).toEqual([1, 0])
  })

  it("says whose history it is of: what a process counts on a state that the store has lost is no evidence of the new one", async () => {
    const { store, join, pass, source } = await fleet()
    const lost = await join()
    await pass()
    for (let n = 0; n < 5; n++) lost.session(`a-${n}`).evaluate({ action: "look" })
    // A backup is put back, and the rollout started again: generation 1, for the second time. Who has seen the first stays with it.
    await store.remove("demo/state")
    const started = stateWith({ salt: "another", ramp: [{ at: T0 - 1000, weightBp: 0, stage: 0 }] })
    await store.compareAndSet("demo/state", 0, serializeState(started))
    const one = await join()
    await pass()
    one.session("b").evaluate({ action: "look" })
    lost.session("late").evaluate({ action: "look" })
    await Promise.all([lost.close(), one.close()])
    expect(evaluations((await source.read({ generation: 1, salt: "another" }))!)).toBe(1)
    expect(evaluations((await source.read({ generation: 1, salt: "salt" }))!)).toBe(6)
  })

  it("says that the canary is not loaded", async () => {
    const { join, pass, source } = await fleet()
    const one = await join({ releases: new Map([["1.0.0", release("1.0.0")]]) })
    await pass()
    await source.read({ generation: 1 })
    expect(source.processes().releases).toBe("missing")
    await one.close()
  })

  it("takes a sink as well, and serves as before while that fails", async () => {
    const { join, pass } = await fleet()
    const put: string[] = []
    let fails = true
    const evidence = {
      put(key: string, text: string) {
        if (fails) return Promise.reject(new Error("no way there"))
        put.push(`${key} ${parsePublication(text).publisher}`)
        return Promise.resolve()
      },
    }
    const one = await join({ evidence, publisher: "one" })
    await pass()
    expect(one.status().publisher).toMatchObject({ sequence: 0, problem: "no way there" })
    expect(one.session("a").evaluate({ action: "look" }).outcome).toBe("allow")
    fails = false
    await one.close()
    const { publisher } = one.status().publisher!
    expect(put).toEqual([`${evidenceKey("demo")}/${publisher} ${publisher}`])
  })

  it("publishes nothing without being told where, and refuses what is no place and no name", async () => {
    const { store, join, pass } = await fleet()
    const one = await join({ evidence: undefined })
    await pass()
    expect([one.status().publisher, await store.list(evidenceKey("demo"))]).toEqual([null, []])
    await one.close()
    await expect(join({ evidence: {} as never })).rejects.toThrow(/^evidence must have the methods get, compareAndSet/)
    await expect(join({ publisher: "a/b" })).rejects.toThrow(/^publisher must be 1 to 100 of/)
  })
})
