import * as events from "node:fs"
import * as fs from "node:fs/promises"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { fileStore } from "../../src/stores/file.js"
import { scratch } from "./folder.js"

vi.mock("node:fs/promises", { spy: true })
vi.mock("node:fs", { spy: true })

const path = scratch()
const link = vi.mocked(fs.link)
const readFile = vi.mocked(fs.readFile)
const real = await vi.importActual<typeof fs>("node:fs/promises")
const failWith = (code: string) => Object.assign(new Error(`${code}: link`), { code })

beforeEach(() => {
  link.mockReset().mockImplementation(real.link)
  readFile.mockReset().mockImplementation(real.readFile)
})

describe("file systems that are not like others", () => {
  it.each(["EPERM", "ENOTSUP", "ENOSYS"])(
    "without hard links (%s) are refused, with the fix, and nothing is left",
    async (code) => {
      link.mockRejectedValue(failWith(code))
      const store = fileStore({ dir: path(code) })
      await expect(store.compareAndSet("r/state", 0, "x")).rejects.toMatchObject({
        code: "STORE_UNAVAILABLE",
        message: expect.stringContaining("hard links"),
      })
      expect(await real.readdir(path(code, "r", "state"))).toEqual([])
      expect(await store.get("r/state")).toBe(null)
    },
  )

  it("that lose the answer to a link which worked do not make a writer lose to itself", async () => {
    link.mockImplementationOnce(async (from, to) => {
      await real.link(from, to)
      throw failWith("EEXIST")
    })
    const store = fileStore({ dir: path("nfs") })
    expect(await store.compareAndSet("r/state", 0, "x")).toEqual({ ok: true })
    expect(await store.get("r/state")).toMatchObject({ revision: 1, envelope: "x" })
  })

  it("that fail after the write say that it may have happened", async () => {
    const store = fileStore({ dir: path("cut") })
    await store.compareAndSet("r/state", 0, "x")
    vi.mocked(fs.stat).mockRejectedValueOnce(failWith("EIO"))
    await expect(store.compareAndSet("r/state", 1, "y")).rejects.toMatchObject({ code: "STORE_AMBIGUOUS" })
  })
})

describe("a reader", () => {
  it("whose revision is pruned under its hands reads the newest", async () => {
    const store = fileStore({ dir: path("pruned") })
    await store.compareAndSet("r/state", 0, "one")
    readFile.mockImplementationOnce(async (file) => {
      await real.writeFile(path("pruned", "r", "state", "0000000002.json"), "two")
      await real.unlink(String(file))
      return real.readFile(String(file))
    })
    expect(await store.get("r/state")).toMatchObject({ revision: 2, envelope: "two" })
  })
})

describe("a watch", () => {
  it("looks at the folder that was made anew, not at the one that is gone", async () => {
    const store = fileStore({ dir: path("anew") })
    await store.compareAndSet("r/state", 0, "x")
    const watch = vi.mocked(events.watch).mockClear()
    const stop = new AbortController()
    store.watch("r/state", () => {}, { signal: stop.signal })
    await vi.waitFor(() => expect(watch).toHaveBeenCalledTimes(1), 2000)
    await real.rename(path("anew", "r", "state"), path("anew", "old"))
    await real.mkdir(path("anew", "r", "state"))
    await vi.waitFor(() => expect(watch).toHaveBeenCalledTimes(2), 2000)
    stop.abort()
  })
})
