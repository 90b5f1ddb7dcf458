import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { fileStore } from "../../src/stores/file.js"
import { storeContract } from "../../src/testing/store-contract.js"

async function create() {
  const root = await mkdtemp(join(tmpdir(), "serin-"))
  const dir = join(root, "deep", "state")
  return {
    store: fileStore({ dir }),
    reopen: () => fileStore({ dir }),
    destroy: () => rm(root, { recursive: true }),
  }
}

storeContract("fileStore", { create }, { describe, it, expect })
