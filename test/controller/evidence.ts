import { createStratum, recordEvaluation, recordPair } from "../../src/evidence/cells.js"
import type { Evidence } from "../../src/model/evidence.js"

/** Paired evidence of `sessions` sessions with eight calls each; the canary denies what `denies` says. */
export function paired(generation: number, strata: number, sessions: number, denies: (n: number) => boolean): Evidence {
  const list = Array.from({ length: strata }, createStratum)
  for (let n = 0; n < sessions * 8; n++) {
    const stratum = list.at(-1)!
    const cohort = Math.floor(n / 8) % 64
    recordEvaluation(stratum, 0, cohort, 0, 1, n % 8 === 0)
    recordPair(stratum, cohort, 0, denies(n) ? 1 : 0, 1, 1, n % 8 === 0)
  }
  return { generation, strata: list }
}
