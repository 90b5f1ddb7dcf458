/** @param {number} ms since the epoch */
export const timeOf = (ms) =>
  new Date(ms)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "Z")

/**
 * How long, in two units at most: `2h 5m`.
 *
 * @param {number} ms
 */
export function spanOf(ms) {
  const s = Math.max(0, Math.floor(ms / 1000))
  /** @type {readonly [string, number][]} */
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ]
  const first = units.findIndex(([, size]) => s >= size)
  if (first === -1) return "0s"
  const [name, size] = units[first] ?? ["s", 1]
  const [nextName, nextSize] = units[first + 1] ?? ["", 0]
  const rest = nextSize === 0 ? 0 : Math.floor((s % size) / nextSize)
  return `${Math.floor(s / size)}${name}${rest > 0 ? ` ${rest}${nextName}` : ""}`
}

/** @param {number} value */
export const digits = (value) => String(Math.abs(value) < 1e-12 ? 0 : Number(value.toPrecision(3)))

/** @param {number} value */
export const count = (value) => Math.round(value).toLocaleString("en-US")

/** @param {number} bp basis points */
export const share = (bp) => `${bp / 100} %`

/** @param {string} name of a criterion, as the rollout file has it */
export const criterionWords = (name) => name.replaceAll("_", " ").replace(/ max$/, "")

/**
 * Write a rate, or a difference of rates: in points of a percent, as on the command line.
 *
 * @param {string} criterion
 * @param {number | null} value
 */
export const rate = (criterion, value) =>
  value === null ? "–" : `${digits(value * 100)} ${criterion.endsWith("_rate_delta_max") ? "pp" : "%"}`
