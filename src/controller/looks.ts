import type { Clock } from "../model/clock.js"
import { backoffMs, SHORTEST_MS } from "./backoff.js"

/** `unauthorized`: to ask often changes nothing. */
export type LookResult = "answered" | "failed" | "unauthorized"

/** Time between two looks at a store that does not let this process in, ms. */
const UNAUTHORIZED_EVERY_MS = 30_000

export interface LooksOptions {
  /** Look once. Never rejects, and always ends: it has a deadline of its own. */
  look(): Promise<LookResult>
  readonly clock: Clock
  /** Time between two looks that are answered, ms. */
  everyMs(): number
  /** In [0, 1). */
  readonly random: () => number
  /** Told after looks that nobody waits for. */
  readonly looked?: (() => void) | undefined
}

/** Looks again and again, one look at a time, until closed. */
export interface Looks {
  /** Look now: what there is now or later is seen when it resolves. Never rejects. */
  now(): Promise<void>
  /** Something may have changed. While looks fail it brings the next one forward, and never makes them many. */
  hint(): void
  close(): void
}

/** Begins with the first `now()` or `hint()`. */
export function createLooks({ look, clock, everyMs, random, looked }: LooksOptions): Looks {
  let running: Promise<void> | null = null
  let again = false
  let hinted = false
  let failures = 0
  let last: LookResult = "answered"
  let endedAt = Number.NEGATIVE_INFINITY
  let cancel = (): void => {}
  let closed = false

  async function run(): Promise<void> {
    cancel()
    try {
      for (;;) {
        again = false
        hinted = false
        const begunAt = clock.monotonic()
        last = await look()
        endedAt = clock.monotonic()
        failures = last === "answered" ? 0 : failures + 1
        if (closed) return
        // A hint came while the store was read: what it is about may not have been there yet.
        if (!again && !(hinted && last === "answered")) return plan(begunAt)
      }
    } finally {
      // Here and not when the promise has settled: a hint in between would be forgotten.
      running = null
    }
  }

  function plan(begunAt: number): void {
    if (hinted) return wait(soonest())
    if (last === "answered") wait(begunAt + everyMs() - endedAt)
    else if (last === "unauthorized") wait(UNAUTHORIZED_EVERY_MS)
    else wait(Math.min(everyMs(), backoffMs(failures, random)))
  }

  function wait(ms: number): void {
    cancel()
    cancel = clock.schedule(unasked, ms)
  }

  function unasked(): void {
    if (!closed) void now().then(() => void (closed || looked?.()))
  }

  /** How long a hint has to wait, ms: looks that fail are at least this far apart. */
  function soonest(): number {
    const apart = { answered: 0, failed: SHORTEST_MS, unauthorized: Math.min(everyMs(), UNAUTHORIZED_EVERY_MS) }[last]
    return Math.max(0, endedAt + apart - clock.monotonic())
  }

  function now(): Promise<void> {
    if (running !== null) again = true
    else running = run()
    return running
  }

  return {
    now,
    hint() {
      if (closed) return
      if (running !== null) return void (hinted = true)
      const ms = soonest()
      if (ms === 0) unasked()
      else wait(ms)
    },
    close() {
      closed = true
      cancel()
    },
  }
}
