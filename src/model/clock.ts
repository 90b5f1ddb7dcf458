/** Time, passed in so that tests and replays own it. */
export interface Clock {
  /** Wall clock, ms since the Unix epoch. May jump in either direction. */
  now(): number
  /** Monotonic clock, ms from an arbitrary origin, with sub-millisecond resolution. */
  monotonic(): number
  /** Run `fn` once after `delayMs`; the answer cancels it. Must not keep the process alive. */
  schedule(fn: () => void, delayMs: number): () => void
}

/** The machine's clocks. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(fn, delayMs) {
    const timer = setTimeout(fn, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
