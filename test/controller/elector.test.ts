import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createElector } from "../../src/controller/elector.js"
import type { Elector, ElectorOptions } from "../../src/controller/elector.js"
import { leaderKey } from "../../src/controller/keys.js"
import { SerinError } from "../../src/errors.js"
import { parseBeat, serializeBeat } from "../../src/rollout/beat.js"
import type { StateStore } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { signedStore } from "../../src/stores/signed.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import type { FakeClock } from "../../src/testing/fake-clock.js"
import { stateWith, T0 } from "../guard/harness.js"
import { runs } from "../runs.js"
import { keyPair, trusting } from "../signing/keys.js"

const KEY = leaderKey("demo")

/** Run what is resolved already: nothing here waits for more than promises and the clock. */
async function drain(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve()
}

async function pass(clock: FakeClock, ms: number, everyMs = 50, look: () => void = () => {}): Promise<void> {
  for (let at = 0; at < ms; at += everyMs) {
    clock.advance(Math.min(everyMs, ms - at))
    await drain()
    look()
  }
}

function election(clock = fakeClock(T0), store: StateStore = memoryStore()) {
  const join = (id: string, options: Partial<ElectorOptions> = {}): Elector =>
    createElector({ store, rollout: "demo", id, clock, state: () => null, ...options })
  const document = async () => parseBeat((await store.get(KEY))!.envelope)
  return { clock, store, join, document }
}

/** A store without hints, whose every operation takes as long as it is told, before and after it is done; one may lose its answer. */
function far(inner: StateStore, clock: FakeClock, next: () => Weather): StateStore {
  const wait = (ms: number) => (ms === 0 ? Promise.resolve() : new Promise<void>((end) => clock.schedule(end, ms)))
  const slowly = async <T>(work: () => Promise<T>): Promise<T> => {
    const { before, after, lost } = next()
    await wait(before)
    const answer = await work()
    await wait(after)
    if (lost) throw new SerinError("STORE_AMBIGUOUS", "the answer was lost")
    return answer
  }
  return {
    ...inner,
    watch: () => {},
    get: (key) => slowly(() => inner.get(key)),
    compareAndSet: (key, revision, text, options) =>
      slowly(() => inner.compareAndSet(key, revision, text, { keep: options?.keep })),
  }
}

interface Weather {
  readonly before: number
  readonly after: number
  readonly lost: boolean
}
const FINE: Weather = { before: 0, after: 0, lost: false }

describe("an elector", () => {
  it("leads at once where nobody has led, beats every second, and keeps two revisions", async () => {
    const { clock, store, join, document } = election()
    const one = join("one", { state: () => stateWith({ revision: 7 }) })
    await one.seated
    expect(one.leading()).toBe(1)
    await pass(clock, 3000)
    expect(await document()).toEqual({
      format: "serin/leader/1",
      rollout: "demo",
      epoch: 1,
      beat: 4,
      holder: "one",
      revision: 7,
      takeoverAfterMs: 3000,
      ledMs: 3000,
    })
    let kept = 0
    for await (const _ of store.history(KEY)) kept++
    expect(kept).toBe(2)
    await one.close()
    expect(clock.pending()).toBe(0)
  })

  it("says with each beat how long it has led, also over a sleep that stopped its monotonic clock, and begins anew with each lead", async () => {
    const { clock, join, document } = election()
    const one = join("one")
    await one.seated
    expect(await document()).toMatchObject({ epoch: 1, ledMs: 0 })
    await pass(clock, 2000)
    // Set back it changes nothing, set forward it counts: a reader whose clock went on would take the beats for late.
    clock.setWall(T0 - 3_600_000)
    await pass(clock, 2000)
    expect(await document()).toMatchObject({ epoch: 1, ledMs: 4000 })
    clock.setWall(clock.now() + 60_000)
    await pass(clock, 1000)
    expect(await document()).toMatchObject({ epoch: 1, ledMs: 65_000 })
    await one.close()
    const two = join("two")
    await two.seated
    await pass(clock, 1000)
    expect(await document()).toMatchObject({ epoch: 2, ledMs: 1000 })
    await two.close()
  })

  it("lets the next one lead at once when it leaves, under a new epoch", async () => {
    const { clock, join, document } = election()
    const one = join("one")
    await one.seated
    const two = join("two")
    await two.seated
    expect([two.leading(), two.rival()]).toEqual([null, "one"])
    await one.close()
    await drain()
    expect([one.leading(), two.leading(), two.rival()]).toEqual([null, 2, null])
    await pass(clock, 1000)
    expect(await document()).toMatchObject({ epoch: 2, holder: "two", beat: 4 })
    await two.close()
    expect(await document()).toMatchObject({ epoch: 2, holder: null })
  })

  it.each([
    ["in a store without keys", '{"format":"serin/leader/1"', false],
    ["that nobody signed, where keys are trusted", '{"format":"serin/leader/1","holder":"mallory"}', true],
    ["that is no text for anybody, where keys are trusted", "\u0000", true],
  ])(
    "writes over a document that cannot be read, %s, when it has not changed for as long",
    async (_, garbage, signs) => {
      const key = keyPair()
      const inner = memoryStore()
      const trustedKeys = trusting(key)
      const store = signs ? signedStore(inner, { trustedKeys, signWith: key.privatePem }) : inner
      const { clock, join, document } = election(fakeClock(T0), store)
      await inner.compareAndSet(KEY, 0, garbage)
      const one = join("one", { state: () => stateWith({ epoch: 6 }) })
      await one.seated
      expect(one.problem()).toMatch(signs ? /STATE_UNTRUSTED: demo\/leader is not trusted/ : /STATE_INVALID/)
      await pass(clock, 2900)
      expect(one.leading()).toBeNull()
      // Whoever goes on writing there lives, whatever he is; people have to be told why nobody leads.
      await inner.compareAndSet(KEY, 1, `${garbage} `)
      await pass(clock, 2900)
      expect(one.leading()).toBeNull()
      const refusal = signs ? /one does not lead demo: STATE_UNTRUSTED/ : /one does not lead demo: STATE_INVALID/
      expect(() => one.fence(stateWith())).toThrow(refusal)
      await pass(clock, 1100)
      expect(one.leading()).toBe(7)
      expect(one.problem()).toBeUndefined()
      expect(await document()).toMatchObject({ epoch: 7, holder: "one" })
      // And what is put there while it leads: it asks again, as of anybody who took its place.
      await inner.compareAndSet(KEY, (await inner.get(KEY))!.revision, garbage)
      await pass(clock, 1000)
      expect(one.problem()).toBeDefined()
      await pass(clock, 4000)
      expect(one.leading()).toBe(8)
      await one.close()
    },
  )

  it("takes over within 4 s of the moment at which the leader dies, whatever the phase, without hints and wall clocks", async () => {
    const phases = fc.tuple(fc.integer({ min: 0, max: 2999 }), fc.integer({ min: 0, max: 999 }))
    await fc.assert(
      fc.asyncProperty(phases, async ([dies, joins]) => {
        const clock = fakeClock(T0)
        const inner = memoryStore()
        let isDead = false
        const down = () => Promise.reject(new SerinError("STORE_UNAVAILABLE", "dead"))
        const first = far(inner, clock, () => FINE)
        const dying: StateStore = {
          ...first,
          compareAndSet: (...args) => (isDead ? down() : first.compareAndSet(...args)),
        }
        const { join } = election(
          clock,
          far(inner, clock, () => FINE),
        )
        const one = join("one", { store: dying })
        await one.seated
        await pass(clock, joins, 100)
        const two = join("two")
        await pass(clock, dies, 100)
        isDead = true
        clock.setWall(T0 - 86_400_000)
        let took = 0
        while (two.leading() === null && took < 5000) {
          await pass(clock, 20, 20)
          took += 20
          expect(one.leading() !== null && two.leading() !== null).toBe(false)
        }
        expect(took).toBeLessThanOrEqual(4000)
        await one.close()
        await two.close()
      }),
      { numRuns: runs(15) },
    )
  })

  it("counts no write that came later than its lease, and goes on when what it wrote turns out to be its own", async () => {
    const { clock, store, join } = election()
    let weather = FINE
    const one = join("one", { store: far(store, clock, () => weather) })
    await pass(clock, 1500)
    expect(one.leading()).toBe(1)
    weather = { ...FINE, lost: true }
    await pass(clock, 3000)
    expect(one.leading()).toBeNull()
    expect(one.problem()).toContain("STORE_AMBIGUOUS")
    weather = FINE
    await pass(clock, 500)
    expect(one.leading()).toBe(1)
    expect(one.problem()).toBeUndefined()
    await one.close()
  })

  it("goes above all that it has seen, and above the state, when the document went back or is gone", async () => {
    const { clock, store, join, document } = election()
    const old = { format: "serin/leader/1", rollout: "demo", epoch: 5, beat: 50, holder: null } as const
    await store.compareAndSet(KEY, 0, serializeBeat({ ...old, revision: 1, takeoverAfterMs: 3000, ledMs: 0 }))
    const one = join("one", { state: () => ({ revision: 1, epoch: 9 }) })
    await one.seated
    expect(one.leading()).toBe(10)
    await store.remove(KEY)
    await pass(clock, 2000)
    expect(one.leading()).toBeNull()
    await pass(clock, 3000)
    expect(one.leading()).toBe(11)
    expect((await document()).beat).toBeGreaterThan(51)
    await one.close()
  })

  it("waits as anybody does where a document of its own comes back that is older than what it has seen since", async () => {
    for (let after = 6000; after < 7000; after += 250) await restoreAndUndo(after)
  })

  async function restoreAndUndo(afterMs: number): Promise<void> {
    const clock = fakeClock(T0)
    const [real, restored] = [memoryStore(), memoryStore()]
    let behind: StateStore = real
    // No hints: what is behind them changes without any.
    const store: StateStore = {
      ...real,
      watch: () => {},
      get: (...asked) => behind.get(...asked),
      compareAndSet: (...asked) => behind.compareAndSet(...asked),
    }
    const one = createElector({ store, rollout: "demo", id: "one", clock, state: () => ({ revision: 1, epoch: 5 }) })
    await pass(clock, 5050)
    // A restored backup is put in its place, which another leads by, and then it comes back.
    const old = { format: "serin/leader/1", rollout: "demo", epoch: 1, beat: 2, holder: "old", revision: 1 } as const
    await restored.compareAndSet(KEY, 0, serializeBeat({ ...old, takeoverAfterMs: 3000, ledMs: 0 }))
    behind = restored
    const two = createElector({ store, rollout: "demo", id: "two", clock, state: () => null })
    const look = (): void => expect([one.leading(), two.leading()]).toContain(null)
    await pass(clock, afterMs, 50, look)
    expect(two.leading()).toBe(2)
    behind = real
    await pass(clock, 10_000, 50, look)
    expect([one.leading(), two.leading()].filter((epoch) => epoch !== null)).toHaveLength(1)
    for (const each of [one, two]) await each.close()
  }

  it("waits as long for a document that cannot be read as for any other", async () => {
    const { clock, store, join } = election()
    await store.compareAndSet(KEY, 0, '{"format":"serin/leader/9"}')
    const one = join("one")
    await pass(clock, 2900)
    expect([one.leading(), one.rival()]).toEqual([null, null])
    await pass(clock, 200)
    expect(one.leading()).toBe(1)
    await one.close()
  })

  it("waits as long as the holder asks for, who may beat more rarely", async () => {
    const { clock, join } = election()
    const rare = join("rare", { beatEveryMs: 5000, takeoverAfterMs: 15_000 })
    await rare.seated
    const one = join("one")
    await pass(clock, 20_000)
    expect([rare.leading(), one.leading()]).toEqual([1, null])
    await rare.close()
    await one.close()
  })

  it("refuses to write over the state of a later leader, and comes back above it", async () => {
    const { clock, join } = election()
    const one = join("one")
    await one.seated
    one.fence(stateWith({ epoch: 1 }))
    const refusal = expect.objectContaining({ code: "NOT_LEADING", message: expect.stringContaining("epoch 4") })
    expect(() => one.fence(stateWith({ epoch: 4 }))).toThrow(refusal)
    expect(() => one.fence(stateWith())).toThrow(/does not lead/)
    await pass(clock, 4000)
    expect(one.leading()).toBe(5)
    one.fence(stateWith({ epoch: 4 }))
    await one.close()
  })

  it("refuses times that do not fit", () => {
    for (const times of [{ beatEveryMs: 3000 }, { beatEveryMs: 0 }, { takeoverAfterMs: 1e9 }]) {
      expect(() => election().join("one", times)).toThrow(/0 < beatEveryMs < takeoverAfterMs/)
    }
  })
})

describe("candidates in a bad network", () => {
  const ms = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(0, 10, 100) },
    { weight: 3, arbitrary: fc.constantFrom(400, 900) },
    { weight: 1, arbitrary: fc.constantFrom(1100, 2500, 4000) },
  )
  const weather = fc.record({ before: ms, after: ms, lost: fc.constantFrom(false, false, false, false, true) })
  const cut = fc.record({ of: fc.nat({ max: 2 }), from: fc.nat({ max: 8000 }), ms: fc.nat({ max: 6000 }) })
  const plan = fc.record({
    weathers: fc.array(weather, { minLength: 20, maxLength: 60 }),
    cuts: fc.array(cut, { maxLength: 4 }),
    ends: fc.array(fc.constantFrom("leave", "stay", "stay"), { minLength: 3, maxLength: 3 }),
  })

  it("never lead two at once, and each epoch is one candidate's", async () => {
    let lead = 0
    await fc.assert(
      fc.asyncProperty(plan, async ({ weathers, cuts, ends }) => {
        const clock = fakeClock(T0)
        const inner = memoryStore()
        let n = 0
        let isCalm = false
        const storeOf = (of: number) =>
          far(inner, clock, () => {
            if (isCalm) return FINE
            const at = clock.monotonic()
            // Cut off: it is done too late for anybody to hear of it, if at all.
            const isCut = cuts.some((cut) => cut.of === of && at >= cut.from && at < cut.from + cut.ms)
            return isCut ? { before: 5000, after: 0, lost: true } : (weathers[n++] ?? FINE)
          })
        const { join } = election(clock)
        const all: Elector[] = []
        const holders = new Map<number, number>()
        const look = (): void => {
          const leaders = all.flatMap((one, i) => (one.leading() === null ? [] : [i]))
          expect(leaders.length).toBeLessThanOrEqual(1)
          for (const i of leaders) {
            const epoch = all[i]!.leading()!
            expect(holders.get(epoch) ?? i).toBe(i)
            holders.set(epoch, i)
          }
        }
        for (const i of [0, 1, 2]) {
          all.push(join(`candidate-${i}`, { store: storeOf(i) }))
          await pass(clock, 700, 50, look)
        }
        await pass(clock, 6000, 50, look)
        for (const [i, end] of ends.entries()) if (end === "leave") void all[i]!.close()
        await pass(clock, 6000, 50, look)
        isCalm = true
        // What is under way, a wait, a beat.
        await pass(clock, 10_000, 50, look)
        if (ends.includes("stay")) expect(all.some((one) => one.leading() !== null)).toBe(true)
        lead += holders.size
        for (const one of all) void one.close()
        await pass(clock, 12_000, 500)
        expect(clock.pending()).toBe(0)
      }),
      { numRuns: runs(15) },
    )
    expect(lead).toBeGreaterThan(runs(15) / 3)
  })
})
