import { requireMethods } from "./options.js"

/** Time, passed in so that tests and replays own it. */
export interface Clock {
  /** Wall clock, ms since the Unix epoch. May jump in either direction. */
  now(): number
  /** Monotonic clock, ms from an arbitrary origin, with sub-millisecond resolution. */
  monotonic(): number
  /** Run `fn` once after `delayMs`; the answer cancels it. Keeps the process alive only when asked to. */
  schedule(fn: () => void, delayMs: number, options?: { readonly keepAlive?: boolean }): () => void
}

/** Node.js takes a longer delay for one of 1 ms, so a time-out that is meant for never would be one at once. 24.8 days, ms. */
const LONGEST_MS = 2 ** 31 - 1

/** The machine's clocks. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(fn, delayMs, options) {
    const timer = setTimeout(fn, Math.min(delayMs, LONGEST_MS))
    if (options?.keepAlive !== true) timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Throw `TypeError` for what is no clock. */
export function requireClock(clock: Clock): void {
  requireMethods(
    "clock",
    clock,
    ["now", "monotonic", "schedule"],
    "leave it out for the machine's clock; in tests, pass fakeClock() of serin/testing",
  )
}
