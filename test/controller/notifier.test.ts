import { describe, expect, it } from "vitest"
import { notifiedKey, reportKey, stateKey } from "../../src/controller/keys.js"
import { GIVE_UP_MS } from "../../src/controller/channel-line.js"
import type { Delivery } from "../../src/controller/channel-line.js"
import { createNotifier } from "../../src/controller/notifier.js"
import { parseNotified } from "../../src/controller/notified.js"
import { act, ensureState, newSalt, readState } from "../../src/controller/verbs.js"
import { SerinError } from "../../src/errors.js"
import type { Message, MessageKind } from "../../src/notify/message.js"
import type { NotifyChannel } from "../../src/notify/notify-channel.js"
import type { StateStore } from "../../src/rollout/store.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import type { FakeClock } from "../../src/testing/fake-clock.js"
import { spec, T0 } from "../guard/harness.js"
import { unreliable } from "./unreliable.js"

const human = { kind: "human", id: "ada" } as const
const asked = { actor: human, reason: "because" } as const

/** A channel that the test can break. */
function channelOf(name: string, on?: readonly MessageKind[]) {
  const told: string[] = []
  const messages: Message[] = []
  let answer: () => Promise<void> = () => Promise.resolve()
  let tries = 0
  const channel: NotifyChannel = {
    name,
    on,
    async send(message, { idempotencyKey }) {
      tries++
      await answer()
      expect(idempotencyKey).toBe(message.key)
      messages.push(message)
      told.push(`${message.kind} ${message.key.replace("demo/", "")}`)
    },
  }
  return { channel, told, messages, tries: () => tries, answer: (next: () => Promise<void>) => void (answer = next) }
}

const down = (): Promise<void> => Promise.reject(new SerinError("CHANNEL_UNAVAILABLE", "down"))
const refuses = (): Promise<void> => Promise.reject(new SerinError("CHANNEL_REFUSED", "answers 404"))
const never = (): Promise<void> => new Promise(() => {})

async function setUp() {
  const clock = fakeClock(T0)
  const store = memoryStore()
  await ensureState(store, spec, human, clock.now())
  await act(store, "demo", { type: "start", spec, salt: newSalt(), ...asked }, () => clock.now())
  const does = (event: RolloutEvent) => act(store, "demo", event, () => clock.now())
  return {
    clock,
    store,
    /** Two revisions. */
    async toggle(times = 1) {
      for (let i = 0; i < times; i++) {
        await does({ type: "pause", ...asked })
        await does({ type: "resume", ...asked })
      }
    },
    does,
    notified: async () => parseNotified((await store.get(notifiedKey("demo")))!.envelope),
  }
}

/** A notifier that leads until it is told otherwise, and looks when it is told to. */
function begin(store: StateStore, clock: FakeClock, channels: readonly NotifyChannel[]) {
  let epoch: number | null = 1
  const deliveries: Delivery[] = []
  let state: Awaited<ReturnType<typeof readState>> = null
  const notifier = createNotifier({
    store,
    rollout: "demo",
    clock,
    leading: () => epoch,
    state: () => state,
    everyMs: 5000,
    channels,
    telling: () => ({ say: (verb) => `serin ${verb}` }),
    onDelivery: (delivery) => void deliveries.push(delivery),
    random: () => 0.5,
  })
  const inner = store
  return {
    notifier,
    deliveries,
    leads: (next: number | null) => void (epoch = next),
    async look() {
      state = (await readState(inner, "demo").catch(() => null)) ?? state
      notifier.look()
      await clock.settle()
    },
    async close() {
      const closed = notifier.close()
      await clock.settle()
      clock.advance(1000)
      await closed
    },
  }
}

describe("who leads", () => {
  it("tells a new channel where the rollout stands, and then of each revision once, in order", async () => {
    const { clock, store, toggle, does } = await setUp()
    const ops = channelOf("ops")
    const leader = begin(store, clock, [ops.channel])
    await leader.look()
    await toggle()
    await leader.look()
    await does({ type: "kill", position: "stable", ...asked })
    await leader.look()
    await leader.look()
    expect(ops.told).toEqual(["standing 1/2", "held 1/3", "released 1/4", "killed 1/5"])
    expect(leader.deliveries.map(({ outcome, tries }) => `${outcome} ${tries}`)).toEqual(Array(4).fill("delivered 1"))
    await leader.close()
    expect(clock.pending()).toBe(0)
  })

  it("tells nothing while it does not lead, and goes on where another stopped", async () => {
    const { clock, store, toggle } = await setUp()
    const first = channelOf("ops")
    const second = channelOf("ops")
    const one = begin(store, clock, [first.channel])
    const two = begin(store, clock, [second.channel])
    two.leads(null)
    await one.look()
    await two.look()
    one.leads(null)
    await toggle()
    await one.look()
    two.leads(2)
    await two.look()
    expect([first.told, second.told]).toEqual([["standing 1/2"], ["held 1/3", "released 1/4"]])
  })

  it("asks the store for nothing while nothing happens", async () => {
    const { clock, store } = await setUp()
    let asks = 0
    const counted: StateStore = {
      ...store,
      history: (...args) => (asks++, store.history(...args)),
      compareAndSet: (...args) => (asks++, store.compareAndSet(...args)),
    }
    const ops = channelOf("ops")
    const leader = begin(counted, clock, [ops.channel])
    await leader.look()
    const before = asks
    for (let i = 0; i < 5; i++) await leader.look()
    expect([ops.told.length, asks - before]).toEqual([1, 0])
  })

  it("tells each channel what it asked for", async () => {
    const { clock, store, toggle, does } = await setUp()
    const pages = channelOf("pages", ["killed"])
    const chat = channelOf("chat", ["held", "killed"])
    const leader = begin(store, clock, [pages.channel, chat.channel])
    await leader.look()
    await toggle()
    await does({ type: "kill", position: "deny", ...asked })
    await leader.look()
    expect([pages.told, chat.told]).toEqual([["killed 1/5"], ["held 1/3", "killed 1/5"]])
  })

  it("tells of many revisions in one message, under one key, also when the next leader sends it again", async () => {
    const { clock, store, toggle, does, notified } = await setUp()
    const ops = channelOf("ops")
    const leader = begin(store, clock, [ops.channel])
    await leader.look()
    leader.leads(null)
    await toggle(10)
    leader.leads(2)
    ops.answer(never)
    await leader.look()
    expect((await notified()).channels[0]).toMatchObject({ revision: 2, covering: 22 })
    await does({ type: "kill", position: "stable", ...asked })
    const next = channelOf("ops")
    const other = begin(store, clock, [next.channel])
    other.leads(3)
    await other.look()
    expect(next.told).toEqual(["held 1/22", "killed 1/23"])
    expect(next.messages[0]).toMatchObject({
      covers: { from: 3, to: 22 },
      title: expect.stringContaining("20 changes") as string,
    })
  })

  it("knows what it missed where the store keeps it no more", async () => {
    const { clock, toggle, store } = await setUp()
    const ops = channelOf("ops")
    await begin(store, clock, [ops.channel]).look()
    await toggle(2)
    const short: StateStore = {
      ...store,
      async *history(key, options) {
        let kept = 0
        for await (const past of store.history(key, options)) if (key !== stateKey("demo") || kept++ < 2) yield past
      },
    }
    await begin(short, clock, [ops.channel]).look()
    expect(ops.told).toEqual(["standing 1/2", "released 1/6"])
    expect(ops.messages[1]?.covers).toEqual({ from: 3, to: 6 })
  })
})

describe("a channel that is down", () => {
  it("is tried again with a back-off that grows, under the same key, and holds up no other", async () => {
    const { clock, store, toggle } = await setUp()
    const [slow, stuck, quick] = [channelOf("slow"), channelOf("stuck"), channelOf("quick")]
    slow.answer(down)
    stuck.answer(never)
    const leader = begin(store, clock, [slow.channel, stuck.channel, quick.channel])
    await leader.look()
    await toggle()
    await leader.look()
    expect(quick.told).toHaveLength(3)
    expect(leader.notifier.problem()).toBe("slow is not told of demo/1/2: CHANNEL_UNAVAILABLE: down")
    // 1.1 s, 2.1 s, 4.1 s, … with half of the jitter.
    for (const [ms, tries] of [
      [1124, 1],
      [1, 2],
      [2124, 2],
      [1, 3],
      [4125, 4],
    ] as const) {
      clock.advance(ms)
      await clock.settle()
      expect(slow.tries()).toBe(tries)
    }
    slow.answer(() => Promise.resolve())
    clock.advance(9000)
    await clock.settle()
    expect(slow.told).toEqual(["standing 1/2", "held 1/3", "released 1/4"])
    // Its deadline, and then its back-off.
    for (let i = 0; i < 2; i++) {
      clock.advance(40_000)
      await clock.settle()
    }
    expect(stuck.tries()).toBeGreaterThan(1)
  })

  it("is given up after a quarter of an hour, with a record, and the next message says what is missing", async () => {
    const { clock, store, does, notified } = await setUp()
    const ops = channelOf("ops")
    const leader = begin(store, clock, [ops.channel])
    ops.answer(down)
    await leader.look()
    for (let ms = 0; ms < GIVE_UP_MS; ms += 30_000) {
      clock.advance(30_000)
      await clock.settle()
    }
    expect(leader.deliveries).toMatchObject([{ channel: "ops", key: "demo/1/2", outcome: "given_up" }])
    expect(leader.notifier.problem()).toMatch(/^ops was not told of demo\/1\/2, which was given up/)
    expect((await notified()).channels).toMatchObject([
      { revision: 2, undelivered: 1, givenUp: [{ key: "demo/1/2", why: "CHANNEL_UNAVAILABLE: down" }] },
    ])
    ops.answer(() => Promise.resolve())
    await does({ type: "kill", position: "stable", ...asked })
    clock.advance(60_000)
    await leader.look()
    expect(ops.messages).toMatchObject([{ kind: "killed", undelivered: 1 }])
    expect((await notified()).channels).toMatchObject([{ revision: 3, undelivered: 0 }])
    expect(leader.notifier.problem()).toBeUndefined()
  })

  it("that refuses is not asked again for the same message", async () => {
    const { clock, store, does } = await setUp()
    const ops = channelOf("ops")
    const leader = begin(store, clock, [ops.channel])
    ops.answer(refuses)
    await leader.look()
    clock.advance(20_000)
    await leader.look()
    expect(ops.tries()).toBe(1)
    ops.answer(() => Promise.resolve())
    await does({ type: "pause", ...asked })
    await leader.look()
    expect(ops.told).toEqual(["held 1/3"])
  })

  it("that asks to be left alone is left alone for as long", async () => {
    const { clock, store } = await setUp()
    const ops = channelOf("ops")
    ops.answer(() => Promise.reject(new SerinError("CHANNEL_UNAVAILABLE", "429", { retryAfterMs: 120_000 })))
    await begin(store, clock, [ops.channel]).look()
    clock.advance(119_999)
    await clock.settle()
    expect(ops.tries()).toBe(1)
    clock.advance(1)
    await clock.settle()
    expect(ops.tries()).toBe(2)
  })

  it("may be one of the host's that throws whatever it likes", async () => {
    const { clock, store } = await setUp()
    const odd: NotifyChannel = {
      name: "odd",
      send: () => {
        throw null as unknown as Error
      },
    }
    const leader = begin(store, clock, [odd])
    await leader.look()
    expect(leader.notifier.problem()).toBe("odd is not told of demo/1/2: null")
    await leader.close()
    expect(clock.pending()).toBe(0)
  })
})

describe("a store that is down", () => {
  it("makes nobody be told twice by a process that goes on, and is written when it is back", async () => {
    const { clock, store, toggle, notified } = await setUp()
    const weather = unreliable(store)
    const ops = channelOf("ops")
    const leader = begin(weather.store, clock, [ops.channel])
    await leader.look()
    await toggle()
    weather.turn("read-only")
    await leader.look()
    expect(ops.told).toEqual(["standing 1/2", "held 1/3", "released 1/4"])
    expect(leader.notifier.problem()).toMatch(/is not written, and may be told again/)
    await leader.look()
    weather.turn("fine")
    await leader.look()
    expect(ops.told).toHaveLength(3)
    expect((await notified()).channels[0]?.revision).toBe(4)
    expect(leader.notifier.problem()).toBeUndefined()
  })

  it("and loses answers, does no more", async () => {
    const { clock, store, toggle, notified } = await setUp()
    const weather = unreliable(store)
    const ops = channelOf("ops")
    const leader = begin(weather.store, clock, [ops.channel])
    weather.turn("deaf")
    await leader.look()
    await leader.look()
    weather.turn("fine")
    await toggle()
    await leader.look()
    expect(ops.told).toEqual(["standing 1/2", "held 1/3", "released 1/4"])
    expect((await notified()).channels[0]?.revision).toBe(4)
  })

  it("and holds what is no record, tells where the rollout stands", async () => {
    const { clock, store } = await setUp()
    await store.compareAndSet(notifiedKey("demo"), 0, "{}")
    const ops = channelOf("ops")
    await begin(store, clock, [ops.channel]).look()
    expect(ops.told).toEqual(["standing 1/2"])
  })
})

describe("a record that cannot be", () => {
  it("ahead of the state keeps nobody from being told", async () => {
    const { clock, store, toggle, notified } = await setUp()
    const ahead = { name: "ops", revision: 1_000_000, gap: 0, undelivered: 0, givenUp: [] }
    const forged = { format: "serin/notified/1", rollout: "demo", channels: [ahead], gaps: [] }
    await store.compareAndSet(notifiedKey("demo"), 0, JSON.stringify(forged))
    const ops = channelOf("ops")
    const leader = begin(store, clock, [ops.channel])
    await leader.look()
    await toggle()
    await leader.look()
    expect(ops.told).toEqual(["standing 1/2", "held 1/3", "released 1/4"])
    expect((await notified()).channels[0]?.revision).toBe(4)
  })

  it("signed by nobody who is trusted is written over", async () => {
    const { clock, store, notified } = await setUp()
    await store.compareAndSet(notifiedKey("demo"), 0, "forged")
    let trusted = false
    const strict: StateStore = {
      ...store,
      async get(key, options) {
        if (key !== notifiedKey("demo") || trusted) return store.get(key, options)
        throw new SerinError("STATE_UNTRUSTED", "it is not signed", { revision: 1 })
      },
      compareAndSet: (key, ...rest) => ((trusted ||= key === notifiedKey("demo")), store.compareAndSet(key, ...rest)),
    }
    const ops = channelOf("ops")
    await begin(strict, clock, [ops.channel]).look()
    expect(ops.told).toEqual(["standing 1/2"])
    expect((await notified()).channels[0]?.revision).toBe(2)
  })
})

describe("a time in which nobody judged", () => {
  const HOUR = 3_600_000
  const report = (at: number, by: string): string =>
    JSON.stringify({
      format: "serin/report/1",
      rollout: "demo",
      revision: 2,
      generation: 1,
      by,
      at,
      verdict: null,
      diffs: [],
    })

  it("is told by the next leader, once, also where the one after it finds the same", async () => {
    const { clock, store } = await setUp()
    const ops = channelOf("ops")
    await begin(store, clock, [ops.channel]).look()
    await store.compareAndSet(reportKey("demo"), 0, report(T0 + 1000, "one"))
    clock.advance(HOUR)
    const next = begin(store, clock, [ops.channel])
    next.leads(2)
    await next.look()
    await store.compareAndSet(reportKey("demo"), 1, report(clock.now() + 1, "two"))
    const third = begin(store, clock, [ops.channel])
    third.leads(3)
    await third.look()
    expect(ops.told).toEqual(["standing 1/2", "unjudged 1/2/unjudged"])
    expect(ops.messages[1]?.unjudged).toEqual({ since: T0 + 1000, until: T0 + HOUR })
  })

  it("is told by one that slept itself", async () => {
    const { clock, store } = await setUp()
    const ops = channelOf("ops")
    const leader = begin(store, clock, [ops.channel])
    await leader.look()
    await store.compareAndSet(reportKey("demo"), 0, report(T0, "one"))
    clock.setWall(T0 + HOUR)
    await leader.look()
    expect(ops.told).toEqual(["standing 1/2", "unjudged 1/2/unjudged"])
  })

  it("is tried for as long as any message, however long the revision has been in force that it was found in", async () => {
    const { clock, store } = await setUp()
    const ops = channelOf("ops")
    const leader = begin(store, clock, [ops.channel])
    await leader.look()
    await store.compareAndSet(reportKey("demo"), 0, report(T0, "one"))
    ops.answer(down)
    clock.advance(HOUR)
    await leader.look()
    ops.answer(() => Promise.resolve())
    clock.advance(2000)
    await clock.settle()
    expect(leader.deliveries.map(({ outcome }) => outcome)).toEqual(["delivered", "delivered"])
    expect(ops.told).toEqual(["standing 1/2", "unjudged 1/2/unjudged"])
  })

  it("is none while one leader takes over from another in time, or nothing is under way", async () => {
    const { clock, store, does } = await setUp()
    const ops = channelOf("ops")
    await begin(store, clock, [ops.channel]).look()
    await store.compareAndSet(reportKey("demo"), 0, report(T0 + 1000, "one"))
    clock.advance(8000)
    await begin(store, clock, [ops.channel]).look()
    await does({ type: "rollback", ...asked })
    clock.advance(HOUR)
    await begin(store, clock, [ops.channel]).look()
    expect(ops.told).toEqual(["standing 1/2", "rolled_back 1/3"])
  })
})

describe("a leader that dies", () => {
  /** Dies at the n-th touch of the record: nothing of it is heard after that. */
  function mortal(inner: StateStore, nth: number, when: "before" | "after") {
    let left = nth
    let dead = false
    const store: StateStore = {
      ...inner,
      async compareAndSet(...args) {
        if (dead) return never() as never
        const isIt = args[0] === notifiedKey("demo") && --left === 0
        if (isIt) dead = true
        if (isIt && when === "before") return never() as never
        const written = await inner.compareAndSet(...args)
        return isIt ? (never() as never) : written
      },
    }
    return { store, isDead: () => dead }
  }

  it("around any write of its record leaves it to the next, who sends the same message again at the most, and loses none", async () => {
    const seen: string[] = []
    for (let nth = 1; nth <= 8; nth++) {
      for (const when of ["before", "after"] as const) {
        const { clock, store, toggle, does } = await setUp()
        const ops = channelOf("ops")
        const { store: dying, isDead } = mortal(store, nth, when)
        const first = begin(dying, clock, [ops.channel])
        // One by one, then twenty-one at once.
        await first.look()
        await toggle()
        await first.look()
        first.leads(null)
        await toggle(10)
        first.leads(2)
        await does({ type: "kill", position: "stable", ...asked })
        await first.look()
        if (!isDead()) continue
        first.leads(null)
        const second = begin(store, clock, [ops.channel])
        second.leads(3)
        await second.look()
        const label = `${nth} ${when}`
        const keys = ops.messages.map(({ key }) => key)
        const twice = keys.filter((key, i) => keys.indexOf(key) !== i)
        expect(twice.length, label).toBeLessThanOrEqual(1)
        // What is told twice is the same to the letter.
        for (const key of twice) {
          const [a, b] = ops.messages.filter((message) => message.key === key)
          expect(a, label).toEqual(b)
        }
        expect(ops.messages.at(-1), label).toMatchObject({
          revision: 25,
          // Of a channel that was never told anything nothing can be lost.
          kind: label === "1 before" ? "standing" : "killed",
        })
        const covered = new Set(
          ops.messages.flatMap(({ revision, covers }) => range(covers?.from ?? revision, revision)),
        )
        const from = ops.messages[0]!.revision
        expect(
          range(from, 25).filter((revision) => !covered.has(revision)),
          label,
        ).toEqual([])
        seen.push(label)
      }
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6].flatMap((nth) => [`${nth} before`, `${nth} after`]))
  })

  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
})
