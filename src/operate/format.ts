import { formatDuration } from "../rollout/duration.js"

/** Write a time (ms since the epoch) as ISO 8601 in UTC, to the second. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z")
}

const [DAY, HOUR, MINUTE] = [86_400_000, 3_600_000, 60_000]

/** Write a time span for people: to the second below an hour, to the minute below a day, else to the hour. */
export function formatSpan(ms: number): string {
  const positive = Math.max(0, ms)
  const unit = positive >= DAY ? HOUR : positive >= HOUR ? MINUTE : 1000
  return formatDuration(Math.floor(positive / unit) * unit)
}

/** Write when something is or was, seen from `now`: `in 10s`, `2h3m ago`. */
export function formatWhen(ms: number, now: number): string {
  return ms > now ? `in ${formatSpan(Math.ceil((ms - now) / 1000) * 1000)}` : `${formatSpan(now - ms)} ago`
}

/** Write basis points as percent. */
export const formatShare = (weightBp: number): string => `${weightBp / 100} %`
