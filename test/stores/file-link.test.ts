import * as fs from "node:fs/promises"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { fileStore } from "../../src/stores/file.js"
import { scratch } from "./folder.js"

vi.mock("node:fs/promises", { spy: true })

const path = scratch()
const link = vi.mocked(fs.link)
const { link: realLink } = await vi.importActual<typeof fs>("node:fs/promises")
const failWith = (code: string) => Object.assign(new Error(`${code}: link`), { code })

beforeEach(() => void link.mockReset().mockImplementation(realLink))

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
      expect(await fs.readdir(path(code, "r", "state"))).toEqual([])
      expect(await store.get("r/state")).toBe(null)
    },
  )

  it("that lose the answer to a link which worked do not make a writer lose to itself", async () => {
    link.mockImplementationOnce(async (from, to) => {
      await realLink(from, to)
      throw failWith("EEXIST")
    })
    const store = fileStore({ dir: path("nfs") })
    expect(await store.compareAndSet("r/state", 0, "x")).toEqual({ ok: true })
    expect(await store.get("r/state")).toMatchObject({ revision: 1, envelope: "x" })
  })
})
