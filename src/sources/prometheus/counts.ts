import { joinRanges } from "../../evidence/ranges.js"
import { LABELS, SERIES, placeOf, wholeNumber, type SeriesPlace } from "../../evidence/series.js"
import { ARMS, OUTCOMES } from "../../model/decision.js"
import {
  CELLS,
  COHORTS,
  cellIndex,
  createStratum,
  type BinRange,
  type Evidence,
  type Stratum,
} from "../../model/evidence.js"
import type { Sample } from "./answer.js"
import { unavailable } from "./unavailable.js"
import { COUNTERS, promName } from "./promql.js"

/** One series, put where evidence counts it. */
export interface Count extends SeriesPlace {
  readonly family: string
  readonly stratum: number
  readonly value: number
}

/** One from before the ramp, and one for each of its entries. */
const MAX_STRATA = 65

/** Read series as counts. Throws `EVIDENCE_UNAVAILABLE` for one that is none, that fits nowhere, or that is there twice. */
export function countsOf(samples: readonly Sample[]): readonly Count[] {
  const seen = new Set<string>()
  return samples.map(({ labels, value }) => {
    const name = labels.get("__name__") ?? ""
    const family = COUNTERS.get(name)
    const stratum = wholeNumber(labels.get(promName(LABELS.stratum)), MAX_STRATA)
    const place = family === undefined ? null : placeOf(SERIES[family]!, (label) => labels.get(promName(label)))
    if (family === undefined || stratum === null || place === null) {
      throw unavailable(`answers with labels that no count has: ${shown(labels)}`)
    }
    requireCount(value, name)
    const key = `${family}/${stratum}/${place.cell}/${place.range?.[0]}`
    if (seen.has(key)) throw unavailable(`answers with the same count twice: ${shown(labels)}`)
    seen.add(key)
    return { ...place, family, stratum, value }
  })
}

/** Refuse what no counter holds. */
export function requireCount(value: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw unavailable(`answers with ${value} for ${name}, which is no count`)
}

/** The sum of counts, to be held against what a process says it has counted. */
export const sumOf = (counts: readonly Count[]): number => counts.reduce((sum, { value }) => sum + value, 0)

/** Add counts of any number of answers up to evidence. */
export function evidenceOf(generation: number, answers: Iterable<readonly Count[]>): Evidence {
  const strata: Stratum[] = []
  const ranges: { latency: BinRange[]; scanLatency: BinRange[] } = { latency: [], scanLatency: [] }
  for (const counts of answers) {
    for (const { stratum, array, cell, value, range, family } of counts) {
      while (strata.length <= stratum) strata.push(createStratum())
      const into = strata[stratum]![array]
      const sum = into[cell]! + value
      into[cell] = sum
      if (into[cell] !== sum) throw unavailable("answers with more than a histogram holds")
      const { ranged } = SERIES[family]!
      if (range !== undefined && ranged !== undefined) ranges[ranged].push(range)
    }
  }
  for (const { cells } of strata) completeTotals(cells)
  const coarse = { latency: joinRanges(ranges.latency), scanLatency: joinRanges(ranges.scanLatency) }
  const isCoarse = coarse.latency.length > 0 || coarse.scanLatency.length > 0
  return { generation, strata, ...(isCoarse && { coarse }) }
}

const [EVALUATIONS, ALLOW, SESSIONS, FIRST_ALLOW] = (["evaluations", "allow", "sessions", "first_allow"] as const).map(
  (cell) => CELLS.indexOf(cell),
) as [number, number, number, number]

/** Fill in what is the sum of other cells, and so no series. */
function completeTotals(cells: Float64Array): void {
  for (let arm = 0; arm < ARMS.length; arm++) {
    for (let cohort = 0; cohort < COHORTS; cohort++) {
      const row = cellIndex(arm as 0 | 1, cohort, 0)
      for (let outcome = 0; outcome < OUTCOMES.length; outcome++) {
        cells[row + EVALUATIONS]! += cells[row + ALLOW + outcome]!
        cells[row + SESSIONS]! += cells[row + FIRST_ALLOW + outcome]!
      }
    }
  }
}

function shown(labels: ReadonlyMap<string, string>): string {
  return JSON.stringify(Object.fromEntries(labels)).slice(0, 300)
}
