import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  watch,
  writeFileSync,
} from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"
import { isSerinError } from "../../src/errors.js"
import type { StateStore } from "../../src/rollout/store.js"
import { fileStore } from "../../src/stores/file.js"
import { scratch } from "./folder.js"

const path = scratch()
let folders = 0

/** A store in a folder of its own; `file` names what is in the folder of the document `r/state`. */
function fresh(keep?: number) {
  const name = `store-${folders++}`
  const dir = path(name)
  const file = (...names: string[]) => path(name, "r", "state", ...names)
  return { dir, file, store: fileStore({ dir, keep }), names: () => readdirSync(file()).toSorted() }
}

async function fill(store: StateStore, upTo: number, from = 0): Promise<void> {
  for (let revision = from; revision < upTo; revision++) {
    expect(await store.compareAndSet("r/state", revision, `r${revision + 1}`)).toEqual({ ok: true })
  }
}

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (isSerinError(error)) return `${error.code}: ${error.message}`
    throw error
  }
  throw new Error("it did not fail")
}

describe("the folder", () => {
  it("holds one file a revision, for its owner alone", async () => {
    const { store, file, names, dir } = fresh()
    await fill(store, 2)
    expect(names()).toEqual(["0000000001.json", "0000000002.json"])
    expect(statSync(file("0000000002.json")).mode & 0o777).toBe(0o600)
    for (const folder of [dir, file("..")]) expect(statSync(folder).mode & 0o777).toBe(0o700)
  })

  it("is not made by reading", async () => {
    const { store, dir } = fresh()
    expect(await store.get("r/state")).toBe(null)
    expect(() => statSync(dir)).toThrow(/ENOENT/)
  })

  it("may hold other things, which are not looked at", async () => {
    const { store, file } = fresh()
    await fill(store, 1)
    for (const name of ["notes.txt", "2.json", "0000000002.json.bak", "-000000003.json"]) writeFileSync(file(name), "x")
    mkdirSync(file("0000000007.json"))
    symlinkSync("/etc/passwd", file("0000000008.json"))
    expect(await store.get("r/state")).toMatchObject({ revision: 1, envelope: "r1" })
  })

  it("keeps the newest revisions and removes the others", async () => {
    const { store, names } = fresh(3)
    await fill(store, 8)
    expect(names()).toEqual([".pruned", "0000000006.json", "0000000007.json", "0000000008.json"])
    const kept = []
    for await (const { revision } of store.history("r/state")) kept.push(revision)
    expect(kept).toEqual([8, 7, 6])
  })

  it("can be read at any moment while revisions are pruned", async () => {
    const { store, dir } = fresh(2)
    await fill(store, 1)
    const written = new AbortController()
    const reader = async (): Promise<number> => {
      const handle = fileStore({ dir })
      let last = 0
      while (!written.signal.aborted) {
        const revision = (await handle.get("r/state"))?.revision ?? -1
        expect(revision).toBeGreaterThanOrEqual(last)
        last = revision
      }
      return last
    }
    const readers = Promise.all([reader(), reader(), reader()])
    await fill(store, 40, 1)
    written.abort()
    expect(Math.min(...(await readers))).toBeGreaterThan(0)
  })
})

describe("what dead writers left", () => {
  const MINUTE = 60
  it.each([
    ["a dead process of this host", hostname(), 4_194_305, 2 * MINUTE, false],
    ["a dead process, just now", hostname(), 4_194_305, 0, true],
    ["a living process", hostname(), process.pid, 2 * MINUTE, true],
    ["another host", "elsewhere", 4_194_305, 2 * MINUTE, true],
    ["another host, long ago", "elsewhere", 4_194_305, 61 * MINUTE, false],
    ["a process whose number is used again, long ago", hostname(), process.pid, 61 * MINUTE, false],
  ])("is swept by the next write: %s", async (_who, host, pid, ageSeconds, stays) => {
    const { store, dir, names } = fresh()
    await fill(store, 1)
    const name = `${host.replaceAll(/[^A-Za-z0-9-]/g, "-")}-${pid}-0123abcd`
    const draft = join(dir, ".drafts", name)
    writeFileSync(draft, "half")
    const then = Date.now() / 1000 - ageSeconds
    utimesSync(draft, then, then)
    await fill(store, 2, 1)
    expect(existsSync(draft)).toBe(stays)
    expect(names()).toEqual(["0000000001.json", "0000000002.json"])
  })
})

describe("a watch", () => {
  it("brings what was written, and no draft wakes it", async () => {
    const { store, dir, file } = fresh()
    await fill(store, 1)
    const stop = new AbortController()
    const names = new Set<string | null>()
    const other = watch(file(), (_event, name) => void names.add(name))
    const brought = new Promise<unknown>((resolve) => {
      fileStore({ dir }).watch("r/state", (found) => found && resolve(found), { signal: stop.signal })
    })
    // The system's own watch begins when the folder was found.
    for (let revision = 1, isThere = false; !isThere; revision++) {
      await fill(store, revision + 1, revision)
      isThere = await Promise.race([
        brought.then(() => true),
        new Promise<boolean>((end) => setTimeout(end, 20, false)),
      ])
    }
    stop.abort()
    other.close()
    const found = await brought
    expect(found).toMatchObject({ envelope: expect.stringMatching(/^r\d+$/) })
    expect([...names].filter((name) => !/^\d{10}\.json$/.test(name ?? ""))).toEqual([])
  })

  it("brings nothing by a link that leads elsewhere", async () => {
    const { store, file, dir } = fresh()
    await fill(store, 1)
    const secret = path("secret.json")
    writeFileSync(secret, "secret")
    const stop = new AbortController()
    const hints: unknown[] = []
    const handle = fileStore({ dir })
    handle.watch("r/state", (found) => void hints.push(found?.envelope), { signal: stop.signal })
    await vi.waitFor(() => expect(hints).toHaveLength(1), 2000)
    symlinkSync(secret, file("0000000002.json"))
    writeFileSync(path("third.json"), "r3")
    renameSync(path("third.json"), file("0000000003.json"))
    await vi.waitFor(() => expect(hints.length).toBeGreaterThan(1), 2000)
    stop.abort()
    expect(hints).not.toContain("secret")
    expect(await handle.get("r/state")).toMatchObject({ revision: 3 })
  })
})

describe("a folder that is gone", () => {
  it("is no fresh start for a process that has seen it", async () => {
    const { store, dir, file } = fresh()
    await fill(store, 3)
    rmSync(dir, { recursive: true })
    const expected = `STORE_UNAVAILABLE: ${file()} is gone; revision 3 was in it. Restore it, or restart to begin anew`
    expect(await failure(store.get("r/state"))).toBe(expected)
    expect(await failure(store.compareAndSet("r/state", 0, "x"))).toBe(expected)
    expect(await failure(store.compareAndSet("r/state", 3, "x"))).toBe(expected)
    expect(() => statSync(dir)).toThrow(/ENOENT/)
  })

  it.each(["r/verdict", "r/evidence/one", "other/state"])(
    "is not made anew by the first write of another document, %s, of a process that has seen it",
    async (key) => {
      const { store, dir } = fresh()
      await fill(store, 1)
      expect(await store.get(key)).toBe(null)
      rmSync(dir, { recursive: true })
      const gone = key.startsWith("r/") ? join(dir, "r") : dir
      expect(await store.get(key)).toBe(null)
      const expected = `STORE_UNAVAILABLE: ${dir} is gone; documents were in it. Restore it, or restart to begin anew`
      expect(await failure(store.compareAndSet(key, 0, "x"))).toBe(expected.replace(dir, gone))
      expect(() => statSync(dir)).toThrow(/ENOENT/)
      // Somebody restored it, or began anew.
      await fill(fileStore({ dir }), 1)
      expect(await store.compareAndSet(key, 0, "x")).toEqual({ ok: true })
    },
  )

  it("is one for a process that has not", async () => {
    const { store, dir } = fresh()
    await fill(store, 3)
    rmSync(dir, { recursive: true })
    expect(await fileStore({ dir }).compareAndSet("r/state", 0, "anew")).toEqual({ ok: true })
    expect(await store.get("r/state")).toMatchObject({ revision: 1, envelope: "anew" })
  })

  it("can be begun anew when only the revisions were removed", async () => {
    const { store, dir, file, names } = fresh(2)
    await fill(store, 4)
    for (const name of names()) if (name.endsWith(".json")) rmSync(file(name))
    expect(await fileStore({ dir }).compareAndSet("r/state", 0, "anew")).toEqual({ ok: true })
  })
})

describe("a folder that cannot be used", () => {
  it("is told with its path and the fix, for every verb", async () => {
    const blocked = path("a-file")
    writeFileSync(blocked, "")
    const store = fileStore({ dir: path("a-file", "state") })
    // One after the other: a promise that fails while nobody listens yet ends the process.
    for (const attempt of [
      () => store.get("r/state"),
      () => store.compareAndSet("r/state", 0, "x"),
      () => store.history("r/state")[Symbol.asyncIterator]().next(),
    ]) {
      const message = await failure(attempt())
      expect(message).toContain(`STORE_UNAVAILABLE: ${path("a-file", "state", "r", "state")}: ENOTDIR`)
      expect(message).toContain("a part of this path is a file: choose another folder")
    }
  })

  it("still may be watched: nothing throws, and the watch begins when it can be used", async () => {
    const blocked = path("blocked")
    writeFileSync(blocked, "")
    const store = fileStore({ dir: path("blocked", "state") })
    const stop = new AbortController()
    let hint = (): void => {}
    const hinted = (): Promise<void> => new Promise((resolve) => (hint = resolve))
    const lost = hinted()
    store.watch("r/state", () => hint(), { signal: stop.signal })
    await lost
    rmSync(blocked)
    const found = hinted()
    await fill(store, 1)
    await found
    stop.abort()
  })

  it.each([
    [
      "too large",
      (file: string) => truncateSync(file, 8 * 1024 * 1024 + 1),
      "has 8388609 bytes, at most 8388608 are read",
    ],
    ["not UTF-8", (file: string) => writeFileSync(file, Buffer.from([0x7b, 0xff, 0x7d])), "it is not UTF-8"],
  ])("refuses a revision that is %s", async (_what, spoil, message) => {
    const { store, file } = fresh()
    await fill(store, 1)
    spoil(file("0000000001.json"))
    expect(await failure(store.get("r/state"))).toContain(message)
  })
})

describe("a writer that slept between looking and writing", () => {
  /** A signal that is looked at for the last time right before the write: the moment to let others get ahead. */
  function meanwhile(act: () => void): AbortSignal {
    let looks = 0
    const signal = new AbortController().signal
    return new Proxy(signal, {
      get(target, property) {
        if (property === "aborted" && ++looks === 2) act()
        return Reflect.get(target, property, target)
      },
    })
  }
  const name = (revision: number) => `${String(revision).padStart(10, "0")}.json`

  it("loses to whoever wrote meanwhile", async () => {
    const { store, file } = fresh()
    await fill(store, 1)
    const signal = meanwhile(() => writeFileSync(file(name(2)), "theirs"))
    expect(await store.compareAndSet("r/state", 1, "ours", { signal })).toMatchObject({
      ok: false,
      current: { revision: 2, envelope: "theirs" },
    })
  })

  it.each([
    ["any revision", 5],
    ["the first revision", 0],
  ])("does not take a number that was written and pruned: %s", async (_which, expected) => {
    const { store, file, names } = fresh(2)
    await fill(store, expected)
    const signal = meanwhile(() => {
      for (const old of names()) if (old.endsWith(".json")) rmSync(file(old))
      writeFileSync(file(".pruned"), "")
      for (const revision of [expected + 7, expected + 8]) writeFileSync(file(name(revision)), "theirs")
    })
    expect(await failure(store.compareAndSet("r/state", expected, "ours", { signal }))).toContain("STORE_AMBIGUOUS")
    expect(names()).toEqual([".pruned", name(expected + 7), name(expected + 8)])
    expect(await store.get("r/state")).toMatchObject({ revision: expected + 8, envelope: "theirs" })
  })

  it("writes nothing when its caller has given up", async () => {
    const { store, names } = fresh()
    await fill(store, 1)
    const stop = new AbortController()
    let looks = 0
    const signal = new Proxy(stop.signal, {
      get(target, property) {
        if (property === "aborted" && ++looks === 2) stop.abort()
        return Reflect.get(target, property, target)
      },
    })
    expect(await failure(store.compareAndSet("r/state", 1, "late", { signal }))).toContain("STORE_UNAVAILABLE")
    expect(names()).toEqual([name(1)])
  })
})

describe("a watch", () => {
  it("goes on when its folder is removed and made anew", async () => {
    const { store, dir } = fresh()
    await fill(store, 1)
    const stop = new AbortController()
    let wake = (): void => {}
    const next = (): Promise<void> => new Promise((resolve) => (wake = resolve))
    const gone = next()
    store.watch("r/state", () => wake(), { signal: stop.signal })
    rmSync(dir, { recursive: true })
    await gone
    const anew = next()
    const other = fileStore({ dir })
    await fill(other, 1)
    await anew
    const again = next()
    await fill(other, 2, 1)
    await again
    stop.abort()
    expect(await store.get("r/state")).toMatchObject({ revision: 2 })
  })

  it("does not repeat what its own handle has read", async () => {
    const { store } = fresh()
    await fill(store, 1)
    const stop = new AbortController()
    let hints = 0
    const hinted = new Promise<void>((resolve) => {
      store.watch("r/state", () => resolve(void hints++), { signal: stop.signal })
    })
    await fill(store, 2, 1)
    await hinted
    expect(hints).toBe(1)
    stop.abort()
  })
})

describe("a folder that is mounted from a ConfigMap", () => {
  /** Files are links into a folder that is swapped as a whole; `..data` names the one that counts. */
  function swap(file: (...names: string[]) => string, version: string, revision: number): void {
    const name = `000000000${revision}.json`
    mkdirSync(file(`..${version}`), { recursive: true })
    writeFileSync(file(`..${version}`, name), version)
    symlinkSync(`..${version}`, file("..data_tmp"))
    renameSync(file("..data_tmp"), file("..data"))
    symlinkSync(join("..data", name), file(name))
  }

  it("is read, and a swap is seen", async () => {
    const { store, file } = fresh()
    swap(file, "v1", 1)
    expect(await store.get("r/state")).toMatchObject({ revision: 1, envelope: "v1" })
    const stop = new AbortController()
    const hinted = new Promise<unknown>((resolve) => store.watch("r/state", resolve, { signal: stop.signal }))
    swap(file, "v2", 2)
    await hinted
    stop.abort()
    expect(await store.get("r/state")).toMatchObject({ revision: 2, envelope: "v2" })
  })

  it("may be a link itself that is swapped", async () => {
    const { store, file } = fresh()
    for (const revision of [1, 2]) {
      mkdirSync(file("..", `v${revision}`), { recursive: true })
      writeFileSync(file("..", `v${revision}`, `000000000${revision}.json`), `v${revision}`)
    }
    symlinkSync("v1", file())
    expect(await store.get("r/state")).toMatchObject({ revision: 1 })
    const stop = new AbortController()
    const hinted = new Promise<unknown>((resolve) => store.watch("r/state", resolve, { signal: stop.signal }))
    symlinkSync("v2", file("..", "tmp"))
    renameSync(file("..", "tmp"), file())
    await hinted
    stop.abort()
    expect(await store.get("r/state")).toMatchObject({ revision: 2 })
  })
})

describe("a document that was removed", () => {
  it("and written again is missed when it goes without being removed", async () => {
    const { store, file, names } = fresh()
    await fill(store, 2)
    await store.remove("r/state")
    expect(await store.get("r/state")).toBe(null)
    await fill(store, 2)
    for (const name of names()) if (name.endsWith(".json")) rmSync(file(name))
    expect(await failure(store.get("r/state"))).toContain("revision 2 was in it")
  })

  it("leaves nothing behind for ever: the next one that is removed sweeps it", async () => {
    const { store, dir } = fresh()
    const there = () => readdirSync(join(dir, "r", "evidence")).toSorted()
    for (const name of ["old", "young", "live"]) await store.compareAndSet(`r/evidence/${name}`, 0, "x")
    await store.remove("r/evidence/old")
    const longAgo = Date.now() / 1000 - 7200
    utimesSync(join(dir, "r", "evidence", "old", ".removed"), longAgo, longAgo)
    await store.remove("r/evidence/young")
    expect(there()).toEqual(["live", "young"])
    expect(await store.list("r")).toEqual(["r/evidence/live"])
  })
})

describe("options and keys", () => {
  it.each([
    [{ dir: "" }, TypeError],
    [{ dir: "x", keep: 1 }, RangeError],
    [{ dir: "x", keep: 2.5 }, RangeError],
  ])("%o is the programmer's error", (options, error) => {
    expect(() => fileStore(options)).toThrow(error)
  })

  it("a key never hides the revisions of another", async () => {
    await expect(fresh().store.get("r/0000000001.json")).rejects.toThrow(RangeError)
  })
})
