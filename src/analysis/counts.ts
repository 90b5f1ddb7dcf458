import { ARMS, OUTCOMES, SCAN_RESULTS, type Outcome } from "../model/decision.js"
import { CELLS, COHORTS, cellIndex, pairIndex, type Cell, type Evidence, type Stratum } from "../model/evidence.js"
import type { PairTally } from "./pairs.js"
import { cohortZeros, type Tally } from "./rates.js"

/** Position of an arm in evidence arrays. */
export const STABLE = 0
export const CANARY = 1
export type ArmIndex = typeof STABLE | typeof CANARY

/** Refuse evidence with a cell that is not a count. Latency is checked where it is read. */
export function checkCounts(evidence: Evidence): void {
  evidence.strata.forEach((stratum, index) => {
    checkRow(stratum.cells, 2 * COHORTS * CELLS.length, `strata[${index}].cells`, (i) => {
      const row = Math.floor(i / CELLS.length)
      return `${ARMS[Math.floor(row / COHORTS) as ArmIndex]}, cohort ${row % COHORTS}, ${CELLS[i % CELLS.length]}`
    })
    checkRow(stratum.pairs, COHORTS * 16, `strata[${index}].pairs`, (i) => {
      const pair = `stable ${OUTCOMES[Math.floor(i / 4) % 4]}, canary ${OUTCOMES[i % 4]}`
      return `cohort ${Math.floor(i / 16)}, ${pair}`
    })
    checkRow(stratum.pairedSessions, COHORTS, `strata[${index}].pairedSessions`, (i) => `cohort ${i}`)
    checkRow(stratum.scanPairs, COHORTS * 16, `strata[${index}].scanPairs`, (i) => {
      const pair = `stable ${SCAN_RESULTS[Math.floor(i / 4) % 4]}, canary ${SCAN_RESULTS[i % 4]}`
      return `cohort ${Math.floor(i / 16)}, ${pair}`
    })
    checkRow(stratum.scanPairedSessions, COHORTS, `strata[${index}].scanPairedSessions`, (i) => `cohort ${i}`)
  })
}

/** Refuse an array of another length. */
export function checkLength(values: Float64Array | Uint32Array, length: number, name: string): void {
  if (values.length !== length)
    throw new RangeError(`evidence.${name}: must have ${length} cells, got ${values.length}`)
}

export function isCount(value: number): boolean {
  return value >= 0 && value < Infinity
}

function notACount(name: string, cell: string, value: number): RangeError {
  return new RangeError(`evidence.${name} (${cell}): must be a finite count of at least 0, got ${value}`)
}

/** Cohort totals of one rate of one arm. */
export function armTally(stratum: Stratum, arm: ArmIndex, events: Cell, trials: Cell): Tally {
  return {
    events: column(stratum, arm, events),
    trials: column(stratum, arm, trials),
    sessions: armTotal(stratum, arm, sessionsOf(trials)),
  }
}

/** The cell that counts the sessions behind a rate: not every session has its texts scanned or its events watched. */
export function sessionsOf(trials: Cell): Cell {
  if (trials === "scans") return "scan_sessions"
  return trials === "observations" ? "observed_sessions" : "sessions"
}

/** Sum of one cell of one arm over cohorts. */
export function armTotal(stratum: Stratum, arm: ArmIndex, cell: Cell): number {
  const from = cellIndex(arm, 0, CELLS.indexOf(cell))
  let sum = 0
  for (let cohort = 0; cohort < COHORTS; cohort++) sum += stratum.cells[from + cohort * CELLS.length] ?? 0
  return sum
}

/** Sum of an array of evidence. */
export function sumOf(values: Float64Array): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum
}

/** Cohort totals of one outcome over pairs. */
export function pairTally({ pairs, pairedSessions }: Stratum, outcome: Outcome): PairTally {
  return tallyPairs(pairs, pairedSessions, [OUTCOMES.indexOf(outcome)])
}

const FLAGS = [SCAN_RESULTS.indexOf("flagged"), SCAN_RESULTS.indexOf("blocked")]

/** Cohort totals of flagged or blocked texts over those that both arms scanned. */
export function scanPairTally({ scanPairs, scanPairedSessions }: Stratum): PairTally {
  return tallyPairs(scanPairs, scanPairedSessions, FLAGS)
}

/** Tally an array `[cohort][stable][canary]`, in which an event is any of `events`. */
function tallyPairs(pairs: Float64Array, sessions: Float64Array, events: readonly number[]): PairTally {
  const [plus, minus, stable, trials] = [cohortZeros(), cohortZeros(), cohortZeros(), cohortZeros()]
  const isEvent = [0, 1, 2, 3].map((answer) => events.includes(answer))
  for (let cohort = 0; cohort < COHORTS; cohort++) {
    for (let ofStable = 0; ofStable < 4; ofStable++) {
      for (let ofCanary = 0; ofCanary < 4; ofCanary++) {
        const calls = pairs[pairIndex(cohort, ofStable, ofCanary)]!
        if (calls === 0) continue
        trials[cohort]! += calls
        if (isEvent[ofStable]!) stable[cohort]! += calls
        if (isEvent[ofCanary]! && !isEvent[ofStable]!) plus[cohort]! += calls
        if (isEvent[ofStable]! && !isEvent[ofCanary]!) minus[cohort]! += calls
      }
    }
  }
  return { plus, minus, stable, trials, sessions: sumOf(sessions) }
}

/** Cohort totals of those of `pairs` (the stratum's, or those after a difference) that `matches`. */
export function flipTally(
  stratum: Stratum,
  pairs: Float64Array,
  matches: (stable: Outcome, canary: Outcome) => boolean,
): Tally {
  const events = cohortZeros()
  for (const [stable, was] of OUTCOMES.entries()) {
    for (const [canary, is] of OUTCOMES.entries()) {
      if (!matches(was, is)) continue
      for (let cohort = 0; cohort < COHORTS; cohort++) events[cohort]! += pairs[pairIndex(cohort, stable, canary)]!
    }
  }
  return { events, trials: pairTrials(pairs), sessions: sumOf(stratum.pairedSessions) }
}

/** Pairs of all outcomes, per cohort, of an array `[cohort][stable][canary]`. */
export function pairTrials(pairs: Float64Array): number[] {
  const trials = cohortZeros()
  for (let cell = 0; cell < COHORTS * 16; cell++) trials[cell >> 4]! += pairs[cell]!
  return trials
}

/** One cell of one arm, per cohort. */
export function column(stratum: Stratum, arm: ArmIndex, cell: Cell): number[] {
  const at = CELLS.indexOf(cell)
  const values = cohortZeros()
  for (let cohort = 0; cohort < COHORTS; cohort++) values[cohort] = stratum.cells[cellIndex(arm, cohort, at)]!
  return values
}

function checkRow(values: Float64Array, length: number, name: string, cell: (index: number) => string): void {
  checkLength(values, length, name)
  for (let i = 0; i < length; i++) {
    const value = values[i]!
    if (!isCount(value)) throw notACount(name, cell(i), value)
  }
}
