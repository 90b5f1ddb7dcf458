import type { ReadStore } from "../rollout/store.js"
import { BAD_KEYS, contents, eachOnItsOwn, TEXTS, type TestFramework } from "./contract.js"
import { hintCounter } from "./hint-counter.js"
import { codeOf, nameOf } from "./outcome.js"

/** A store to read from for one test, empty at first. */
export interface ReadStoreFixture {
  readonly store: ReadStore
  /** Write the next revision of a document, as its owner does elsewhere. */
  write(key: string, text: string): Promise<void>
  /** Another handle on the same documents, as another process would have. Absent: the store lives in one object. */
  reopen?(): ReadStore
  destroy(): Promise<void>
}

/** Hold a store that can only be read to what a follower relies on. Every driver passes it, built-in or not. */
export function readStoreContract(
  name: string,
  driver: { create(): Promise<ReadStoreFixture> },
  { describe, it, expect }: TestFramework,
): void {
  const requires = eachOnItsOwn(driver, it)

  describe(`${name} keeps the contract of a store that is read`, () => {
    requires("a document that was never written is null", async ({ store, write }) => {
      expect(await store.get("a/state")).toBe(null)
      await write("a/report", "{}")
      expect(await store.get("a/state")).toBe(null)
    })

    requires("what was written last comes back, as often as it is asked for", async ({ store, write, reopen }) => {
      for (const [written, text] of ["one", "two", "three"].entries()) {
        await write("a/state", text)
        const expected = { revision: written + 1, envelope: text }
        for (const handle of [store, store, reopen?.() ?? store]) {
          expect(contents(await handle.get("a/state"))).toEqual(expected)
        }
      }
    })

    requires("documents are independent", async ({ store, write }) => {
      await write("a/state", "one")
      await write("a/report", "report")
      await write("b/state", "other")
      await write("b/state", "other still")
      expect(contents(await store.get("a/state"))).toEqual({ revision: 1, envelope: "one" })
      expect(contents(await store.get("a/report"))).toEqual({ revision: 1, envelope: "report" })
      expect(contents(await store.get("b/state"))).toEqual({ revision: 2, envelope: "other still" })
    })

    requires("the exact text comes back", async ({ store, write }) => {
      for (const [written, text] of TEXTS.entries()) {
        await write("a/state", text)
        expect(contents(await store.get("a/state"))).toEqual({ revision: written + 1, envelope: text })
      }
    })

    requires("the token changes with the content, and stays while it stays", async ({ store, write, reopen }) => {
      await write("a/state", "one")
      const first = await store.get("a/state")
      expect((await store.get("a/state"))?.token).toBe(first?.token)
      expect((await (reopen?.() ?? store).get("a/state"))?.token).toBe(first?.token)
      await write("a/state", "two")
      expect((await store.get("a/state"))?.token === first?.token).toBe(false)
    })

    requires("a watcher is told of writes, the first one included", async ({ store, write }) => {
      const stop = new AbortController()
      const hints = hintCounter()
      store.watch("a/state", hints.hint, { signal: stop.signal })
      for (let revision = 0; revision < 3; revision++) {
        const before = hints.count()
        await write("a/state", `r${revision}`)
        expect(await hints.beyond(before)).toBe(true)
        await store.get("a/state")
      }
      stop.abort()
    })

    requires("a watcher that throws hurts nobody", async ({ store, write }) => {
      const stop = new AbortController()
      const hints = hintCounter()
      const failing = (): void => {
        throw new Error("a host's own fault")
      }
      store.watch("a/state", failing, { signal: stop.signal })
      store.watch("a/state", hints.hint, { signal: stop.signal })
      const before = hints.count()
      await write("a/state", "one")
      expect(await hints.beyond(before)).toBe(true)
      stop.abort()
    })

    requires("an aborted watch is silent, whenever it was aborted", async ({ store, write }) => {
      const [never, late, witness] = [hintCounter(), hintCounter(), hintCounter()]
      const [before, atOnce] = [new AbortController(), new AbortController()]
      const [during, witnessed] = [new AbortController(), new AbortController()]
      before.abort()
      store.watch("a/state", never.hint, { signal: before.signal })
      store.watch("a/state", never.hint, { signal: atOnce.signal })
      atOnce.abort()
      store.watch("a/state", late.hint, { signal: during.signal })
      await write("a/state", "one")
      expect(await late.beyond(0)).toBe(true)
      during.abort()
      const known = late.count()
      store.watch("a/state", witness.hint, { signal: witnessed.signal })
      const seen = witness.count()
      await write("a/state", "two")
      expect(await witness.beyond(seen)).toBe(true)
      expect(never.count()).toBe(0)
      expect(late.count()).toBe(known)
      witnessed.abort()
    })

    requires("a caller that gave up before the call gets nothing", async ({ store, write }) => {
      await write("a/state", "one")
      expect(await codeOf(store.get("a/state", { signal: AbortSignal.abort() }))).toBe("STORE_UNAVAILABLE")
      expect((await store.get("a/state"))?.envelope).toBe("one")
    })

    requires("keys that could leave their place are the programmer's error", async ({ store }) => {
      for (const key of BAD_KEYS) {
        expect(await nameOf(store.get(key))).toBe("RangeError")
      }
    })
  })
}
