import type { CasResult, StateStore } from "../rollout/store.js"
import { BAD_KEYS, contents, eachOnItsOwn, TEXTS, type TestFramework } from "./contract.js"
import { hintCounter } from "./hint-counter.js"
import { codeOf, drain, nameOf } from "./outcome.js"

/** A store for one test, empty at first. */
export interface StoreFixture {
  readonly store: StateStore
  /** Another handle on the same documents, as another process would have. Absent: the store lives in one object. */
  reopen?(): StateStore
  destroy(): Promise<void>
}

/** Hold a store to what the controller relies on. Every driver passes it, built-in or not. */
export function storeContract(
  name: string,
  driver: { create(): Promise<StoreFixture> },
  { describe, it, expect }: TestFramework,
): void {
  const onStore = eachOnItsOwn(driver, it)
  const requires = (requirement: string, body: (store: StateStore, other: StateStore) => Promise<void>): void =>
    onStore(requirement, ({ store, reopen }) => body(store, reopen?.() ?? store))

  const refusal = (result: CasResult) => !result.ok && { current: contents(result.current) }

  describe(`${name} keeps the store contract`, () => {
    requires("a document that was never written is null, and has no history", async (store) => {
      expect(await store.get("a/state")).toBe(null)
      expect(await drain(store.history("a/state"))).toEqual([])
    })

    requires("the first write is revision 1, the next one follows", async (store) => {
      expect(await store.compareAndSet("a/state", 0, "one")).toEqual({ ok: true })
      expect(contents(await store.get("a/state"))).toEqual({ revision: 1, envelope: "one" })
      expect(await store.compareAndSet("a/state", 1, "two")).toEqual({ ok: true })
      expect(contents(await store.get("a/state"))).toEqual({ revision: 2, envelope: "two" })
    })

    requires("a write on any revision but the current one is refused, and shows the current one", async (store) => {
      expect(refusal(await store.compareAndSet("a/state", 1, "early"))).toEqual({ current: null })
      await store.compareAndSet("a/state", 0, "one")
      await store.compareAndSet("a/state", 1, "two")
      for (const stale of [0, 1, 3, 40]) {
        const expected = { current: { revision: 2, envelope: "two" } }
        expect(refusal(await store.compareAndSet("a/state", stale, "stale"))).toEqual(expected)
      }
      expect(contents(await store.get("a/state"))).toEqual({ revision: 2, envelope: "two" })
    })

    requires("of eight writers at once exactly one wins each revision, and no update is lost", async (store, other) => {
      const rounds = 10
      const wins: number[] = []
      const count = async (handle: StateStore): Promise<void> => {
        for (let done = 0; done < rounds;) {
          const current = await handle.get("a/count")
          const revision = current?.revision ?? 0
          const next = String(Number(current?.envelope ?? 0) + 1)
          if (!(await handle.compareAndSet("a/count", revision, next)).ok) continue
          wins.push(revision + 1)
          done++
        }
      }
      await Promise.all(Array.from({ length: 8 }, (_, i) => count(i % 2 === 0 ? store : other)))
      const expected = Array.from({ length: 8 * rounds }, (_, i) => i + 1)
      expect(wins.toSorted((a, b) => a - b)).toEqual(expected)
      expect(contents(await store.get("a/count"))).toEqual({ revision: 8 * rounds, envelope: String(8 * rounds) })
    })

    requires("history is complete, newest first", async (store) => {
      for (let revision = 0; revision < 12; revision++)
        await store.compareAndSet("a/state", revision, `r${revision + 1}`)
      const expected = Array.from({ length: 12 }, (_, i) => ({ revision: 12 - i, envelope: `r${12 - i}` }))
      expect((await drain(store.history("a/state"))).map(contents)).toEqual(expected)
    })

    requires("as many revisions are kept as a writer asks for, and the newest is never lost", async (store) => {
      for (let revision = 0; revision < 6; revision++) {
        await store.compareAndSet("a/report", revision, `r${revision + 1}`, { keep: 2 })
      }
      const kept = (await drain(store.history("a/report"))).map(({ envelope }) => envelope)
      expect(kept.slice(0, 2)).toEqual(["r6", "r5"])
      expect(contents(await store.get("a/report"))).toEqual({ revision: 6, envelope: "r6" })
      expect(await nameOf(store.compareAndSet("a/report", 6, "r7", { keep: 1 }))).toBe("RangeError")
    })

    requires("documents are listed below where they are, in order", async (store, other) => {
      expect(await store.list("a")).toEqual([])
      for (const key of ["a", "ab/c", "a/d", "a/b/c", "a/b", "a/b.c"]) await store.compareAndSet(key, 0, "x")
      const sorted = (keys: readonly string[]) => keys.toSorted()
      expect(await other.list("a")).toEqual(sorted(["a/b", "a/b.c", "a/b/c", "a/d"]))
      expect(await other.list("a/b")).toEqual(["a/b/c"])
      expect(await other.list("nowhere")).toEqual([])
      expect(await nameOf(store.list("../a"))).toBe("RangeError")
    })

    requires("a document that was removed is as if it had never been, for every handle", async (store, other) => {
      for (const revision of [0, 1, 2]) await store.compareAndSet("a/b", revision, `r${revision}`)
      await store.compareAndSet("a/b/c", 0, "below")
      await other.get("a/b")
      await store.remove("a/b")
      await store.remove("a/b")
      await store.remove("never")
      for (const handle of [store, other]) {
        expect(await handle.get("a/b")).toBe(null)
        expect(await drain(handle.history("a/b"))).toEqual([])
        expect(await handle.list("a")).toEqual(["a/b/c"])
      }
      expect(refusal(await other.compareAndSet("a/b", 3, "late"))).toEqual({ current: null })
      expect(await other.compareAndSet("a/b", 0, "anew")).toEqual({ ok: true })
      expect(contents(await store.get("a/b"))).toEqual({ revision: 1, envelope: "anew" })
    })

    requires("documents are independent, also where one key continues another", async (store) => {
      await store.compareAndSet("a/state", 0, "state")
      await store.compareAndSet("a", 0, "a")
      await store.compareAndSet("a/state/more", 0, "more")
      await store.compareAndSet("b/state", 0, "b")
      await store.compareAndSet("b/state", 1, "b2")
      expect(contents(await store.get("a"))).toEqual({ revision: 1, envelope: "a" })
      expect(contents(await store.get("a/state"))).toEqual({ revision: 1, envelope: "state" })
      expect(contents(await store.get("a/state/more"))).toEqual({ revision: 1, envelope: "more" })
      expect((await drain(store.history("b/state"))).length).toBe(2)
    })

    requires("the exact text comes back", async (store) => {
      for (const [revision, text] of TEXTS.entries()) {
        await store.compareAndSet("a/text", revision, text)
        expect(contents(await store.get("a/text"))).toEqual({ revision: revision + 1, envelope: text })
      }
    })

    requires("the token changes with the content, and stays while it stays", async (store, other) => {
      await store.compareAndSet("a/state", 0, "one")
      const first = await store.get("a/state")
      expect((await other.get("a/state"))?.token).toBe(first?.token)
      await store.compareAndSet("a/state", 1, "two")
      expect((await store.get("a/state"))?.token === first?.token).toBe(false)
    })

    requires("another handle sees what was written", async (store, other) => {
      await store.compareAndSet("a/state", 0, "one")
      expect(contents(await other.get("a/state"))).toEqual({ revision: 1, envelope: "one" })
      expect(await other.compareAndSet("a/state", 1, "two")).toEqual({ ok: true })
      expect(contents(await store.get("a/state"))).toEqual({ revision: 2, envelope: "two" })
    })

    requires("a watcher is told of another handle's writes, the first one included", async (store, other) => {
      const stop = new AbortController()
      const hints = hintCounter()
      store.watch("a/state", hints.hint, { signal: stop.signal })
      for (let revision = 0; revision < 3; revision++) {
        const before = hints.count()
        await other.compareAndSet("a/state", revision, `r${revision}`)
        expect(await hints.beyond(before)).toBe(true)
        await store.get("a/state")
      }
      stop.abort()
    })

    requires("a watcher is not told of other documents' writes", async (store, other) => {
      const stop = new AbortController()
      const [own, others] = [hintCounter(), hintCounter()]
      store.watch("a/state", own.hint, { signal: stop.signal })
      store.watch("b/state", others.hint, { signal: stop.signal })
      // A watch may hint when it begins: nobody knows what was written just before.
      await other.compareAndSet("b/state", 0, "one")
      expect(await others.beyond(0)).toBe(true)
      const [known, before] = [own.count(), others.count()]
      await other.compareAndSet("b/state", 1, "two")
      expect(await others.beyond(before)).toBe(true)
      expect(own.count()).toBe(known)
      stop.abort()
    })

    requires("a watcher that throws hurts nobody", async (store, other) => {
      const stop = new AbortController()
      const hints = hintCounter()
      const failing = (): void => {
        throw new Error("a host's own fault")
      }
      store.watch("a/state", failing, { signal: stop.signal })
      store.watch("a/state", hints.hint, { signal: stop.signal })
      await other.compareAndSet("a/state", 0, "one")
      expect(await hints.beyond(0)).toBe(true)
      stop.abort()
    })

    requires("an aborted watch is silent, whenever it was aborted", async (store, other) => {
      await other.compareAndSet("a/state", 0, "one")
      const [never, late] = [hintCounter(), hintCounter()]
      const [before, atOnce, during] = [new AbortController(), new AbortController(), new AbortController()]
      before.abort()
      store.watch("a/state", never.hint, { signal: before.signal })
      store.watch("a/state", never.hint, { signal: atOnce.signal })
      atOnce.abort()
      store.watch("a/state", late.hint, { signal: during.signal })
      await store.get("a/state")
      const writing = other.compareAndSet("a/state", 1, "two")
      during.abort()
      const known = late.count()
      await writing

      const witnessed = new AbortController()
      const witness = hintCounter()
      store.watch("a/state", witness.hint, { signal: witnessed.signal })
      await other.compareAndSet("a/state", 2, "three")
      expect(await witness.beyond(0)).toBe(true)
      expect(never.count()).toBe(0)
      expect(late.count()).toBe(known)
      witnessed.abort()
    })

    requires("a caller that gave up before the call writes nothing", async (store) => {
      const signal = AbortSignal.abort()
      expect(await codeOf(store.compareAndSet("a/state", 0, "one", { signal }))).toBe("STORE_UNAVAILABLE")
      expect(await codeOf(store.get("a/state", { signal }))).toBe("STORE_UNAVAILABLE")
      expect(await store.get("a/state")).toBe(null)
    })

    requires("keys that could leave their place are the programmer's error", async (store) => {
      for (const key of BAD_KEYS) {
        expect(await nameOf(store.get(key))).toBe("RangeError")
        expect(await nameOf(store.compareAndSet(key, 0, "x"))).toBe("RangeError")
      }
    })

    requires("what cannot be kept is refused before anything is written", async (store) => {
      expect(await nameOf(store.compareAndSet("a/state", 0, "x".repeat(store.caps.maxBytes + 1)))).toBe("RangeError")
      expect(await nameOf(store.compareAndSet("a/state", 0, "\uD800"))).toBe("RangeError")
      for (const revision of [-1, 0.5, Number.NaN]) {
        expect(await nameOf(store.compareAndSet("a/state", revision, "x"))).toBe("RangeError")
      }
      expect(await store.get("a/state")).toBe(null)
    })
  })
}
