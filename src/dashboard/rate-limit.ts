import type { Clock } from "../model/clock.js"

export interface Rate {
  /** At once, after a rest. */
  readonly burst: number
  /** In the long run. */
  readonly perSecond: number
}

/** Whoever is remembered: attack: a thousand names, each of which is kept. */
const MAX_KEYS = 1000

/** Take one from a key's bucket: 0, or the time until there is one again, s, rounded up. */
export type RateLimit = (key: string) => number

/** A bucket a key, full at first. The key that was asked for longest ago is forgotten when there are too many. */
export function rateLimit({ burst, perSecond }: Rate, clock: Clock): RateLimit {
  const buckets = new Map<string, { left: number; at: number }>()
  return (key) => {
    const at = clock.monotonic()
    const known = buckets.get(key)
    const left = known === undefined ? burst : Math.min(burst, known.left + ((at - known.at) / 1000) * perSecond)
    buckets.delete(key)
    const [oldest] = buckets.keys()
    if (buckets.size >= MAX_KEYS && oldest !== undefined) buckets.delete(oldest)
    buckets.set(key, { left: left >= 1 ? left - 1 : left, at })
    return left >= 1 ? 0 : Math.ceil((1 - left) / perSecond)
  }
}
