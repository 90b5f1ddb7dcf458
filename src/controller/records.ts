import type { VerdictRecord } from "../analysis/replay.js"
import type { StateStore } from "../rollout/store.js"
import { verdictKey } from "./keys.js"
import { errorText } from "../model/error-text.js"
import { getReplaceable } from "./replaceable.js"
import { MAX_RECORD_BYTES, serializeRecord } from "./verdict-record.js"
import { hashOf } from "./write-state.js"

/** Keeps verdicts with all that they were made of, in the store, one revision each. */
export interface Records {
  /**
   * Make a record now, and write it behind those before it. Answers the hash of its text, by which the revision that it moves names it;
   * undefined when it cannot be kept. Never throws; what went wrong is in `problem()`.
   */
  keep(make: () => VerdictRecord): string | undefined
  /** The last one that was made here; null before the first. */
  newest(): VerdictRecord | null
  /** Why the last one is not in the store. */
  problem(): string | undefined
  /** Wait until what was made is written, or has failed. Never rejects. */
  settle(): Promise<void>
}

const MAX_ATTEMPTS = 5
/** Each may have a megabyte. */
export const KEPT_RECORDS = 20

export function createRecords(store: StateStore, rollout: string): Records {
  const key = verdictKey(rollout)
  let newest: VerdictRecord | null = null
  let problem: string | undefined
  let writing = Promise.resolve()

  async function write(text: string): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const revision = (await getReplaceable(store, key))?.revision ?? 0
      if ((await store.compareAndSet(key, revision, text, { keep: KEPT_RECORDS })).ok) return
    }
    throw new Error("others write there all the time")
  }

  function failed(error: unknown): void {
    problem = `a verdict is not kept for \`serin verify\`: ${errorText(error)}`
  }

  return {
    keep(make) {
      try {
        newest = make()
        const text = serializeRecord(newest)
        const most = Math.min(store.caps.maxBytes, MAX_RECORD_BYTES)
        const bytes = Buffer.byteLength(text)
        if (bytes > most) throw new Error(`it has ${bytes} bytes, and at most ${most} are kept`)
        writing = writing.then(() => write(text)).then(() => (problem = undefined), failed)
        return hashOf(text)
      } catch (error) {
        failed(error)
        return undefined
      }
    },
    newest: () => newest,
    problem: () => problem,
    settle: () => writing,
  }
}

/** The newest record that is kept, as text; null when there is none. */
export async function newestRecord(store: StateStore, rollout: string): Promise<string | null> {
  return (await store.get(verdictKey(rollout)))?.envelope ?? null
}
