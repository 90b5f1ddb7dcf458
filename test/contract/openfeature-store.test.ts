import { describe, expect, it } from "vitest"
import { openFeatureStore } from "../../src/adapters/openfeature.js"
import { readStoreContract } from "../../src/testing/read-store-contract.js"
import { openFlags } from "../adapters/openfeature/flags.js"

async function create() {
  const { flags, client } = await openFlags()
  // A flag has a value from its first day on: an object with nothing in it is a document that was never written.
  for (const key of ["a/state", "a/report", "b/state"]) flags.put(key, {})
  const open = () => openFeatureStore({ client, flagKey: (key) => key })
  return {
    store: open(),
    reopen: open,
    write: async (key: string, text: string) => flags.set(key, text),
    destroy: async () => {},
  }
}

readStoreContract("openFeatureStore", { create }, { describe, it, expect })
