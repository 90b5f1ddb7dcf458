/** Either milliseconds (to the microsecond), or what is wrong and how to mend it. */
export type ParsedDuration =
  { readonly ok: true; readonly ms: number } | { readonly ok: false; readonly message: string; readonly fix: string }

/** From large to small: a duration names them in this order. */
const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
] as const

/** A leap year: longer than any rollout, and far from where doubles stop being exact. */
const MAX_MS = 366 * 86_400_000

const PATTERN = new RegExp(
  `^${UNITS.map(([unit]) => `(?:(\\d{1,12}(?:\\.\\d{1,9})?) ?${unit === "m" ? "m(?!s)" : unit} ?)?`).join("")}$`,
)

/**
 * Read a duration such as `"50ms"`, `"4h"`, `"1.5h"` or `"1h30m"`; units are ms, s, m, h and d, at most 366 days.
 * A number without a unit is refused: nobody can tell whether 10 are seconds or minutes.
 */
export function parseDuration(value: unknown): ParsedDuration {
  if (typeof value === "number" || (typeof value === "string" && /^\s*\d+(\.\d+)?\s*$/.test(value))) {
    const n = String(value).trim()
    return { ok: false, message: `has no unit: ${n}`, fix: `write "${n}s", "${n}m" or "${n}h"` }
  }
  const text = typeof value === "string" ? value.trim() : ""
  const match = text === "" ? null : PATTERN.exec(text)
  if (match === null) {
    return {
      ok: false,
      message: `is no duration: ${String(JSON.stringify(value)).slice(0, 40)}`,
      fix: 'write a number and a unit (ms, s, m, h, d), such as "50ms", "4h" or "1h30m"',
    }
  }
  const ms = UNITS.reduce((sum, [, size], i) => sum + Number(match[i + 1] ?? 0) * size, 0)
  if (ms > MAX_MS) return { ok: false, message: `is longer than 366 days: ${text}`, fix: "write a shorter duration" }
  return { ok: true, ms: Math.round(ms * 1000) / 1000 }
}

/** Write milliseconds the way {@link parseDuration} reads them, to the microsecond: `5400000` is `"1h30m"`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`ms must be a finite number >= 0, got ${ms}`)
  let rest = Math.round(ms * 1000)
  let text = ""
  for (const [unit, size] of UNITS) {
    const count = unit === "ms" ? rest / 1000 : Math.floor(rest / (size * 1000))
    rest -= count * size * 1000
    if (count > 0) text += `${count}${unit}`
  }
  return text === "" ? "0s" : text
}
