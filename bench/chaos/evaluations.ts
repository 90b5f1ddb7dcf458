import { CELLS, COHORTS } from "serin"
import type { Evidence } from "serin"

/** How many evaluations evidence counts, in all strata and arms. */
export function evaluationsOf({ strata }: Evidence): number {
  const cell = CELLS.indexOf("evaluations")
  let sum = 0
  for (const { cells } of strata) {
    for (let row = 0; row < 2 * COHORTS; row++) sum += cells[row * CELLS.length + cell] ?? 0
  }
  return sum
}
