/** The share over stable's p99 that latency criteria bound. */
const SLOW = 0.01

/** A number with thousands separated. */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US")

/** A rate in percent. */
export const percent = (rate: number): string => `${fixed(rate * 100)} %`

/** Hours and minutes, of ms. */
export function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`
}

/**
 * A criterion's number: a difference in percentage points, a rate in percent, or, for latency, the share of the canary's calls
 * that are slower than stable's p99 plus the limit.
 */
export function measure(criterion: string, value: number): string {
  if (criterion.includes("latency")) return percent(Math.min(1, Math.max(0, value + SLOW)))
  if (criterion.endsWith("_rate_max")) return percent(Math.min(1, Math.max(0, value)))
  const points = fixed(Math.min(1, Math.max(-1, value)) * 100)
  return `${points.startsWith("-") || Number(points) === 0 ? "" : "+"}${points} pp`
}

/** A criterion's limit on the scale of `measure`. */
export const limitOf = (criterion: string, max: number): string =>
  criterion.includes("latency") ? percent(SLOW) : measure(criterion, max)

function fixed(value: number): string {
  const text = value.toFixed(2)
  return text === "-0.00" ? "0.00" : text
}
