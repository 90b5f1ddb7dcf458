import { describe, expect, it } from "vitest"
import { memoryStore } from "../../src/stores/memory.js"
import { signedStore } from "../../src/stores/signed.js"
import { storeContract } from "../../src/testing/store-contract.js"
import { keyPair, trusting } from "../signing/keys.js"

const key = keyPair()

async function create() {
  const store = signedStore(memoryStore(), { trustedKeys: trusting(key), signWith: key.privatePem })
  return { store, destroy: async () => {} }
}

storeContract("signedStore", { create }, { describe, it, expect })
