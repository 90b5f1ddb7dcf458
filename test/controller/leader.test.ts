import { describe, expect, it } from "vitest"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { reportKey, stateKey } from "../../src/controller/keys.js"
import { createLeader } from "../../src/controller/leader.js"
import { parseReport } from "../../src/controller/report.js"
import type { Report } from "../../src/controller/report.js"
import { act, ensureState, newSalt, readState } from "../../src/controller/verbs.js"
import { SerinError } from "../../src/errors.js"
import type { Evidence } from "../../src/model/evidence.js"
import { phaseOf } from "../../src/rollout/phase.js"
import type { StateStore } from "../../src/rollout/store.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, T0 } from "../guard/harness.js"
import { paired } from "./evidence.js"
import { unreliable } from "./unreliable.js"

const human = { kind: "human", id: "ada" } as const
const controller = { kind: "controller", id: "test" } as const

async function setUp(wrap: (store: StateStore) => StateStore = (store) => store) {
  const clock = fakeClock(T0)
  const inner = memoryStore()
  const store = wrap(inner)
  await ensureState(inner, spec, human, clock.now())
  await act(inner, "demo", { type: "start", spec, salt: newSalt(), actor: human, reason: "try" }, () => clock.now())
  const follower = await createWritingFollower({ store, rollout: "demo", clock })
  let evidence: () => Promise<Evidence | null> = () => Promise.resolve(null)
  const asked: (number | undefined)[] = []
  const leader = createLeader({
    reports: store,
    rollout: "demo",
    follower,
    clock,
    actor: controller,
    source: { read: (query) => (asked.push(query?.generation), evidence()) },
  })
  return {
    asked,
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

  it.each([
    ["EVIDENCE_MISSING", "missing"],
    ["EVIDENCE_STALE", "stale"],
    ["EVIDENCE_UNAVAILABLE", "errored"],
  ] as const)("takes a source that fails with %s for evidence that is %s", async (code, noData) => {
    const { leader, evidence, inner, stop } = await setUp()
    evidence(() => Promise.reject(new SerinError(code, "no luck")))
    const { verdict } = await leader.tick()
    expect(verdict).toMatchObject({ result: "inconclusive", noData, reason: expect.stringContaining("no luck") })
    expect((await readState(inner, "demo"))?.holds).toContainEqual(
      expect.objectContaining({ reason: "no_data", note: noData }),
    )
    await stop()
  })

  it("asks a source for the generation that it judges", async () => {
    const { leader, evidence, asked, stop } = await setUp()
    evidence(healthy)
    await leader.tick()
    expect(asked).toEqual([1])
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
    const { clock, leader, evidence, inner, stop } = await setUp()
    evidence(healthy)
    await leader.tick()
    await clock.settle()
    const stored = await inner.get(reportKey("demo"))
    expect(parseReport(stored!.envelope)).toMatchObject({ rollout: "demo", generation: 1, verdict: { result: "pass" } })
    expect(parseReport("nonsense")).toBeNull()
    expect(parseReport('{"format":"other"}')).toBeNull()
    expect(parseReport('{"format":"serin/report/1","at":"now"}')).toBeNull()
    expect(parseReport('{"format":"serin/report/1","at":1,"by":{}}')).toBeNull()
    await stop()
  })
})

/** A canary at 5 % that is in breach, and a store in a weather of the test's choice that gives no hints. */
async function inBreach() {
  let turn: ReturnType<typeof unreliable>["turn"] = () => {}
  const demo = await setUp((inner) => {
    const made = unreliable(inner)
    turn = made.turn
    return made.store
  })
  const elsewhere = (event: RolloutEvent) => act(demo.inner, "demo", event, () => demo.clock.now())
  await elsewhere({ type: "promote", actor: human, reason: "" })
  await demo.follower.poll()
  demo.evidence(() => Promise.resolve(paired(1, 3, 200, (n) => n % 2 === 0)))
  const local = () => phaseOf(demo.follower.current()!)
  const stored = async () => phaseOf((await readState(demo.inner, "demo"))!)
  return { ...demo, elsewhere, local, stored, turn }
}

describe("a breach", () => {
  it.each<[string, RolloutEvent, object]>([
    [
      "a lockdown",
      { type: "kill", position: "deny", actor: human, reason: "incident" },
      { phase: "killed", position: "deny" },
    ],
    [
      "a promotion to the end",
      { type: "promote", to: "end", actor: human, reason: "it is fine" },
      { phase: "promoted" },
    ],
  ])("that meets %s by a human, not seen here yet, gives way to it", async (_, event, expected) => {
    const { leader, elsewhere, local, stored, follower, stop } = await inBreach()
    await elsewhere(event)
    await leader.tick()
    expect(local()).toMatchObject(expected)
    expect(local()).toEqual(await stored())
    expect(follower.status()).toMatchObject({ pending: [], problem: undefined })
    await stop()
  })

  it("is not taken back by others' revisions while it cannot be written, and the leader goes on", async () => {
    const { clock, leader, elsewhere, local, stored, follower, turn, evidence, stop } = await inBreach()
    turn("read-only")
    expect((await leader.tick()).problem).toContain("down")
    await elsewhere({ type: "pause", actor: human, reason: "" })
    await follower.poll()
    await elsewhere({ type: "resume", actor: human, reason: "" })
    await follower.poll()
    expect(local().phase).toBe("rolled_back")
    expect((await leader.tick()).problem).toMatch(/tick is in force here and not written: .*down/)
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect((await stored()).phase).toBe("rolled_back")
    await elsewhere({ type: "retry", salt: newSalt(), actor: human, reason: "mended" })
    await follower.poll()
    evidence(() => Promise.resolve(paired(2, 2, 200, (n) => n % 2 === 0)))
    expect(await leader.tick()).toMatchObject({ generation: 2, verdict: { result: "breach" }, problem: undefined })
    expect((await stored()).phase).toBe("rolled_back")
    await stop()
  })

  it("is found by a state that came while an earlier decrease was written", async () => {
    const { leader, elsewhere, follower, turn, evidence, stored, stop } = await inBreach()
    turn("down")
    await leader.tick()
    turn("fine")
    await elsewhere({ type: "rollback", actor: human, reason: "" })
    await elsewhere({ type: "retry", salt: newSalt(), actor: human, reason: "" })
    evidence(() => Promise.resolve(paired(2, 2, 200, (n) => n % 2 === 0)))
    expect(follower.current()?.generation).toBe(1)
    const report = await leader.tick()
    expect(report).toMatchObject({ generation: 2, verdict: { result: "breach", generation: 2 } })
    expect((await stored()).phase).toBe("rolled_back")
    await stop()
  })
})

describe("a call that never answers", () => {
  it("of the store of reports keeps nobody from judging", async () => {
    let stalled = false
    const { clock, leader, evidence, follower, stop } = await setUp((store) => ({
      ...store,
      get: (key, o) => (stalled && key === reportKey("demo") ? new Promise(() => {}) : store.get(key, o)),
    }))
    evidence(healthy)
    await leader.tick()
    stalled = true
    await leader.tick()
    evidence(broken)
    const report = await leader.tick()
    expect(report.verdict?.result).toBe("breach")
    expect(phaseOf(follower.current()!).phase).toBe("rolled_back")
    stalled = false
    clock.advance(2000)
    await stop()
  })

  it("of the source is an error of the evidence, and the next look judges again", async () => {
    const { clock, leader, evidence, follower, stop } = await setUp()
    evidence(() => new Promise(() => {}))
    const tick = leader.tick()
    await clock.settle()
    clock.advance(2000)
    expect((await tick).verdict).toMatchObject({ noData: "errored", reason: expect.stringContaining("2000 ms") })
    evidence(broken)
    clock.advance(5000)
    await clock.settle()
    expect(phaseOf(follower.current()!).phase).toBe("rolled_back")
    await stop()
  })

  it("of the store of states ends the look in time", async () => {
    const { clock, leader, local, turn, stop } = await inBreach()
    turn("stalled")
    const tick = leader.tick()
    await clock.settle()
    expect(local().phase).toBe("rolled_back")
    clock.advance(2000)
    expect((await tick).problem).toContain("no answer within 2000 ms")
    turn("fine")
    clock.advance(2000)
    await stop()
  })

  it.each(["source", "store"])("of the %s is waited for 2 s at most when the leader closes", async (what) => {
    const { clock, leader, evidence, turn, follower } = await inBreach()
    if (what === "source") evidence(() => new Promise(() => {}))
    else turn("stalled")
    void leader.tick()
    await clock.settle()
    let closed = false
    const closing = leader.close().then(() => (closed = true))
    await clock.settle()
    expect(closed).toBe(false)
    clock.advance(2000)
    await closing
    follower.close()
  })
})

describe("two leaders on one store", () => {
  async function two() {
    const { clock, inner, leader: first, follower, evidence, stop } = await setUp()
    const second = createLeader({
      reports: inner,
      rollout: "demo",
      follower,
      clock,
      actor: { kind: "controller", id: "second" },
      source: { read: healthy },
    })
    const beat = async (ms = 5000): Promise<void> => {
      clock.advance(ms)
      await clock.settle()
    }
    return { inner, first, second, evidence, beat, stop }
  }
  const judged = (report: Report | null) => report?.verdict != null

  it("do not both judge: the second follows, and says so", async () => {
    const { inner, first, second, evidence, beat, stop } = await two()
    evidence(healthy)
    for (let n = 0; n < 4; n++) await beat()
    expect(judged(first.report())).toBe(true)
    expect(second.report()).toMatchObject({
      verdict: null,
      problem: "test judges this rollout; this process only follows",
    })
    expect(parseReport((await inner.get(reportKey("demo")))!.envelope)).toMatchObject({ by: "test" })
    await second.close()
    expect(parseReport((await inner.get(reportKey("demo")))!.envelope)).toMatchObject({ by: "test" })
    await stop()
  })

  it("hand over at once when the first closes", async () => {
    const { first, second, beat, stop } = await two()
    await beat()
    await first.close()
    await beat()
    await beat()
    expect(second.report()?.problem).toBeUndefined()
    expect(judged(second.report())).toBe(true)
    await second.close()
    await stop()
  })
})

describe("a leader that finds another's report", () => {
  async function find(at: number) {
    const clock = fakeClock(T0)
    const inner = memoryStore()
    const { store, turn } = unreliable(inner)
    await ensureState(inner, spec, human, T0)
    await act(inner, "demo", { type: "start", spec, salt: newSalt(), actor: human, reason: "" }, () => T0)
    const report = { format: "serin/report/1", rollout: "demo", by: "other", at }
    await inner.compareAndSet(reportKey("demo"), 0, JSON.stringify(report))
    const follower = await createWritingFollower({ store: inner, rollout: "demo", clock })
    const leader = createLeader({
      reports: store,
      rollout: "demo",
      follower,
      clock,
      actor: controller,
      source: { read: healthy },
    })
    const beat = async (ms = 5000): Promise<Report> => {
      clock.advance(ms)
      await clock.settle()
      return leader.report()!
    }
    const stop = async (): Promise<void> => {
      await leader.close()
      follower.close()
    }
    return { inner, leader, beat, turn, stop }
  }

  it("judges when that is three intervals old, and not before", async () => {
    const { inner, beat, stop } = await find(T0)
    for (let n = 0; n < 3; n++) expect(await beat()).toMatchObject({ verdict: null, problem: /other judges/ })
    expect(parseReport((await inner.get(reportKey("demo")))!.envelope)).toMatchObject({ by: "test", verdict: null })
    const report = await beat()
    expect(report).toMatchObject({ verdict: { result: "pass" }, by: "test" })
    expect(report.problem).toBeUndefined()
    await stop()
  })

  it.each([
    ["long ago", T0 - 15_000],
    ["ahead, from before the clock was set back", T0 + 86_400_000],
  ])("judges at once when that is from %s", async (_, at) => {
    const { leader, stop } = await find(at)
    expect(await leader.tick()).toMatchObject({ verdict: { result: "pass" } })
    await stop()
  })

  it("judges when that would be old by now and the store cannot tell", async () => {
    const { leader, beat, turn, stop } = await find(T0)
    expect((await leader.tick()).problem).toContain("other judges")
    turn("down")
    for (let n = 0; n < 3; n++) await beat()
    expect(await beat()).toMatchObject({ verdict: { result: "pass" } })
    turn("fine")
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
