import { binIndex, BINS, binLowerMs, CELLS, cellIndex, COHORTS, pairIndex } from "serin"
import type { Cell, Evidence, Stratum } from "serin"

/** What one line of the table of arms says. */
export interface ArmRow {
  readonly name: string
  readonly sessions: number
  readonly evaluations: number
  /** Evaluations by outcome: allow, deny, escalate, error. */
  readonly outcomes: readonly number[]
  /** Null without a timed evaluation. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

const OUTCOMES: readonly number[] = [0, 1, 2, 3]

/** Add up what each arm served, and what both said to the same calls. */
export function armRows(evidence: Evidence): readonly ArmRow[] {
  return [
    servedRow("stable, served", evidence, 0),
    servedRow("canary, served", evidence, 1),
    pairedRow("stable, both judged", evidence, 0),
    pairedRow("canary, both judged", evidence, 1),
  ]
}

function servedRow(name: string, { strata }: Evidence, arm: 0 | 1): ArmRow {
  const cell = (name: Cell): number =>
    sum(strata, ({ cells }, cohort) => cells[cellIndex(arm, cohort, CELLS.indexOf(name))])
  return {
    name,
    sessions: cell("sessions"),
    evaluations: cell("evaluations"),
    outcomes: [cell("allow"), cell("deny"), cell("escalate"), cell("error")],
    ...quantiles(strata, "latency", arm),
  }
}

/** Calls that inference may not use, because the canary had changed the session, are not among them. */
function pairedRow(name: string, { strata }: Evidence, arm: 0 | 1): ArmRow {
  const outcomes = OUTCOMES.map((own) =>
    sum(strata, ({ pairs }, cohort) =>
      OUTCOMES.reduce((total, other) => {
        const index = arm === 0 ? pairIndex(cohort, own, other) : pairIndex(cohort, other, own)
        return total + (pairs[index] ?? 0)
      }, 0),
    ),
  )
  return {
    name,
    sessions: sum(strata, ({ pairedSessions }, cohort) => pairedSessions[cohort]),
    evaluations: outcomes.reduce((a, b) => a + b, 0),
    outcomes,
    ...quantiles(strata, "pairedLatency", arm),
  }
}

function quantiles(
  strata: readonly Stratum[],
  array: "latency" | "pairedLatency",
  arm: 0 | 1,
): Pick<ArmRow, "p50Ms" | "p99Ms"> {
  const bins = Array.from({ length: BINS }, (_, bin) =>
    sum(strata, (stratum, cohort) => stratum[array][binIndex(arm, cohort, bin)]),
  )
  const total = bins.reduce((a, b) => a + b, 0)
  const at = (share: number): number | null => {
    let seen = 0
    const bin = bins.findIndex((count) => (seen += count) >= share * total)
    return total === 0 ? null : binLowerMs(bin + 1)
  }
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}

function sum(strata: readonly Stratum[], pick: (stratum: Stratum, cohort: number) => number | undefined): number {
  let total = 0
  for (const stratum of strata) for (let cohort = 0; cohort < COHORTS; cohort++) total += pick(stratum, cohort) ?? 0
  return total
}
