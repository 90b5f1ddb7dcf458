import type { Clock } from "serin"
import { sfc32 } from "serin/testing"

/** A clock that stands still between two calls of the replay. */
export interface ReplayClock extends Clock {
  /** Set the wall clock, ms since the epoch. */
  moveTo(wallMs: number): void
}

/** Median and spread of the simulated time between two readings of the monotonic clock, ms: p99 is four times the median. */
export const LATENCY = { medianMs: 0.4, sigma: 0.6 } as const

/**
 * Make a clock for a replay that comes out the same every time. The guard times a decision by two readings of `monotonic`, so each
 * reading moves it on by a log-normal step: latencies are simulated, and the same for the same seed.
 */
export function replayClock({ startAt, seed }: { readonly startAt: number; readonly seed: number }): ReplayClock {
  // Any stream but that of the traffic, which has the seed itself.
  const random = sfc32((seed + 2 ** 52) % 2 ** 53)
  let wall = startAt
  let elapsed = 0
  return {
    now: () => wall,
    monotonic: () => (elapsed += LATENCY.medianMs * Math.exp(LATENCY.sigma * gaussian(random))),
    // Nothing falls due by itself: the demo says when the leader looks, so that the order of events is its own.
    schedule: () => () => {},
    moveTo(wallMs) {
      wall = wallMs
    },
  }
}

/** Box and Muller's transform of two uniform numbers. */
function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
