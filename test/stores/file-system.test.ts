import * as events from "node:fs"
import * as fs from "node:fs/promises"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { fileStore } from "../../src/stores/file.js"
import { scratch } from "./folder.js"

vi.mock("node:fs/promises", { spy: true })
vi.mock("node:fs", { spy: true })

const path = scratch()
const link = vi.mocked(fs.link)
const open = vi.mocked(fs.open)
const real = await vi.importActual<typeof fs>("node:fs/promises")
const failWith = (code: string) => Object.assign(new Error(`${code}: link`), { code })

beforeEach(() => {
  link.mockReset().mockImplementation(real.link)
  open.mockReset().mockImplementation(real.open)
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
      for (const folder of [path(code, "r", "state"), path(code, ".drafts")]) {
        expect(await real.readdir(folder)).toEqual([])
      }
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

describe("a link of which nothing is known", () => {
  it("may have been made: the system answers neither it nor the question", async () => {
    const store = fileStore({ dir: path("lost") })
    await store.compareAndSet("r/state", 0, "x")
    link.mockImplementationOnce(async (from, to) => {
      await real.link(from, to)
      throw failWith("EIO")
    })
    vi.mocked(fs.stat).mockRejectedValueOnce(failWith("EIO"))
    await expect(store.compareAndSet("r/state", 1, "y")).rejects.toMatchObject({ code: "STORE_AMBIGUOUS" })
    expect(await store.get("r/state")).toMatchObject({ revision: 2, envelope: "y" })
  })
})

describe("a reader", () => {
  it("whose revision is pruned under its hands reads the newest", async () => {
    const store = fileStore({ dir: path("pruned") })
    await store.compareAndSet("r/state", 0, "one")
    open.mockImplementationOnce(async (file, flags) => {
      await real.writeFile(path("pruned", "r", "state", "0000000002.json"), "two")
      await real.unlink(String(file))
      return real.open(file, flags)
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

  it("watches anew when the system says that the folder itself went, whatever its inode is", async () => {
    const store = fileStore({ dir: path("reused") })
    await store.compareAndSet("r/state", 0, "x")
    const watch = vi.mocked(events.watch).mockClear()
    const stop = new AbortController()
    store.watch("r/state", () => {}, { signal: stop.signal })
    await vi.waitFor(() => expect(watch).toHaveBeenCalledTimes(1), 2000)
    const [first] = watch.mock.results
    if (first?.type === "return") first.value.emit("change", "rename", "state")
    await vi.waitFor(() => expect(watch).toHaveBeenCalledTimes(2), 2000)
    stop.abort()
  })

  it("does not list a folder again and again in which nothing happens, and still sees what does", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    try {
      vi.mocked(events.watch).mockImplementation(() => {
        throw failWith("EMFILE")
      })
      const store = fileStore({ dir: path("quiet") })
      await store.compareAndSet("r/state", 0, "x")
      await store.get("r/state")
      const [readdir, stat] = [vi.mocked(fs.readdir), vi.mocked(fs.stat)]
      const stop = new AbortController()
      let hints = 0
      store.watch("r/state", () => hints++, { signal: stop.signal })
      const look = async (): Promise<void> => {
        const before = stat.mock.calls.length
        vi.advanceTimersByTime(250)
        await vi.waitFor(() => expect(stat.mock.calls.length).toBeGreaterThan(before))
      }
      for (let looks = 0; looks < 16; looks++) await look()
      readdir.mockClear()
      for (let looks = 0; looks < 4; looks++) await look()
      expect(readdir).not.toHaveBeenCalled()
      expect(hints).toBe(0)
      await fileStore({ dir: path("quiet") }).compareAndSet("r/state", 1, "y")
      vi.advanceTimersByTime(250)
      await vi.waitFor(() => expect(hints).toBe(1))
      stop.abort()
    } finally {
      vi.useRealTimers()
      vi.mocked(events.watch).mockReset()
    }
  })
})
