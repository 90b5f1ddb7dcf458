import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createFollower } from "../../src/controller/follower.js"
import { leaderKey, stateKey } from "../../src/controller/keys.js"
import { serializeBeat } from "../../src/rollout/beat.js"
import { serializeState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { ReadStore, StateStore, Versioned } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { signedStore } from "../../src/stores/signed.js"
import { trustedStore } from "../../src/stores/trusted.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { stateWith, T0 } from "../guard/harness.js"
import { runs } from "../runs.js"
import { keyPair, sealed, trusting, type KeyPair } from "../signing/keys.js"

const [ana, ben, mallory] = [keyPair(), keyPair(), keyPair()] as [KeyPair, KeyPair, KeyPair]
const [STATE, LEADER] = [stateKey("demo"), leaderKey("demo")]
const LEASE_MS = 15_000

/** A canary at 5 %. */
const state = (revision: number, differs: Partial<RolloutState> = {}): RolloutState => {
  const ramp = [
    { at: T0, weightBp: 0, stage: 0 },
    { at: T0, weightBp: 500, stage: 1 },
  ]
  return stateWith({ revision, ramp, ...differs })
}

/** A leader that writes when it is told to. */
function createScribe(store: StateStore, signWith: readonly KeyPair[], trusts = signWith) {
  const signed = signedStore(store, {
    trustedKeys: trusting(...trusts),
    signWith: signWith.map(({ privatePem }) => privatePem),
  })
  const put = async (key: string, write: (revision: number) => string): Promise<void> => {
    const before = (await store.get(key))?.revision ?? 0
    expect(await signed.compareAndSet(key, before, write(before + 1))).toEqual({ ok: true })
  }
  return {
    state: (differs?: Partial<RolloutState>) => put(STATE, (revision) => serializeState(state(revision, differs))),
    async beat() {
      const revision = (await store.get(STATE))?.revision ?? 0
      const of = { format: "serin/leader/1", rollout: "demo", epoch: 1, holder: "h", takeoverAfterMs: 3000 } as const
      await put(LEADER, (beat) => serializeBeat({ ...of, beat, revision, ledMs: 1000 * beat }))
    },
  }
}

const followerOf = async (store: ReadStore, clock: ReturnType<typeof fakeClock>, ...keys: readonly KeyPair[]) =>
  createFollower({
    store: trustedStore(store, { trustedKeys: trusting(...keys) }),
    rollout: "demo",
    clock,
    canaryLeaseMs: LEASE_MS,
    random: () => 0.5,
  })

describe("a state key is changed under live processes", () => {
  it("without a gap: who trusts the old one goes on until it is restarted with the new one alone", async () => {
    const clock = fakeClock(T0)
    const store = memoryStore()
    const lead = async (scribe: ReturnType<typeof createScribe>, seconds: number, ...live: Followed[]) => {
      for (let i = 0; i < seconds; i++) {
        await scribe.beat()
        clock.advance(1000)
        await clock.settle()
        for (const follower of live) expect(follower.leaseOver()).toBe(false)
      }
    }
    type Followed = Awaited<ReturnType<typeof followerOf>>

    const old = createScribe(store, [ana])
    await old.state()
    await old.beat()
    const before = await followerOf(store, clock, ana)
    const both = await followerOf(store, clock, ana, ben)
    await lead(old, 10)
    expect([before, both].map((follower) => follower.leaseOver())).toEqual([false, false])
    await lead(old, 20, before, both)

    const between = createScribe(store, [ana, ben], [ana])
    await between.state()
    await lead(between, 10, before, both)
    const after = await followerOf(store, clock, ben)
    await lead(between, 10, before, both)
    await lead(between, 20, before, both, after)
    expect(after.current()?.revision).toBe(2)

    const next = createScribe(store, [ben])
    await next.state()
    await lead(next, 30, both, after)
    expect([after, both].map((follower) => follower.current()?.revision)).toEqual([3, 3])
    // Who was forgotten stops by itself, and says why.
    expect([before.leaseOver(), before.current()?.revision]).toEqual([true, 2])
    expect(before.problems().map(({ code }) => code)).toEqual(["rejected_untrusted", "canary_lease_expired"])
    for (const follower of [before, both, after]) follower.close()
  })
})

describe("of a store in the hands of somebody without a key", () => {
  it("a kill that nobody signed is not obeyed; one that was signed is, also an old one and whatever its clock says", async () => {
    const clock = fakeClock(T0)
    const store = memoryStore()
    const scribe = createScribe(store, [ana])
    await scribe.state()
    await scribe.state({ kill: "deny", last: { ...state(1).last, at: Date.UTC(2200, 0, 1) } })
    const killed = await store.get(STATE)
    await scribe.state()
    let given: Versioned | null = await store.get(STATE)
    const hostile: ReadStore = { caps: store.caps, watch() {}, get: async () => given }
    const follower = await followerOf(hostile, clock, ana)
    for (const text of [
      serializeState(state(9, { kill: "deny" })),
      sealed(STATE, serializeState(state(9, { kill: "deny" })), [mallory]),
    ]) {
      given = { revision: 9, token: "t", envelope: text }
      await follower.poll()
      expect(follower.current()).toMatchObject({ revision: 3, kill: "off" })
      expect(follower.status().problem).toMatchObject({
        code: "rejected_untrusted",
        message: expect.stringContaining("STATE_UNTRUSTED"),
      })
    }
    given = killed
    await follower.poll()
    expect(follower.current()?.kill).toBe("deny")
    follower.close()
  })

  /** What is given instead of the newest genuine document; `seed` chooses among what there is. */
  const ATTACKS = ["pass", "replay", "flip", "truncate", "other", "forge", "plain", "gone", "down"] as const
  const steps = fc.array(
    fc.record({
      attack: fc.oneof({ weight: 2, arbitrary: fc.constant("pass" as const) }, fc.constantFrom(...ATTACKS)),
      seed: fc.nat(),
      seconds: fc.integer({ min: 1, max: 9 }),
      writes: fc.boolean(),
    }),
    { minLength: 4, maxLength: 14 },
  )

  it("nothing is followed but what was signed, nothing goes back, and no canary serves longer than a lease after the last new beat", async () => {
    let served = 0
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const clock = fakeClock(T0)
        const store = memoryStore()
        const scribe = createScribe(store, [ana])
        await scribe.state()
        await scribe.beat()
        const shown = new Map<string, Versioned[]>([
          [STATE, []],
          [LEADER, []],
        ])
        let now: { attack: (typeof ATTACKS)[number]; seed: number } = { attack: "pass", seed: 0 }
        let newest = { beat: 0, at: clock.monotonic() }

        async function genuine(key: string): Promise<Versioned | null> {
          const found = await store.get(key)
          if (found === null) return null
          shown.get(key)?.push(found)
          if (key === LEADER && found.revision > newest.beat) newest = { beat: found.revision, at: clock.monotonic() }
          return found
        }
        const corrupted = (found: Versioned, key: string): string => {
          const { envelope } = found
          const at = now.seed % envelope.length
          if (now.attack === "truncate") return envelope.slice(0, at)
          if (now.attack === "forge") return sealed(key, serializeState(state(99)), [mallory])
          if (now.attack === "plain") return key === STATE ? serializeState(state(99)) : "{}"
          return (
            envelope.slice(0, at) +
            String.fromCharCode(envelope.charCodeAt(at) ^ (1 << (now.seed % 7))) +
            envelope.slice(at + 1)
          )
        }
        const hostile: ReadStore = {
          caps: store.caps,
          watch() {},
          async get(key) {
            const old = shown.get(now.attack === "other" ? (key === STATE ? LEADER : STATE) : key) ?? []
            const past = old[now.seed % Math.max(1, old.length)]
            if (now.attack === "pass" || past === undefined) return genuine(key)
            if (now.attack === "gone") return null
            if (now.attack === "down") throw new Error("connection refused")
            if (now.attack === "replay" || now.attack === "other") return past
            // A mark that changes nothing, such as a key's name, leaves it what it was: genuine, and known.
            return { ...past, revision: past.revision + 1, envelope: corrupted(past, key) }
          },
        }

        const follower = await followerOf(hostile, clock, ana)
        let revision = 0
        for (const { attack, seed, seconds, writes } of [
          ...script,
          { attack: "replay" as const, seed: 0, seconds: 20, writes: false },
        ]) {
          now = { attack, seed }
          if (writes) await scribe.state()
          for (let i = 0; i < seconds; i++) {
            await scribe.beat()
            clock.advance(1000)
            await clock.settle()
            const current = follower.current()
            expect(current).toEqual(current && state(current.revision))
            expect(current?.revision ?? 0).toBeGreaterThanOrEqual(revision)
            expect(current?.revision ?? 0).toBeLessThanOrEqual((await store.get(STATE))?.revision ?? 0)
            revision = current?.revision ?? 0
            if (follower.leaseOver()) continue
            served++
            expect(clock.monotonic() - newest.at).toBeLessThanOrEqual(LEASE_MS)
          }
        }
        expect(follower.leaseOver()).toBe(true)
        follower.close()
      }),
      { numRuns: runs(12) },
    )
    expect(served).toBeGreaterThan(0)
  })
})
