import { describe, expect, it } from "vitest"
import { createFollower } from "../../src/controller/follower.js"
import { reportKey, stateKey } from "../../src/controller/keys.js"
import { createLeader } from "../../src/controller/leader.js"
import { parseReport } from "../../src/controller/report.js"
import { act, ensureState, newSalt, readState } from "../../src/controller/verbs.js"
import { SerinError } from "../../src/errors.js"
import { createStratum, recordEvaluation, recordPair } from "../../src/evidence/cells.js"
import type { Evidence } from "../../src/model/evidence.js"
import { phaseOf } from "../../src/rollout/phase.js"
import type { StateStore } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, T0 } from "../guard/harness.js"

const human = { kind: "human", id: "ada" } as const
const controller = { kind: "controller", id: "test" } as const

/** Paired evidence of `sessions` sessions with eight calls each; the canary denies what `denies` says. */
function paired(generation: number, strata: number, sessions: number, denies: (n: number) => boolean): Evidence {
  const list = Array.from({ length: strata }, createStratum)
  for (let n = 0; n < sessions * 8; n++) {
    const stratum = list.at(-1)!
    const cohort = Math.floor(n / 8) % 64
    recordEvaluation(stratum, 0, cohort, 0, 1, n % 8 === 0)
    recordPair(stratum, cohort, 0, denies(n) ? 1 : 0, 1, 1, n % 8 === 0)
  }
  return { generation, strata: list }
}

async function setUp(wrap: (store: StateStore) => StateStore = (store) => store) {
  const clock = fakeClock(T0)
  const inner = memoryStore()
  const store = wrap(inner)
  await ensureState(inner, spec, human, clock.now())
  await act(inner, "demo", { type: "start", spec, salt: newSalt(), actor: human, reason: "try" }, () => clock.now())
  const follower = await createFollower({ store, rollout: "demo", clock })
  let evidence: () => Promise<Evidence | null> = () => Promise.resolve(null)
  const leader = createLeader({
    store,
    reports: store,
    rollout: "demo",
    follower,
    clock,
    actor: controller,
    source: { read: () => evidence() },
  })
  return {
    clock,
    inner,
    follower,
    leader,
    evidence: (next: () => Promise<Evidence | null>) => void (evidence = next),
    stop: async () => {
      await leader.close()
      follower.close()
    },
  }
}

const healthy = (): Promise<Evidence> => Promise.resolve(paired(1, 2, 400, () => false))
const broken = (): Promise<Evidence> => Promise.resolve(paired(1, 2, 200, (n) => n % 2 === 0))

describe("the leader", () => {
  it("advances a canary that passes, when its period is over, one stage at a time", async () => {
    const { clock, leader, evidence, inner, stop } = await setUp()
    evidence(healthy)
    await leader.tick()
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("shadow")
    clock.advance(3_600_000)
    await leader.tick()
    expect(phaseOf((await readState(inner, "demo"))!)).toMatchObject({ phase: "canary", weightBp: 500 })
    await stop()
  })

  it("rolls a breach back at once, whatever the period, and keeps the verdict with the revision", async () => {
    const { leader, evidence, follower, inner, stop } = await setUp()
    evidence(broken)
    const report = await leader.tick()
    expect(report.verdict?.result).toBe("breach")
    expect(phaseOf(follower.current()!).phase).toBe("rolled_back")
    const stored = await readState(inner, "demo")
    expect(stored?.last).toMatchObject({ actor: controller, verdict: { cause: "deny_rate_delta_max" } })
    await stop()
  })

  it("acts on a breach while the store is down, and writes it when the store is back", async () => {
    let down = false
    const { leader, evidence, follower, inner, stop } = await setUp((store) => ({
      ...store,
      get: (key, o) => (down ? Promise.reject(new SerinError("STORE_UNAVAILABLE", "down")) : store.get(key, o)),
      compareAndSet: (...args) =>
        down ? Promise.reject(new SerinError("STORE_UNAVAILABLE", "down")) : store.compareAndSet(...args),
    }))
    evidence(broken)
    down = true
    expect((await leader.tick()).problem).toMatch(/down/)
    expect(phaseOf(follower.current()!).phase).toBe("rolled_back")
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("shadow")
    down = false
    await leader.tick()
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("rolled_back")
    await stop()
  })

  it("does not raise exposure that it cannot write", async () => {
    let down = false
    const { clock, leader, evidence, follower, stop } = await setUp((store) => ({
      ...store,
      compareAndSet: (...args) =>
        down ? Promise.reject(new SerinError("STORE_UNAVAILABLE", "down")) : store.compareAndSet(...args),
    }))
    evidence(healthy)
    clock.advance(3_600_000)
    down = true
    await leader.tick()
    expect(phaseOf(follower.current()!).phase).toBe("shadow")
    down = false
    await leader.tick()
    expect(phaseOf(follower.current()!).phase).toBe("canary")
    await stop()
  })

  it("decides again on the newer state when a human wrote first", async () => {
    const { clock, leader, evidence, inner, stop } = await setUp()
    evidence(broken)
    await act(inner, "demo", { type: "pause", actor: human, reason: "lunch" }, () => clock.now())
    await leader.tick()
    const state = await readState(inner, "demo")
    expect(phaseOf(state!).phase).toBe("rolled_back")
    expect(state?.revision).toBe(4)
    await stop()
  })

  it("holds without evidence and when evidence cannot be read, and never takes that for a pass or a breach", async () => {
    const { clock, leader, evidence, inner, stop } = await setUp()
    clock.advance(3_600_000)
    await leader.tick()
    expect((await readState(inner, "demo"))?.holds.map((hold) => hold.reason)).toContain("no_data")
    evidence(() => Promise.reject(new Error("scrape failed")))
    const { verdict } = await leader.tick()
    expect(verdict).toMatchObject({ result: "inconclusive", noData: "errored" })
    expect(verdict?.reason).toContain("scrape failed")
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("shadow")
    await stop()
  })

  it("ignores evidence of another generation", async () => {
    const { clock, leader, evidence, inner, stop } = await setUp()
    evidence(() => Promise.resolve(paired(7, 2, 200, () => true)))
    clock.advance(60_000)
    expect((await leader.tick()).verdict).toBeNull()
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("shadow")
    await stop()
  })

  it("ticks on the clock, and not after it was closed", async () => {
    const { clock, leader, evidence, inner, stop } = await setUp()
    evidence(broken)
    clock.advance(5000)
    await clock.settle()
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("rolled_back")
    const { at } = leader.report()!
    await stop()
    clock.advance(60_000)
    await clock.settle()
    expect(leader.report()?.at).toBe(at)
  })

  it("publishes a report that others can read", async () => {
    const { leader, evidence, inner, stop } = await setUp()
    evidence(healthy)
    await leader.tick()
    const stored = await inner.get(reportKey("demo"))
    expect(parseReport(stored!.envelope)).toMatchObject({ rollout: "demo", generation: 1, verdict: { result: "pass" } })
    expect(parseReport("nonsense")).toBeNull()
    expect(parseReport('{"format":"other"}')).toBeNull()
    await stop()
  })
})

describe("act", () => {
  it("says that there is no state yet", async () => {
    const event = { type: "pause", actor: human, reason: "" } as const
    await expect(act(memoryStore(), "demo", event, () => T0)).rejects.toThrow(/serin start/)
  })

  it("gives up after losing to other writers twenty times in a row", async () => {
    const store = memoryStore()
    await ensureState(store, spec, human, T0)
    const busy: StateStore = { ...store, compareAndSet: () => Promise.resolve({ ok: false, current: null }) }
    const event = { type: "kill", position: "deny", actor: human, reason: "now" } as const
    await expect(act(busy, "demo", event, () => T0)).rejects.toMatchObject({ code: "STORE_CONFLICT" })
  })

  it("refuses a stored state that is not one", async () => {
    const store = memoryStore()
    await store.compareAndSet(stateKey("demo"), 0, '{"format":"serin/state/1"}')
    await expect(readState(store, "demo")).rejects.toMatchObject({ code: "STATE_INVALID" })
  })
})
