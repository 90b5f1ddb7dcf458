import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { reportKey, stateKey, verdictKey } from "../../src/controller/keys.js"
import { createLeader } from "../../src/controller/leader.js"
import { parseReport } from "../../src/controller/report.js"
import type { Report } from "../../src/controller/report.js"
import { act, ensureState, newSalt, pastStates, readState } from "../../src/controller/verbs.js"
import { SerinError } from "../../src/errors.js"
import type { Diff } from "../../src/evidence/diffs.js"
import type { Evidence } from "../../src/model/evidence.js"
import { phaseOf } from "../../src/rollout/phase.js"
import type { StateStore } from "../../src/rollout/store.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { fileStore } from "../../src/stores/file.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import type { FakeClock } from "../../src/testing/fake-clock.js"
import { spec, T0 } from "../guard/harness.js"
import { paired } from "./evidence.js"
import { unreliable } from "./unreliable.js"

const human = { kind: "human", id: "ada" } as const
const controller = { kind: "controller", id: "test" } as const

async function setUp(
  wrap: (store: StateStore) => StateStore = (store) => store,
  diffs?: () => readonly Diff[],
  lasting = false,
) {
  const clock = fakeClock(T0)
  const inner = memoryStore()
  const store = wrap(inner)
  await ensureState(inner, spec, human, clock.now())
  await act(inner, "demo", { type: "start", spec, salt: newSalt(), actor: human, reason: "try" }, () => clock.now())
  const follower = await createWritingFollower({ store, rollout: "demo", clock })
  let evidence: () => Promise<Evidence | null> = () => Promise.resolve(null)
  const asked: [generation: number | undefined, salt: string | undefined][] = []
  const leader = createLeader({
    store: store,
    rollout: "demo",
    follower,
    clock,
    actor: controller,
    source: { lasting, read: (query) => (asked.push([query?.generation, query?.salt]), evidence()) },
    diffs,
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

  it("judges, reports and keeps its verdicts although nobody who is trusted signed the report and the verdict that are there", async () => {
    const strict = (store: StateStore): StateStore => ({
      ...store,
      async get(key, options) {
        const found = await store.get(key, options)
        if (found?.envelope !== "forged") return found
        throw new SerinError("STATE_UNTRUSTED", "it is not signed", { revision: found.revision })
      },
    })
    const { leader, evidence, inner, stop } = await setUp(strict, undefined, true)
    for (const key of [reportKey("demo"), verdictKey("demo")]) {
      const revision = (await inner.get(key))?.revision ?? 0
      await inner.compareAndSet(key, revision, "forged")
    }
    evidence(broken)
    const { verdict, problem } = await leader.tick()
    expect([verdict?.result, problem]).toEqual(["breach", undefined])
    await stop()
    expect(parseReport((await inner.get(reportKey("demo")))!.envelope)?.verdict?.result).toBe("breach")
    expect((await inner.get(verdictKey("demo")))!.envelope).toContain("breach")
  })

  it("reports what was disagreed about when the verdict was made, and not what came while it was written", async () => {
    let sessions = 0
    const counting = (store: StateStore): StateStore => ({
      ...store,
      compareAndSet: (...write) => ((sessions += 1), store.compareAndSet(...write)),
    })
    const diff = { action: "a", stable: { outcome: "allow" }, canary: { outcome: "deny" }, calls: 9 } as const
    const { clock, leader, evidence, stop } = await setUp(counting, () => [{ ...diff, sessions }])
    evidence(healthy)
    await leader.tick()
    clock.advance(3_600_000)
    await clock.settle()
    const before = sessions
    const { diffs } = await leader.tick()
    expect(sessions).toBeGreaterThan(before)
    expect(diffs).toEqual([{ ...diff, sessions: before }])
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
    expect(state?.revision).toBe(5)
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
    const { leader, evidence, asked, follower, stop } = await setUp()
    evidence(healthy)
    await leader.tick()
    expect(asked).toEqual([[1, follower.current()!.salt]])
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

  it("ignores evidence of a generation of the same number, from before the store went back", async () => {
    const { leader, evidence, follower, inner, stop } = await setUp()
    evidence(async () => ({ ...(await broken()), salt: "lost" }))
    expect((await leader.tick()).verdict).toBeNull()
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("shadow")
    evidence(async () => ({ ...(await broken()), salt: follower.current()!.salt }))
    await leader.tick()
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("rolled_back")
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

describe("a report that was given up and arrives after all", () => {
  it("does not take the place of the last one", async () => {
    let late = false
    const { leader, evidence, inner, stop } = await setUp((store) => ({
      ...store,
      async compareAndSet(key, revision, text, options) {
        if (late && key === reportKey("demo")) {
          late = false
          await inner.compareAndSet(key, revision, JSON.stringify({ ...leader.report(), verdict: null }), options)
        }
        return inner.compareAndSet(key, revision, text, options)
      },
    }))
    evidence(broken)
    await leader.tick()
    late = true
    await stop()
    expect(late).toBe(false)
    const last = parseReport((await inner.get(reportKey("demo")))!.envelope)
    expect(last?.verdict?.result).toBe("breach")
    expect(last?.by).toBeUndefined()
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
      store: inner,
      rollout: "demo",
      follower,
      clock,
      actor: { kind: "controller", id: "second" },
      source: { read: healthy },
    })
    /** Time passes as it does: a second at a time. */
    const pass = async (ms = 5000): Promise<void> => {
      for (let at = 0; at < ms; at += 1000) {
        clock.advance(1000)
        await clock.settle()
      }
    }
    const stored = async () => parseReport((await inner.get(reportKey("demo")))!.envelope)
    return { clock, inner, first, second, evidence, pass, stored, stop }
  }
  const judged = (report: Report | null) => report?.verdict != null

  it("do not both judge: the second follows, and says so", async () => {
    const { first, second, evidence, pass, stored, stop } = await two()
    evidence(healthy)
    await pass(20_000)
    expect(judged(first.report())).toBe(true)
    expect(second.report()).toMatchObject({
      verdict: null,
      problem: "test judges this rollout; this process only follows",
    })
    expect(await stored()).toMatchObject({ by: "test" })
    await second.close()
    expect(await stored()).toMatchObject({ by: "test" })
    await stop()
  })

  it("hand over at once when the first closes: the next look is the second's", async () => {
    const { inner, first, second, evidence, pass, stored, stop } = await two()
    evidence(healthy)
    await pass()
    await first.close()
    expect((await stored())?.by).toBeUndefined()
    await pass()
    expect(second.report()?.problem).toBeUndefined()
    expect(judged(second.report())).toBe(true)
    expect(await stored()).toMatchObject({ by: "second" })
    expect((await readState(inner, "demo"))?.epoch).toBe(2)
    await second.close()
    await stop()
  })

  it("act on one rollout although the wall clock jumps", async () => {
    const { clock, first, second, evidence, pass, stop } = await two()
    evidence(healthy)
    for (const by of [86_400_000, -86_400_000]) {
      clock.setWall(clock.now() + by)
      await pass(10_000)
      expect(second.report()?.problem).toContain("test judges")
    }
    expect(judged(first.report())).toBe(true)
    await second.close()
    await stop()
  })
})

describe("while nobody knows who leads", () => {
  async function leaderless() {
    const demo = await inBreach()
    demo.evidence(healthy)
    await demo.leader.tick()
    return demo
  }

  it("a breach acts in this process alone, and is written under the lead that it gets back", async () => {
    const { clock, leader, evidence, local, stored, turn, stop } = await leaderless()
    turn("down")
    clock.advance(60_000)
    await clock.settle()
    evidence(() => Promise.resolve(paired(1, 3, 200, (n) => n % 2 === 0)))
    expect((await leader.tick()).problem).toContain("down")
    expect(local().phase).toBe("rolled_back")
    expect((await stored()).phase).toBe("canary")
    turn("fine")
    await leader.tick()
    expect((await stored()).phase).toBe("rolled_back")
    await stop()
  })

  it("nothing is raised", async () => {
    let turn: ReturnType<typeof unreliable>["turn"] = () => {}
    const { clock, leader, evidence, inner, stop } = await setUp((inner) => {
      const made = unreliable(inner)
      turn = made.turn
      return made.store
    })
    evidence(healthy)
    turn("read-only")
    clock.advance(3_600_000)
    await clock.settle()
    expect((await leader.tick()).problem).toBe("test does not lead demo: STORE_UNAVAILABLE: down")
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("shadow")
    turn("fine")
    await leader.tick()
    expect(phaseOf((await readState(inner, "demo"))!).phase).toBe("canary")
    await stop()
  })
})

describe("a leader that was paused", () => {
  /** Its write is on its way, and arrives when another one leads. */
  async function paused(inner: StateStore, stop: () => Promise<void>) {
    const clock = fakeClock(T0)
    await ensureState(inner, spec, human, T0)
    await act(inner, "demo", { type: "start", spec, salt: newSalt(), actor: human, reason: "" }, () => T0)
    let holding = false
    let release = (): void => {}
    const slow: StateStore = {
      ...inner,
      async compareAndSet(key, ...rest) {
        if (holding && key === stateKey("demo")) await new Promise<void>((resolve) => (release = resolve))
        return inner.compareAndSet(key, ...rest)
      },
    }
    const begin = async (store: StateStore, id: string, own: FakeClock) => {
      const follower = await createWritingFollower({ store, rollout: "demo", clock: own })
      const source = { read: () => Promise.resolve(paired(1, follower.current()!.ramp.length + 1, 400, () => false)) }
      const actor = { kind: "controller", id } as const
      const leader = createLeader({ store, rollout: "demo", follower, clock: own, actor, source })
      await leader.seated
      return { leader, follower }
    }
    const first = await begin(slow, "first", clock)
    return { clock, first, begin, inner, hold: () => void (holding = true), release: () => release(), stop }
  }

  it.each([
    ["memory", () => Promise.resolve({ store: memoryStore(), stop: () => Promise.resolve() })],
    ["files", inFolder],
  ] as const)("writes nothing that it began before it was replaced, in a store of %s", async (_, make) => {
    const made = await make()
    const { clock, first, begin, inner, hold, release, stop } = await paused(made.store, made.stop)
    clock.advance(3_600_000)
    hold()
    const tick = first.leader.tick()
    // The other's clock goes on; that of the one that sleeps stands still.
    const other = fakeClock(T0 + 3_600_000)
    const second = await begin(inner, "second", other)
    await expect
      .poll(async () => {
        other.advance(500)
        await other.settle()
        return (await readState(inner, "demo"))?.epoch
      })
      .toBe(2)
    release()
    await clock.settle()
    await expect.poll(async () => (clock.advance(500), await Promise.race([tick, clock.settle()]))).toBeTruthy()
    const { problem } = await tick
    expect(problem).toMatch(/epoch 2|does not lead/)
    const by = []
    for await (const { last } of pastStates(inner, "demo")) by.push(`${last.event} ${last.actor.id}`)
    expect(by.filter((entry) => /advance/.test(entry)).every((entry) => entry.endsWith("second"))).toBe(true)
    for (const { leader, follower } of [first, second]) {
      await leader.close()
      follower.close()
    }
    await stop()
  })

  async function inFolder() {
    const dir = await mkdtemp(join(tmpdir(), "serin-leader-"))
    return { store: fileStore({ dir }), stop: () => rm(dir, { recursive: true, force: true }) }
  }
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
