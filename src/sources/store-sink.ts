import { SerinError } from "../errors.js"
import { parsePublication } from "../evidence/publication.js"
import type { EvidenceSink } from "../evidence/sink.js"
import type { StateStore } from "../rollout/store.js"

const KEPT_PUBLICATIONS = 2
/** Publishers do not share documents: who is in the way is an earlier try of the same process. */
const MAX_ATTEMPTS = 5

/**
 * Publish evidence in a store that the process may write to. What is older than what is there counts as arrived. Rejects with `EVIDENCE_INVALID`,
 * with `STORE_CONFLICT` when others write the document all the time, and with what the store throws.
 */
export function storeSink(store: StateStore): EvidenceSink {
  return {
    async put(key, text, { signal } = {}) {
      const { sequence } = parsePublication(text)
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const found = await store.get(key, { signal })
        if (found !== null && sequenceOf(found.envelope) >= sequence) return
        const options = { keep: KEPT_PUBLICATIONS, signal }
        if ((await store.compareAndSet(key, found?.revision ?? 0, text, options)).ok) return
      }
      throw new SerinError("STORE_CONFLICT", `others write ${key} all the time; give each process a name of its own`)
    },
  }
}

/** What cannot be read is not worth keeping. */
function sequenceOf(text: string): number {
  try {
    return parsePublication(text).sequence
  } catch {
    return 0
  }
}
