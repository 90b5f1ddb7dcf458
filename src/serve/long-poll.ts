import type { Clock } from "../model/clock.js"
import type { Versioned } from "../rollout/store.js"
import type { Hub } from "./hub.js"
import type { Read } from "./reads.js"

export interface LongPoll {
  readonly key: string
  /** Whether the client has this already. */
  readonly has: (found: Versioned | null) => boolean
  readonly waitMs: number
  readonly hub: Hub
  readonly read: Read
  readonly clock: Clock
  /** Any of them ends the wait. */
  readonly signals: readonly AbortSignal[]
}

/** Answer what the store has as soon as the client has something else, and at the end of the wait in any case. Rejects as the store does. */
export async function longPoll({ key, has, waitMs, hub, read, clock, signals }: LongPoll): Promise<Versioned | null> {
  let latest: Versioned | null = null
  let wake = (): void => {}
  const woken = new Promise<void>((resolve) => (wake = resolve))
  // Watch, then read: what is written in between is told of.
  const unsubscribe = hub.subscribe(key, (found) => {
    latest = found
    if (!has(found)) wake()
  })
  const cancel = clock.schedule(wake, waitMs)
  for (const signal of signals) signal.addEventListener("abort", wake, { once: true })
  try {
    latest = await read(key)
    if (has(latest) && !signals.some(({ aborted }) => aborted)) await woken
    return latest
  } finally {
    unsubscribe()
    cancel()
    for (const signal of signals) signal.removeEventListener("abort", wake)
  }
}
