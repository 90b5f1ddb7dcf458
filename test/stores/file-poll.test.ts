import type * as fs from "node:fs"
import { rmSync } from "node:fs"
import { describe, expect, it, vi } from "vitest"
import { fileStore } from "../../src/stores/file.js"
import { storeContract } from "../../src/testing/store-contract.js"
import { scratch } from "./folder.js"

vi.mock("node:fs", async (original) => ({
  ...(await original<typeof fs>()),
  watch() {
    throw Object.assign(new Error("EMFILE: too many open files, watch"), { code: "EMFILE" })
  },
}))

const path = scratch()
let folders = 0

storeContract(
  "fileStore on a system that has no watcher left",
  {
    async create() {
      const dir = path(`store-${folders++}`)
      const reopen = () => fileStore({ dir })
      return { store: reopen(), reopen, destroy: async () => rmSync(dir, { recursive: true, force: true }) }
    },
  },
  { describe, it, expect },
)
