import { DEADLINE_MS, inTime } from "../controller/deadline.js"
import type { Clock } from "../model/clock.js"
import type { ReadStore, Versioned } from "../rollout/store.js"

/** Read a document as it is now, or later. Rejects as the store does. */
export type Read = (key: string) => Promise<Versioned | null>

/**
 * Share reads, so that five hundred readers who were told of a change ask the store a few times. Nobody shares a read that began before
 * they asked: it may not have seen what they were told of.
 */
export function sharedReads(store: ReadStore, clock: Clock): Read {
  const running = new Map<string, Promise<Versioned | null>>()
  const following = new Map<string, Promise<Versioned | null>>()

  function start(key: string): Promise<Versioned | null> {
    const read = inTime(clock, DEADLINE_MS, (signal) => store.get(key, { signal })).finally(() => {
      if (running.get(key) === read) running.delete(key)
    })
    running.set(key, read)
    return read
  }

  return (key) => {
    const current = running.get(key)
    if (current === undefined) return start(key)
    const queued = following.get(key)
    if (queued !== undefined) return queued
    const next = current.then(
      () => begin(key),
      () => begin(key),
    )
    following.set(key, next)
    return next
  }

  function begin(key: string): Promise<Versioned | null> {
    following.delete(key)
    return start(key)
  }
}
