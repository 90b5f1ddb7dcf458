import { SerinError } from "../errors.js"
import type { SerinErrorCode } from "../errors.js"
import type { Clock } from "../model/clock.js"
import type { StateStore } from "../rollout/store.js"

/** Longest wait for one answer of a store or a source, ms. */
export const DEADLINE_MS = 2000

const CLOSED = "nobody waits for the answer any more"

/**
 * Wait for work, `ms` at most or until `stop` aborts; then abort the signal that it was given and reject with `late`.
 * What the work does after that is nobody's business: its answer and its failure are dropped. (The signals are joined by hand: on Node 20
 * `AbortSignal.any` may never fire after a garbage collection.)
 */
export async function inTime<T>(
  clock: Clock,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  late: SerinErrorCode = "STORE_UNAVAILABLE",
  stop?: AbortSignal,
): Promise<T> {
  if (stop?.aborted === true) throw new SerinError(late, CLOSED)
  const deadline = new AbortController()
  let settle = (): void => {}
  const lateness = new Promise<never>((_, reject) => {
    const giveUp = (why: string): void => {
      reject(new SerinError(late, why))
      deadline.abort()
    }
    const onStop = (): void => giveUp(CLOSED)
    const cancel = clock.schedule(() => giveUp(`no answer within ${ms} ms`), ms)
    stop?.addEventListener("abort", onStop, { once: true })
    settle = () => {
      cancel()
      stop?.removeEventListener("abort", onStop)
    }
  })
  try {
    return await Promise.race([work(deadline.signal), lateness])
  } finally {
    settle()
  }
}

/** Longest wait, as a process ends, for the other arm to judge the calls that wait, ms: their pairs are counted. Within a deadline of the store's, so that they can be published in what is left. */
const LAST_PAIRS_MS = 1000

/** Wait until all calls were judged that wait for the other arm, for a second at the most. Never rejects. */
export async function lastPairs(clock: Clock, guard: { idle(): Promise<void> }): Promise<void> {
  await inTime(clock, LAST_PAIRS_MS, () => guard.idle()).catch(() => {})
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
