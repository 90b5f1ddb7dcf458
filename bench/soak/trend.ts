/** What a line through measurements says of their growth, in their unit a second. */
export interface Trend {
  readonly slope: number
  /** Ends of its 95 % confidence interval. */
  readonly low: number
  readonly high: number
}

export interface Point {
  /** Seconds. */
  readonly at: number
  readonly value: number
}

/** `flat`: it grows by less than the limit, if at all. `grows`: by more. `open`: the measurements say neither. */
export type Growth = "flat" | "grows" | "open"

/** Fewer would leave the error's own size to chance, and the quantile below to an approximation. */
const LEAST_POINTS = 8

/** Fit a line by least squares, with the interval of Student's t for its slope. Throws a `RangeError` for fewer than 8 points. */
export function trendOf(points: readonly Point[]): Trend {
  const n = points.length
  if (n < LEAST_POINTS) throw new RangeError(`a trend needs ${LEAST_POINTS} points or more, got ${n}`)
  const mean = (of: (point: Point) => number): number => points.reduce((sum, point) => sum + of(point), 0) / n
  const [at, value] = [mean((point) => point.at), mean((point) => point.value)]
  const spread = n * mean((point) => (point.at - at) ** 2)
  const slope = (n * mean((point) => (point.at - at) * (point.value - value))) / spread
  const left = n * mean((point) => (point.value - value - slope * (point.at - at)) ** 2)
  const error = t975(n - 2) * Math.sqrt(left / (n - 2) / spread)
  return { slope, low: slope - error, high: slope + error }
}

export function growthOf({ low, high }: Trend, limit: number): Growth {
  if (high < limit) return "flat"
  return low > limit ? "grows" : "open"
}

/** The 97.5th percentile of Student's t, by its expansion around the normal one (Abramowitz and Stegun 26.7.5); to 0.002 from 6 degrees on. */
export function t975(degrees: number): number {
  const z = 1.959964
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
  ]
  return terms.reduce((sum, term, i) => sum + term / degrees ** (i + 1), z)
}
