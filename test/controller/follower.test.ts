import { describe, expect, it, vi } from "vitest"
import { createFollower } from "../../src/controller/follower.js"
import { stateKey } from "../../src/controller/keys.js"
import { SerinError } from "../../src/errors.js"
import { serializeState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { ReadStore, StateStore, Versioned } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, stateWith as anyState, T0 } from "../guard/harness.js"

const key = stateKey("demo")

/** A state that passes every check: in shadow. */
const stateWith = (differs: Partial<RolloutState>): RolloutState =>
  anyState({ ramp: [{ at: T0, weightBp: 0, stage: 0 }], ...differs })

/** A store whose answers the test decides. */
function scripted(first: () => Promise<Versioned | null>) {
  let answer = first
  const store: StateStore = { ...memoryStore(), get: () => answer(), watch: () => {} }
  return { store, answer: (next: () => Promise<Versioned | null>) => void (answer = next) }
}

const document = (state: RolloutState, text = serializeState(state)): Promise<Versioned> =>
  Promise.resolve({ revision: state.revision, token: "t", envelope: text })

describe("the follower", () => {
  it("has read the state before it is given, and follows what is written", async () => {
    const store = memoryStore()
    const clock = fakeClock()
    await store.compareAndSet(key, 0, serializeState(stateWith({ revision: 1 })))
    const follower = await createFollower({ store, rollout: "demo", clock })
    expect(follower.current()?.revision).toBe(1)
    let changes = 0
    follower.onChange(() => changes++)
    await store.compareAndSet(key, 1, serializeState(stateWith({ revision: 2, kill: "stable" })))
    await clock.settle()
    expect(follower.current()).toMatchObject({ revision: 2, kill: "stable" })
    expect(changes).toBe(1)
    follower.close()
  })

  it("finds a change without a hint, at the next reconcile poll", async () => {
    const clock = fakeClock()
    const { store, answer } = scripted(() => document(stateWith({ revision: 1 })))
    const follower = await createFollower({ store, rollout: "demo", clock, pollEveryMs: 5000 })
    answer(() => document(stateWith({ revision: 2 })))
    clock.advance(4999)
    await clock.settle()
    expect(follower.current()?.revision).toBe(1)
    clock.advance(1)
    await clock.settle()
    expect(follower.current()?.revision).toBe(2)
    follower.close()
  })

  it("starts without a state when the store is down, says so, and recovers", async () => {
    const clock = fakeClock()
    const { store, answer } = scripted(() => Promise.reject(new Error("connection refused")))
    const follower = await createFollower({ store, rollout: "demo", clock })
    expect(follower.current()).toBeNull()
    expect(follower.status().problem).toMatchObject({ code: "store_unreachable", message: "connection refused" })
    answer(() => document(stateWith({ revision: 7 })))
    await follower.poll()
    expect(follower.current()?.revision).toBe(7)
    expect(follower.status()).toEqual({ confirmedAt: clock.now() })
    follower.close()
  })

  it("gives a read two seconds and then keeps what it has", async () => {
    const clock = fakeClock()
    const { store, answer } = scripted(() => document(stateWith({ revision: 1 })))
    const follower = await createFollower({ store, rollout: "demo", clock })
    answer(() => new Promise(() => {}))
    const poll = follower.poll()
    clock.advance(2000)
    await poll
    expect(follower.current()?.revision).toBe(1)
    expect(follower.status().problem).toMatchObject({ code: "store_unreachable" })
    follower.close()
  })

  const current = stateWith({ revision: 5 })
  it.each<[string, string, () => Promise<Versioned | null>]>([
    ["a document that is gone", "store_unreachable", () => Promise.resolve(null)],
    [
      "an older revision (replay, restored backup)",
      "rejected_older_revision",
      () => document(stateWith({ revision: 4 })),
    ],
    [
      "the same revision with other content",
      "rejected_same_revision",
      () => document(stateWith({ revision: 5, salt: "other" })),
    ],
    [
      "another rollout's state",
      "rejected_other_rollout",
      () => document(stateWith({ revision: 6, rollout: "other", spec: { ...spec, rollout: "other" } })),
    ],
    ["text that is not JSON", "rejected_invalid", () => document(current, "{")],
    ["a truncated document", "rejected_invalid", () => document(current, serializeState(current).slice(0, -20))],
    ["a document that is too large", "rejected_invalid", () => document(current, " ".repeat(2 ** 20))],
    [
      "a polluted prototype",
      "rejected_invalid",
      () => document(current, serializeState(stateWith({ revision: 6 })).replace("{", '{"__proto__":{"kill":"off"},')),
    ],
  ])("keeps the state in force when it is given %s", async (_, code, bad) => {
    const clock = fakeClock()
    const { store, answer } = scripted(() => document(current))
    const follower = await createFollower({ store, rollout: "demo", clock })
    let changes = 0
    follower.onChange(() => changes++)
    answer(bad)
    await follower.poll()
    expect(follower.current()).toEqual(current)
    expect(changes).toBe(0)
    expect(follower.status().problem?.code).toBe(code)
    follower.close()
  })

  it.each<[string, number]>([
    ["an older revision, from a store that was wiped and begun anew", 2],
    ["the same revision with other content, from such a store", 5],
  ])("obeys the kill switch of %s, and nothing else of it", async (_, revision) => {
    const clock = fakeClock()
    const { store, answer } = scripted(() => document(current))
    const follower = await createFollower({ store, rollout: "demo", clock })
    let changes = 0
    follower.onChange(() => changes++)
    const anew = { revision, generation: 9, salt: "other" }
    answer(() => document(stateWith({ ...anew, kill: "stable" })))
    await follower.poll()
    await follower.poll()
    expect(follower.current()).toMatchObject({ kill: "stable", generation: 1, salt: "salt" })
    expect(changes).toBe(1)
    expect(follower.status().problem?.message).toContain("its kill switch is obeyed")
    answer(() => document(stateWith({ ...anew, kill: "deny" })))
    await follower.poll()
    expect(follower.current()?.kill).toBe("deny")
    for (const kill of ["stable", "off"] as const) {
      answer(() => document(stateWith({ ...anew, kill })))
      await follower.poll()
      expect(follower.current()?.kill).toBe("deny")
    }
    answer(() => document(stateWith({ revision: 6 })))
    await follower.poll()
    expect(follower.current()).toMatchObject({ revision: 6, kill: "off" })
    follower.close()
  })

  it("cannot be made to lift a lockdown by a replayed kill", async () => {
    const clock = fakeClock()
    const { store, answer } = scripted(() => document(stateWith({ revision: 5, kill: "deny" })))
    const follower = await createFollower({ store, rollout: "demo", clock })
    answer(() => document(stateWith({ revision: 4, kill: "stable" })))
    await follower.poll()
    expect(follower.current()).toMatchObject({ revision: 5, kill: "deny" })
    follower.close()
  })

  it("cannot be made to end a containment by a replayed kill at stable; a lockdown is obeyed", async () => {
    const clock = fakeClock()
    const contained = stateWith({ revision: 5, ended: { kind: "contained", at: T0 } })
    const { store, answer } = scripted(() => document(contained))
    const follower = await createFollower({ store, rollout: "demo", clock })
    answer(() => document(stateWith({ revision: 4, kill: "stable" })))
    await follower.poll()
    expect(follower.current()).toEqual(contained)
    expect(follower.status().problem?.message).not.toContain("is obeyed")
    answer(() => document(stateWith({ revision: 4, kill: "deny" })))
    await follower.poll()
    expect(follower.current()).toMatchObject({ revision: 6, kill: "deny" })
    expect(follower.status().problem?.message).toContain("its kill switch is obeyed")
    follower.close()
  })

  it("sees what is written between its first read and its watch", async () => {
    const clock = fakeClock()
    const inner = memoryStore()
    await inner.compareAndSet(key, 0, serializeState(stateWith({ revision: 1 })))
    let reads = 0
    const store: StateStore = {
      ...inner,
      async get(...args) {
        const found = await inner.get(...args)
        if (reads++ === 0) await inner.compareAndSet(key, 1, serializeState(stateWith({ revision: 2, kill: "deny" })))
        return found
      },
    }
    const follower = await createFollower({ store, rollout: "demo", clock })
    await clock.settle()
    expect(follower.current()?.kill).toBe("deny")
    follower.close()
  })

  it("tells every listener, also after one that throws, and blames the store for nothing", async () => {
    const clock = fakeClock()
    const { store, answer } = scripted(() => document(current))
    const follower = await createFollower({ store, rollout: "demo", clock })
    let told = 0
    follower.onChange(() => {
      throw new Error("its own fault")
    })
    follower.onChange(() => told++)
    answer(() => document(stateWith({ revision: 6 })))
    await follower.poll()
    expect(told).toBe(1)
    expect(follower.status().problem).toBeUndefined()
    follower.close()
  })

  it("does not read again what it has, only that it is still there", async () => {
    const clock = fakeClock()
    const found = document(current)
    const { store } = scripted(() => found)
    const follower = await createFollower({ store, rollout: "demo", clock })
    const parse = vi.spyOn(JSON, "parse")
    clock.advance(1000)
    await follower.poll()
    expect(parse).not.toHaveBeenCalled()
    expect(follower.confirmedAt()).toBe(clock.now())
    parse.mockRestore()
    follower.close()
  })

  it("does not ask again after it was closed", async () => {
    const clock = fakeClock()
    let reads = 0
    const { store } = scripted(() => (reads++, document(current)))
    const follower = await createFollower({ store, rollout: "demo", clock })
    follower.close()
    clock.advance(60_000)
    await clock.settle()
    expect(reads).toBe(1)
  })
})

describe("the follower of a store that fails", () => {
  const up = (): Promise<Versioned> => document(stateWith({ revision: 1 }))
  const down = (): Promise<never> => Promise.reject(new SerinError("STORE_UNAVAILABLE", "connection refused"))

  /** A follower whose looks are counted, and whose hints the test gives. */
  async function follow(first: () => Promise<Versioned | null>, random = 1) {
    const clock = fakeClock()
    const looks: number[] = []
    let answer = first
    let hint = (): void => {}
    const signals: AbortSignal[] = []
    const store: ReadStore = {
      caps: memoryStore().caps,
      get(_key, options) {
        looks.push(clock.monotonic())
        signals.push(options!.signal!)
        return answer()
      },
      watch: (_key, given) => void (hint = given),
    }
    const follower = await createFollower({ store, rollout: "demo", clock, random: () => random })
    const pass = async (ms: number, step = 10): Promise<void> => {
      for (let passed = 0; passed < ms; passed += step) {
        clock.advance(step)
        for (let i = 0; i < 8; i++) await Promise.resolve()
      }
    }
    const gaps = (): number[] => looks.slice(1).map((at, i) => at - looks[i]!)
    const turn = (next: () => Promise<Versioned | null>): void => void (answer = next)
    return { clock, follower, looks, gaps, signals, pass, turn, hint: () => hint() }
  }

  it("asks again ever later, up to 2 s, and at the usual pace once it is answered", async () => {
    const { follower, gaps, pass, turn, looks } = await follow(down)
    await pass(10_000)
    expect(gaps()).toEqual([100, 200, 400, 800, 1600, 2000, 2000, 2000])
    turn(up)
    await pass(2000)
    expect(follower.current()?.revision).toBe(1)
    expect(follower.status().problem).toBeUndefined()
    const answered = looks.length
    await pass(10_000, 100)
    expect(looks.length).toBe(answered + 2)
    follower.close()
  })

  it("is never in a busy loop, whatever the jitter", async () => {
    const { follower, gaps, pass } = await follow(down, 0)
    await pass(2000)
    expect(new Set(gaps())).toEqual(new Set([50]))
    follower.close()
  })

  it("looks promptly on a hint, and not more often for a storm of them", async () => {
    const { follower, looks, pass, turn, hint } = await follow(down)
    await pass(9500)
    expect(looks.length).toBe(9)
    hint()
    expect(looks.length).toBe(10)
    await pass(100)
    turn(up)
    hint()
    await pass(10)
    expect(follower.current()?.revision).toBe(1)
    turn(down)
    hint()
    await pass(10)
    const before = looks.length
    for (let n = 0; n < 100; n++) {
      hint()
      await pass(10)
    }
    expect(looks.length - before).toBeLessThanOrEqual(1000 / 50)
    expect(looks.length - before).toBeGreaterThan(1000 / 100)
    follower.close()
  })

  it("abandons a read that hangs after 2 s, tells the store so, and asks anew", async () => {
    const { follower, looks, signals, pass, turn } = await follow(up)
    turn(() => new Promise(() => {}))
    await pass(5000)
    expect(signals.at(-1)!.aborted).toBe(false)
    await pass(2000)
    expect(signals.at(-1)!.aborted).toBe(true)
    turn(() => document(stateWith({ revision: 2, kill: "deny" })))
    await pass(100)
    expect(looks.length).toBe(3)
    expect(follower.current()?.kill).toBe("deny")
    follower.close()
  })

  it("hears of a kill within 8 s of it, when the connection stalls without a word", async () => {
    const { clock, follower, pass, turn } = await follow(up)
    await pass(10)
    const killedAt = clock.monotonic()
    turn(() => new Promise(() => {}))
    await pass(6900)
    turn(() => document(stateWith({ revision: 2, kill: "stable" })))
    while (follower.current()?.kill === "off") await pass(10)
    expect(clock.monotonic() - killedAt).toBeLessThan(8000)
    follower.close()
  })

  it("asks every 30 s while it is not let in, on a hint every 5 s, and never stops", async () => {
    const refuse = (): Promise<never> => Promise.reject(new SerinError("STORE_UNAUTHORIZED", "403"))
    const { follower, gaps, looks, pass, turn, hint } = await follow(refuse)
    await pass(120_000, 1000)
    expect(gaps()).toEqual([30_000, 30_000, 30_000, 30_000])
    expect(follower.status().problem).toMatchObject({ code: "store_unreachable", message: "STORE_UNAUTHORIZED: 403" })
    for (let n = 0; n < 10; n++) {
      hint()
      await pass(1000)
    }
    expect(looks.length).toBe(7)
    turn(up)
    await pass(30_000, 1000)
    expect(follower.current()?.revision).toBe(1)
    follower.close()
  })

  it("leaves nothing behind when it is closed in the middle of a read, and drops what comes late", async () => {
    const { clock, follower, signals, pass, turn } = await follow(up)
    let late = (_: Versioned): void => {}
    turn(() => new Promise((resolve) => (late = resolve)))
    const poll = follower.poll()
    follower.close()
    await poll
    expect(signals.at(-1)!.aborted).toBe(true)
    expect(clock.pending()).toBe(0)
    late(await document(stateWith({ revision: 2 })))
    await pass(60_000, 1000)
    expect(follower.current()?.revision).toBe(1)
    expect(follower.status().problem).toBeUndefined()
    expect(clock.pending()).toBe(0)
  })

  it("swallows what a store throws instead of rejecting, also when nobody waits any more", async () => {
    const { follower, pass, turn } = await follow(() => {
      throw new TypeError("not a store")
    })
    expect(follower.status().problem).toMatchObject({ code: "store_unreachable", message: "not a store" })
    let fail = (_: Error): void => {}
    turn(() => new Promise((_, reject) => (fail = reject)))
    await pass(100)
    follower.close()
    fail(new Error("late"))
    await pass(100)
  })
})
