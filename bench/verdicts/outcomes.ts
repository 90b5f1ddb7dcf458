import type { Outcome } from "./rollout.js"

export const breachMinute = (outcome: Outcome): number => outcome.breachMinute ?? Infinity
export const passMinute = (outcome: Outcome): number => outcome.passMinute ?? Infinity

export function stopped(outcomes: readonly Outcome[]): Share {
  return share(outcomes.filter((outcome) => outcome.breachMinute !== null).length, outcomes.length)
}

export function passed(outcomes: readonly Outcome[]): Share {
  return share(outcomes.filter((outcome) => outcome.passMinute !== null).length, outcomes.length)
}

export interface Share {
  readonly text: string
  readonly low: number
}

/** A share of runs with Wilson's 95 % interval. */
function share(events: number, runs: number): Share {
  const z = 1.96
  const p = events / runs
  const middle = (p + (z * z) / (2 * runs)) / (1 + (z * z) / runs)
  const half = (z / (1 + (z * z) / runs)) * Math.sqrt((p * (1 - p)) / runs + (z * z) / (4 * runs * runs))
  const percent = (value: number): string => (100 * Math.min(1, Math.max(0, value))).toFixed(1)
  return { text: `${percent(p)} % (${percent(middle - half)}–${percent(middle + half)})`, low: middle - half }
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}

export function minutesAt(values: readonly number[], q: number): string {
  const value = quantile(values, q)
  return Number.isFinite(value) ? `${value.toFixed(1)} min` : "–"
}
