import { ARMS, OUTCOMES, SCAN_RESULTS } from "../model/decision.js"
import { BINS, CELLS, COHORTS, binIndex, cellIndex, pairIndex } from "../model/evidence.js"
import type { BinRange, Cell, Stratum } from "../model/evidence.js"
import { nextUsed } from "./used.js"

/** Evidence as counters with labels: the compact metric set, of which `SERIES` is all that there is. */
export interface SeriesFamily {
  readonly unit: string
  readonly description: string
  /** Array of a stratum in which it is counted. */
  readonly array: keyof Stratum
  /** Labels with their values, in the order in which `cell` takes them. */
  readonly labels: readonly SeriesLabel[]
  /** Counted by cohort; else a verdict needs no more than the sum. */
  readonly cohorts: boolean
  /** Place in the array, for one value of each label. */
  readonly cell: (cohort: number, at: readonly number[]) => number
  /** Counted by ranges of bins, which is one more label; `cell` is the place of bin 0. */
  readonly ranged?: "latency" | "scanLatency"
  /** What a rollout must judge for it to be of use. */
  readonly needs: "calls" | "pairs" | "latency" | "scans" | "scanLatency" | "observations"
}

export interface SeriesLabel {
  readonly name: string
  readonly values: readonly string[]
}

/** Labels besides those of a family. `process`: one life of one guard, so that no series ever begins again at 0. */
export const LABELS = {
  rollout: "serin.rollout",
  generation: "serin.generation",
  process: "serin.process",
  stratum: "serin.stratum",
  cohort: "serin.cohort",
  /** `416-419`: durations in the bins from the first on, up to the second. */
  bins: "serin.bins",
} as const

/** What all names of the set begin with. */
export const SERIES_PREFIX = "serin.evidence."
/** The sum of all other counts of a process: who reads the set knows by it that none is missing. */
export const COUNTED = {
  name: "serin.evidence.counted",
  unit: "{count}",
  description: "Sum of all other counts",
} as const

const arm: SeriesLabel = { name: "serin.arm", values: ARMS }
const outcome: SeriesLabel = { name: "serin.outcome", values: OUTCOMES }
const pair: readonly SeriesLabel[] = [
  { name: "serin.stable.outcome", values: OUTCOMES },
  { name: "serin.canary.outcome", values: OUTCOMES },
]
const scanPair: readonly SeriesLabel[] = [
  { name: "serin.stable.scan.result", values: SCAN_RESULTS },
  { name: "serin.canary.scan.result", values: SCAN_RESULTS },
]
const at = (cell: Cell): number => CELLS.indexOf(cell)
const evaluation = "{evaluation}"
const session = "{session}"
const scan = "{scan}"

/** The cells of an arm from `first` on, one for each value of a label after the arm. */
const byArm = (first: Cell, over: Pick<SeriesFamily, "unit" | "description" | "needs" | "cohorts">): SeriesFamily => ({
  ...over,
  array: "cells",
  labels: [arm],
  cell: (cohort, [a, other = 0]) => cellIndex(a as 0 | 1, cohort, at(first) + other),
})
const pairs = (
  array: "pairs" | "pairsAfter" | "scanPairs",
  over: Pick<SeriesFamily, "unit" | "description" | "needs" | "cohorts">,
): SeriesFamily => ({
  ...over,
  array,
  labels: array === "scanPairs" ? scanPair : pair,
  cell: (cohort, [stable, canary]) => pairIndex(cohort, stable!, canary!),
})
const durations = (
  array: "latency" | "pairedLatency" | "scanLatency" | "pairedScanLatency",
  ranged: "latency" | "scanLatency",
  unit: string,
  description: string,
): SeriesFamily => ({
  unit,
  description,
  array,
  labels: [arm],
  cohorts: true,
  cell: (cohort, [a]) => binIndex(a as 0 | 1, cohort, 0),
  ranged,
  needs: ranged,
})

/** Every family by its name after the prefix. Only the first calls of each session are counted, as in evidence. */
export const SERIES: Readonly<Record<string, SeriesFamily>> = {
  evaluations: {
    ...byArm("allow", { unit: evaluation, description: "Served evaluations", needs: "calls", cohorts: true }),
    labels: [arm, outcome],
  },
  sessions: {
    ...byArm("first_allow", {
      unit: session,
      description: "Sessions, by how their first evaluation ended",
      needs: "calls",
      cohorts: false,
    }),
    labels: [arm, outcome],
  },
  durations: durations("latency", "latency", evaluation, "Served evaluations, by how long they took"),
  comparisons: pairs("pairs", {
    unit: evaluation,
    description: "Calls judged by both arms that inference may use",
    needs: "pairs",
    cohorts: true,
  }),
  comparisons_after: pairs("pairsAfter", {
    unit: evaluation,
    description: "Calls judged by both arms after the canary changed the session",
    needs: "pairs",
    cohorts: false,
  }),
  compared_sessions: {
    unit: session,
    description: "Sessions with calls judged by both arms",
    array: "pairedSessions",
    labels: [],
    cohorts: false,
    cell: (cohort) => cohort,
    needs: "pairs",
  },
  compared_durations: durations(
    "pairedLatency",
    "latency",
    evaluation,
    "Calls judged by both arms, by how long each took",
  ),
  scans: byArm("scans", { unit: scan, description: "Texts scanned", needs: "scans", cohorts: true }),
  flagged_scans: byArm("scan_flagged", {
    unit: scan,
    description: "Texts scanned that were flagged or blocked",
    needs: "scans",
    cohorts: true,
  }),
  scanned_sessions: byArm("scan_sessions", {
    unit: session,
    description: "Sessions with scanned texts",
    needs: "scans",
    cohorts: false,
  }),
  scan_durations: durations("scanLatency", "scanLatency", scan, "Texts scanned, by how long it took"),
  scan_comparisons: pairs("scanPairs", {
    unit: scan,
    description: "Texts scanned by both arms that inference may use",
    needs: "scans",
    cohorts: true,
  }),
  scan_compared_sessions: {
    unit: session,
    description: "Sessions with texts scanned by both arms",
    array: "scanPairedSessions",
    labels: [],
    cohorts: false,
    cell: (cohort) => cohort,
    needs: "scans",
  },
  scan_compared_durations: durations(
    "pairedScanLatency",
    "scanLatency",
    scan,
    "Texts scanned by both arms, by how long each took",
  ),
  observations: byArm("observations", {
    unit: "{event}",
    description: "Events that a monitor saw",
    needs: "observations",
    cohorts: true,
  }),
  alerts: byArm("alerts", {
    unit: "{event}",
    description: "Events that a monitor raised alerts for",
    needs: "observations",
    cohorts: true,
  }),
  observed_sessions: byArm("observed_sessions", {
    unit: session,
    description: "Sessions with events that a monitor saw",
    needs: "observations",
    cohorts: false,
  }),
}

/** Takes a series: its labels besides those that say of whom it is, and its count. */
export type VisitSeries = (labels: Readonly<Record<string, string>>, count: number) => void

/** Call `visit` for each series of one family in one stratum that has counted anything. */
export function eachSeries(
  stratum: Stratum,
  family: SeriesFamily,
  ranges: readonly BinRange[],
  visit: VisitSeries,
): void {
  for (const combination of combinations(family.labels)) {
    const labels = Object.fromEntries(family.labels.map(({ name, values }, i) => [name, values[combination[i]!]!]))
    if (family.ranged !== undefined) {
      eachRange(stratum[family.array], family.cell(0, combination), ranges, labels, visit)
      continue
    }
    let sum = 0
    for (let cohort = 0; cohort < COHORTS; cohort++) {
      const count = stratum[family.array][family.cell(cohort, combination)]!
      sum += count
      if (family.cohorts && count > 0) visit({ ...labels, [LABELS.cohort]: String(cohort) }, count)
    }
    if (!family.cohorts && sum > 0) visit(labels, sum)
  }
}

/** The durations of one arm, which begin at `offset`. Nearly all of the array is empty, and passed over. */
function eachRange(
  counts: Float64Array | Uint32Array,
  offset: number,
  ranges: readonly BinRange[],
  labels: Readonly<Record<string, string>>,
  visit: VisitSeries,
): void {
  let cell = nextUsed(counts, offset)
  for (const [from, to] of ranges) {
    const end = offset + to * COHORTS
    if (cell >= end) continue
    const sums = Array.from({ length: COHORTS }, () => 0)
    for (; cell < end; cell = nextUsed(counts, cell + 1)) sums[(cell - offset) % COHORTS]! += counts[cell]!
    const bins = `${from}-${to}`
    sums.forEach((sum, cohort) => {
      if (sum > 0) visit({ ...labels, [LABELS.cohort]: String(cohort), [LABELS.bins]: bins }, sum)
    })
  }
}

/** Where a series is counted. What is not by cohort is all in the first. */
export interface SeriesPlace {
  readonly array: keyof Stratum
  readonly cell: number
  readonly range?: BinRange
}

/** Find the place of a series; null for labels that no series of the family has. `label` answers the value of a label. */
export function placeOf(family: SeriesFamily, label: (name: string) => string | undefined): SeriesPlace | null {
  const combination = family.labels.map(({ name, values }) => values.indexOf(label(name) ?? ""))
  const cohort = family.cohorts ? wholeNumber(label(LABELS.cohort), COHORTS) : 0
  if (cohort === null || combination.includes(-1)) return null
  const cell = family.cell(cohort, combination)
  if (family.ranged === undefined) return { array: family.array, cell }
  const range = rangeIn(label(LABELS.bins))
  return range && { array: family.array, cell: cell + (range[1] - 1) * COHORTS, range }
}

/** Read a whole number below `end`, as `String` writes it; null for anything else. */
export function wholeNumber(text: string | undefined, end: number): number | null {
  const value = Number(text)
  return Number.isInteger(value) && value >= 0 && value < end && String(value) === text ? value : null
}

function rangeIn(text: string | undefined): BinRange | null {
  const [first, second, ...rest] = text?.split("-") ?? []
  const [from, to] = [wholeNumber(first, BINS), wholeNumber(second, BINS + 1)]
  return from === null || to === null || to <= from || rest.length > 0 ? null : [from, to]
}

/** One index for each label, in every way. */
function combinations(labels: readonly SeriesLabel[]): number[][] {
  return labels.reduce<number[][]>((all, { values }) => all.flatMap((some) => values.map((_, i) => [...some, i])), [[]])
}
