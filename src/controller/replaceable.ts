import { isSerinError } from "../errors.js"
import type { ReadStore, Versioned } from "../rollout/store.js"

/** What has to be known of a document to write over it. */
export type Replaceable = Pick<Versioned, "revision" | "envelope">

/**
 * Read a document that this process writes over. Attack, or a change of keys: one that nobody vouches for must keep nobody from writing, so it is
 * known by its revision, and as empty. Rejects with what else the store throws.
 */
export async function getReplaceable(store: Pick<ReadStore, "get">, key: string): Promise<Replaceable | null> {
  try {
    return await store.get(key)
  } catch (error) {
    const revision = untrustedRevision(error)
    if (revision === null) throw error
    return { revision, envelope: "" }
  }
}

/** Of the document that a store refused to give because nobody who is trusted signed it; null: it failed of something else. */
export const untrustedRevision = (error: unknown): number | null =>
  isSerinError(error) && error.code === "STATE_UNTRUSTED" ? (error.revision ?? null) : null
