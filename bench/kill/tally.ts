/** Quantiles of latencies, ms. `p` in [0, 1]; nearest rank. */
export function quantile(sorted: readonly number[], p: number): number {
  if (sorted.length === 0) throw new RangeError("no latencies: nothing arrived")
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)]!
}

export const median = (numbers: readonly number[]): number =>
  quantile(
    numbers.toSorted((a, b) => a - b),
    0.5,
  )

export interface Spread {
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** How many were expected, and did not arrive in time. */
  readonly lost: number
}

export function spreadOf(latencies: readonly number[], expected: number): Spread {
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    max: quantile(sorted, 1),
    lost: expected - sorted.length,
  }
}
