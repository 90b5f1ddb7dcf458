import type { StateStore } from "../rollout/store.js"

/** Longest wait for one answer, and the time between two looks of its own, ms. */
export const DEADLINE_MS = 2000
const RECONCILE_MS = 5000

/** A follower that only reads, for tests of stores. */
export interface ReadingFollower {
  revision(): number
  /** Wait until it has read the revision, `ms` at most. */
  until(revision: number, ms: number): Promise<void>
  close(): void
}

/** Read as the controller's follower does: at a hint, every 5 s, each with a deadline of 2 s, and soon again when that failed. */
export function follow(store: StateStore, key: string): ReadingFollower {
  const lifetime = new AbortController()
  let newest = 0
  let again = (): void => {}
  let seen = (): void => {}

  let hinted = Promise.resolve()

  async function run(): Promise<void> {
    while (!lifetime.signal.aborted) {
      // Made before the read: what is hinted at while it is under way may not be in the answer.
      hinted = new Promise((resolve) => (again = resolve))
      const deadline = new AbortController()
      const timer = setTimeout(() => deadline.abort(), DEADLINE_MS)
      const answered = await store.get(key, { signal: deadline.signal }).then(
        (found) => {
          newest = found?.revision ?? newest
          return true
        },
        () => false,
      )
      clearTimeout(timer)
      seen()
      await rest(answered ? RECONCILE_MS : 50)
    }
  }

  function rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        lifetime.signal.removeEventListener("abort", end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      lifetime.signal.addEventListener("abort", end)
      void hinted.then(end)
    })
  }

  store.watch(key, () => again(), { signal: lifetime.signal })
  void run()

  return {
    revision: () => newest,
    until(revision, ms) {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms)
        seen = () => {
          if (newest < revision) return
          clearTimeout(timer)
          resolve()
        }
        seen()
      })
    },
    close: () => lifetime.abort(),
  }
}
