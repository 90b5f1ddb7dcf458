import type { StateStore } from "../../src/rollout/store.js"

/** A store that says when nothing is asked of it: time must not pass while somebody waits for an answer. */
export function settling(store: StateStore) {
  const open = new Set<Promise<unknown>>()
  const counted =
    <A extends unknown[], R>(ask: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> => {
      const asked = ask(...args)
      open.add(asked)
      void asked.catch(() => {}).finally(() => open.delete(asked))
      return asked
    }
  return {
    store: { ...store, get: counted(store.get), compareAndSet: counted(store.compareAndSet) },
    async settled(): Promise<void> {
      while (open.size > 0) await Promise.allSettled(open)
    },
  }
}
