import { FACTS } from "../analysis/criteria.js"
import type { CriterionVerdict } from "../model/verdict.js"

/**
 * Draw an estimate with its bounds on the way to the limit, in characters that need no colour: `----o---` is what is known, `|` the limit,
 * `<` and `>` where a bound is beyond the bar. The scale begins at 0, or below where the estimate or its lower bound is, and leaves room for as
 * much again beyond the limit.
 */
export function criterionBar(verdict: CriterionVerdict, width: number): string {
  const { criterion, max, estimate, lower, upper } = verdict
  // The bounds of a latency are of the share of slow calls, against that of stable.
  const limit = FACTS[criterion].kind === "latency" ? 0 : max
  const span = Math.max(2 * Math.abs(limit), 4 * Math.abs((estimate ?? 0) - limit), 1e-3)
  const from = Math.min(0, limit - span / 2, estimate ?? 0)
  const to = Math.max(limit + span / 2, from + span)
  const cells = Array<string>(width).fill(" ")
  const at = (value: number): number => Math.round(((value - from) / (to - from)) * (width - 1))
  if (estimate !== null) {
    const [low, high] = [at(lower ?? from - 1), at(upper ?? to + 1)]
    for (let i = Math.max(0, low); i <= Math.min(width - 1, high); i++) cells[i] = "-"
    if (low < 0) cells[0] = "<"
    if (high >= width) cells[width - 1] = ">"
    cells[Math.min(width - 1, Math.max(0, at(estimate)))] = "o"
  }
  cells[at(limit)] = "|"
  return `[${cells.join("")}]`
}
