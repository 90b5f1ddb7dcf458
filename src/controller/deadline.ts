import { SerinError } from "../errors.js"
import type { SerinErrorCode } from "../errors.js"
import type { Clock } from "../model/clock.js"
import type { StateStore } from "../rollout/store.js"

/** Longest wait for one answer of a store or a source, ms. */
export const DEADLINE_MS = 2000

/**
 * Wait for work, `ms` at most; then abort the signal that it was given and reject with `late`.
 * What the work does after that is nobody's business: its answer and its failure are dropped.
 */
export async function inTime<T>(
  clock: Clock,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  late: SerinErrorCode = "STORE_UNAVAILABLE",
): Promise<T> {
  const deadline = new AbortController()
  let cancel = (): void => {}
  const lateness = new Promise<never>((_, reject) => {
    cancel = clock.schedule(() => {
      reject(new SerinError(late, `no answer within ${ms} ms`))
      deadline.abort()
    }, ms)
  })
  try {
    return await Promise.race([work(deadline.signal), lateness])
  } finally {
    cancel()
  }
}

/** A store of which each answer is waited for `ms` at most. The deadline takes the place of a caller's signal. */
export function withDeadlines(store: StateStore, clock: Clock, ms: number): StateStore {
  return {
    caps: store.caps,
    get: (key) => inTime(clock, ms, (signal) => store.get(key, { signal })),
    // What is late may have been written.
    compareAndSet: (key, revision, envelope, options) =>
      inTime(
        clock,
        ms,
        (signal) => store.compareAndSet(key, revision, envelope, { ...options, signal }),
        "STORE_AMBIGUOUS",
      ),
    list: (under) => inTime(clock, ms, (signal) => store.list(under, { signal })),
    remove: (key) => inTime(clock, ms, (signal) => store.remove(key, { signal }), "STORE_AMBIGUOUS"),
    watch: (key, hint, options) => store.watch(key, hint, options),
    async *history(key) {
      const revisions = store.history(key)[Symbol.asyncIterator]()
      try {
        for (;;) {
          const next = await inTime(clock, ms, () => revisions.next())
          if (next.done === true) return
          yield next.value
        }
      } finally {
        // Not waited for: what did not answer will not end in time either.
        void revisions.return?.().catch(() => {})
      }
    },
  }
}
