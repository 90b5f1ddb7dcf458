import type { StateStore } from "../rollout/store.js"
import { contents, eachOnItsOwn, type TestFramework } from "./contract.js"
import { DEADLINE_MS, follow, type ReadingFollower } from "./reading-follower.js"
import type { StoreFixture } from "./store-contract.js"
import { codeIn, codeOf, drain } from "./outcome.js"

/** A store behind a network that fails when it is told to, for one test, empty at first. */
export interface NetworkFixture extends StoreFixture {
  /** Another handle, which reaches the server whatever the network does. */
  readonly direct: StateStore
  reopen(): StateStore
  readonly network: {
    /** End the connections that there are; new ones get through. */
    cut(): void
    /** Lose every packet, and tell nobody: of the connections that there are, or of new ones as well. */
    stall(which: "established" | "all"): void
    /** Let through again; resolves when what was lost has been sent again. */
    heal(): Promise<void>
  }
  readonly server: {
    /** End the server as a crash does. */
    kill(): Promise<void>
    /** Start it on the data that it left; resolves when it answers. */
    start(): Promise<void>
    /** Keep a copy of the data. */
    save(): Promise<void>
    /** Put the copy back. */
    rollBack(): Promise<void>
    /** Have the server forget what it keeps of the past for itself. Absent: it keeps nothing. */
    compact?(): Promise<void>
  }
}

/** A timer's own lateness on a busy machine, ms. */
const LATE_MS = 500
/** Goals, ms: from the change, or from the end of the failure, until a follower has read it. */
const AFTER_HEAL_MS = 5000
const SILENT_STALL_MS = 8000
/** How long a write that must not come is waited for, ms. */
const GHOST_MS = 300
const TIMEOUT_MS = 30_000

/** Hold a store that talks to a server to what the controller relies on when the network or the server fails; beside `storeContract`. */
export function networkStoreContract(
  name: string,
  driver: { create(): Promise<NetworkFixture>; readonly compacts?: boolean },
  { describe, it, expect }: TestFramework,
): void {
  const requires = eachOnItsOwn(driver, it, TIMEOUT_MS)

  async function expectUnavailable(work: () => Promise<unknown>): Promise<void> {
    const before = performance.now()
    expect(await codeOf(work())).toBe("STORE_UNAVAILABLE")
    expect(performance.now() - before < DEADLINE_MS + LATE_MS).toBe(true)
  }

  async function expectSeen(follower: ReadingFollower, revision: number, withinMs: number): Promise<void> {
    const before = performance.now()
    await follower.until(revision, withinMs + LATE_MS)
    expect(performance.now() - before < withinMs + LATE_MS).toBe(true)
    expect(follower.revision()).toBe(revision)
  }

  /** Give a write up after a while; the answer's code. */
  async function givenUp(store: StateStore, revision: number, text: string): Promise<unknown> {
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(), GHOST_MS)
    const code = await codeOf(store.compareAndSet("a/state", revision, text, { signal: stop.signal }))
    clearTimeout(timer)
    return code
  }

  /** `givenUp`: the codes of the writes that were given up. */
  async function expectNoGhost(
    direct: StateStore,
    givenUp: readonly unknown[],
    healed: () => Promise<unknown>,
  ): Promise<void> {
    const begun = performance.now()
    const steps: string[] = []
    /** What each step took is told with what it ended in: whether it came of a busy machine is else not to be known. */
    async function timed<T>(step: string, work: () => Promise<T>): Promise<T | string> {
      const before = performance.now()
      const ended = await work().catch((error: unknown) => `${String(codeIn(error))}: ${String(error)}`)
      steps.push(`${step} from ${Math.round(before - begun)} to ${Math.round(performance.now() - begun)} ms`)
      return ended
    }
    const follower = follow(direct, "a/state")
    await timed("first read", () => follower.until(1, AFTER_HEAL_MS))
    await timed("heal", healed)
    await timed("wait", () => follower.until(2, GHOST_MS))
    follower.close()
    const found = await timed("get", async () => contents(await direct.get("a/state")))
    const written = await timed("write", () => direct.compareAndSet("a/state", 1, "two"))
    // One that was not answered in time may be done all the same; what counts is what is there.
    const last = await timed("get", async () => contents(await direct.get("a/state")))
    const known = { givenUp, written, steps }
    expect({ found, last, ...known }).toEqual({
      found: { revision: 1, envelope: "one" },
      last: { revision: 2, envelope: "two" },
      ...known,
    })
  }

  describe(`${name} keeps the store contract's part on networks`, () => {
    requires("a server that is away at the start is told within 2 s, and found when it comes", async (fixture) => {
      const { store, server } = fixture
      await server.kill()
      await expectUnavailable(() => store.get("a/state"))
      const follower = follow(store, "a/state")
      await server.start()
      expect(await fixture.direct.compareAndSet("a/state", 0, "one")).toEqual({ ok: true })
      await expectSeen(follower, 1, AFTER_HEAL_MS)
      follower.close()
    })

    requires("a server that accepts and never answers is told within 2 s", async ({ store, network }) => {
      network.stall("all")
      await expectUnavailable(() => store.get("a/state"))
      await network.heal()
      expect(await store.get("a/state")).toBe(null)
    })

    requires("after a restart of the server all is there, and a watcher is told of what comes", async (fixture) => {
      const { store, direct, server } = fixture
      for (const revision of [0, 1, 2]) await store.compareAndSet("a/state", revision, `r${revision + 1}`)
      const follower = follow(store, "a/state")
      await follower.until(3, AFTER_HEAL_MS)
      await server.kill()
      await server.start()
      expect(contents(await store.get("a/state"))).toEqual({ revision: 3, envelope: "r3" })
      expect(await direct.compareAndSet("a/state", 3, "r4")).toEqual({ ok: true })
      await expectSeen(follower, 4, AFTER_HEAL_MS)
      follower.close()
    })

    requires("a connection that was cut is replaced, and a watcher is told of what comes", async (fixture) => {
      const { store, direct, network } = fixture
      await store.compareAndSet("a/state", 0, "one")
      const follower = follow(store, "a/state")
      await follower.until(1, AFTER_HEAL_MS)
      network.cut()
      expect(contents(await store.get("a/state"))).toEqual({ revision: 1, envelope: "one" })
      expect(await store.compareAndSet("a/state", 1, "two")).toEqual({ ok: true })
      network.cut()
      expect(await direct.compareAndSet("a/state", 2, "three")).toEqual({ ok: true })
      await expectSeen(follower, 3, AFTER_HEAL_MS)
      follower.close()
    })

    requires("a change is seen within 8 s although the established connections went silent", async (fixture) => {
      const { store, direct, network } = fixture
      await store.compareAndSet("a/state", 0, "one")
      const follower = follow(store, "a/state")
      await follower.until(1, AFTER_HEAL_MS)
      // Seen by a hint: the watch is there, and nothing is under way.
      expect(await direct.compareAndSet("a/state", 1, "two")).toEqual({ ok: true })
      await expectSeen(follower, 2, AFTER_HEAL_MS)
      network.stall("established")
      expect(await direct.compareAndSet("a/state", 2, "kill")).toEqual({ ok: true })
      await expectSeen(follower, 3, SILENT_STALL_MS)
      follower.close()
    })

    requires("a write that was given up in a silence does not come when the network is back", async (fixture) => {
      const { store, direct, network } = fixture
      await store.compareAndSet("a/state", 0, "one")
      network.stall("all")
      // One on a connection that there was, and one that had to make its own.
      const first = await givenUp(store, 1, "ghost")
      const second = await givenUp(fixture.reopen(), 1, "ghost")
      for (const code of [first, second]) {
        expect(code === "STORE_AMBIGUOUS" || code === "STORE_UNAVAILABLE").toBe(true)
      }
      await expectNoGhost(direct, [first, second], () => network.heal())
    })

    requires("a write that was given up while the server was down does not come when it is back", async (fixture) => {
      const { store, direct, server } = fixture
      await store.compareAndSet("a/state", 0, "one")
      await server.kill()
      const code = await givenUp(store, 1, "ghost")
      expect(code === "STORE_AMBIGUOUS" || code === "STORE_UNAVAILABLE").toBe(true)
      await server.start()
      await expectNoGhost(direct, [code], () => store.get("a/state"))
    })

    requires("a write that is refused a connection is not ambiguous", async ({ direct, server }) => {
      await server.kill()
      await expectUnavailable(() => direct.compareAndSet("a/state", 0, "one"))
      await server.start()
      expect(await direct.get("a/state")).toBe(null)
    })

    requires(
      "history is complete over cuts, silences and restarts, with every write that was acknowledged",
      async (fixture) => {
        const { store, direct, network, server } = fixture
        const acknowledged = new Map<number, string>()
        const failures = [
          () => network.cut(),
          () => network.stall("established"),
          async () => {
            await server.kill()
            await server.start()
          },
          () => network.heal(),
        ]
        for (let i = 0; i < 12; i++) {
          if (i % 3 === 2) await failures[(i - 2) / 3]?.()
          const current = await direct.get("a/state")
          const revision = current?.revision ?? 0
          const written = await store.compareAndSet("a/state", revision, `write ${i}`).catch(() => null)
          if (written?.ok === true) acknowledged.set(revision + 1, `write ${i}`)
        }
        expect(acknowledged.size >= 6).toBe(true)
        const found = await drain(direct.history("a/state"))
        const newest = found.length
        expect(found.map(({ revision }) => revision)).toEqual(Array.from(found, (_, i) => newest - i))
        for (const [revision, text] of acknowledged) expect(found[newest - revision]?.envelope).toBe(text)
      },
    )

    requires("a server that was rolled back is read as it is", async ({ store, direct, server }) => {
      await store.compareAndSet("a/state", 0, "one")
      await server.save()
      expect(await direct.compareAndSet("a/state", 1, "two")).toEqual({ ok: true })
      expect(contents(await store.get("a/state"))).toEqual({ revision: 2, envelope: "two" })
      await server.rollBack()
      expect(contents(await store.get("a/state"))).toEqual({ revision: 1, envelope: "one" })
      expect((await drain(store.history("a/state"))).length).toBe(1)
      const late = await store.compareAndSet("a/state", 2, "three")
      expect(!late.ok && contents(late.current)).toEqual({ revision: 1, envelope: "one" })
    })

    if (driver.compacts !== true) return
    requires("compaction takes no history, and no watcher", async ({ store, direct, network, server }) => {
      for (const revision of [0, 1, 2]) await store.compareAndSet("a/state", revision, `r${revision + 1}`)
      const follower = follow(store, "a/state")
      await follower.until(3, AFTER_HEAL_MS)
      network.stall("established")
      expect(await direct.compareAndSet("a/state", 3, "r4")).toEqual({ ok: true })
      await server.compact?.()
      network.cut()
      await expectSeen(follower, 4, AFTER_HEAL_MS)
      const past = (await drain(direct.history("a/state"))).map(({ envelope }) => envelope)
      expect(past).toEqual(["r4", "r3", "r2", "r1"])
      follower.close()
    })
  })
}
