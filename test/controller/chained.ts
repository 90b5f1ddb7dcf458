import { createHash } from "node:crypto"
import { expect } from "vitest"
import type { RolloutState } from "../../src/rollout/state.js"
import type { StateStore } from "../../src/rollout/store.js"

/** Expect that each revision of a rollout's state bears the hash of the one before it, by what the reference says and nothing of the sources. */
export async function expectChained(store: StateStore, rollout: string, point?: string): Promise<void> {
  let named: string | undefined
  for await (const { revision, envelope } of store.history(`${rollout}/state`)) {
    const hash = `sha256:${createHash("sha256").update(envelope, "utf8").digest("hex")}`
    expect(named ?? hash, `revision ${revision} ${point ?? ""}`).toBe(hash)
    named = (JSON.parse(envelope) as RolloutState).last.previous
    if (revision > 1) expect(named, `revision ${revision} ${point ?? ""}`).toBeDefined()
  }
  expect(named).toBeUndefined()
}
