import { describe, expect, it } from "vitest"
import { memoryStore } from "../../src/stores/memory.js"
import { storeContract } from "../../src/testing/store-contract.js"

storeContract(
  "memoryStore",
  { create: async () => ({ store: memoryStore(), destroy: async () => {} }) },
  { describe, it, expect },
)
