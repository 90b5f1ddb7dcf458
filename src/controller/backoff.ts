const FIRST_MS = 50
const LONGEST_MS = 2000

/** Shortest time between two tries that fail, ms. */
export const SHORTEST_MS = FIRST_MS

/**
 * Say how long to wait after `failures` in a row, ms: full jitter below a ceiling that doubles from 100 ms to 2 s, so that many processes that
 * lost one store do not come back as one; and never below 50 ms, so that no luck makes a busy loop. `random` is in [0, 1).
 * Source: Brooker, "Exponential Backoff And Jitter", 2015.
 */
export function backoffMs(failures: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** failures)
  return FIRST_MS + random() * (ceiling - FIRST_MS)
}
