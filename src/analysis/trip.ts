import type { Cell, Evidence, Stratum } from "../model/evidence.js"
import type { Criterion, CriterionName } from "../model/verdict.js"
import { bernoulliUpper } from "./bernoulli.js"
import { CANARY, STABLE, armTotal, type ArmIndex } from "./counts.js"
import { FACTS, outcomeOf } from "./criteria.js"
import { isSplit, rampStrata, servesCanary, type Ramped } from "./ramp.js"
import { startMixture } from "./strata.js"

/** The trip of one criterion in one stratum. */
export interface TripRow {
  readonly criterion: CriterionName
  /** Index in the evidence. */
  readonly stratum: number
  /** What the sessions of the next look are held against; null while too little is known of stable. */
  readonly ceiling: number | null
  /** Canary sessions, and bad ones, that have been looked at. */
  readonly sessions: number
  readonly bad: number
  readonly logE: number
}

/** What the trip carries from look to look. */
export interface TripState {
  readonly generation: number
  readonly rows: readonly TripRow[]
}

/** Chance that stable's rate is ever above its bound; adds to the false-alarm rate. */
const ALPHA_CEILING = 0.001
/** Share of the largest bet that cannot lose everything. */
const FRACTION = 0.5

/**
 * Look at the canary sessions that are new since `previous`, by their first evaluation: one 0/1 outcome a session, so no
 * variance is needed and the e-value is exact from the first session on. They are held against a ceiling (stable's
 * upper bound plus the limit) that was set at an earlier look, because a bet must be placed before the outcome is seen.
 * Meant for catastrophes: every normal session costs 0.69 of log-evidence. Evidence that shrinks (a lost process) is
 * waited out.
 */
export function advanceTrip(
  previous: TripState | undefined,
  input: {
    readonly criteria: readonly Criterion[]
    readonly evidence: Evidence
    readonly ramp: readonly { readonly weightBp: number }[]
  },
): TripState {
  const { generation } = input.evidence
  const before = previous?.generation === generation ? previous.rows : []
  const strata = rampStrata(input.evidence, input.ramp)
  const rows = input.criteria.flatMap((criterion) =>
    strata.filter(tripsIn(criterion)).map(({ stratum, index }) => {
      const row = before.find((row) => row.criterion === criterion.name && row.stratum === index)
      return advanceRow(row ?? firstRow(criterion, index), criterion, stratum)
    }),
  )
  return { generation, rows }
}

/** Combined log e-value of a criterion's trip: restarted in every stratum, 0 without one. */
export function tripLogE(state: TripState | undefined, generation: number, criterion: CriterionName): number {
  if (state?.generation !== generation) return 0
  const logEs = state.rows.filter((row) => row.criterion === criterion).map((row) => row.logE)
  return startMixture(logEs.map((_, start) => logEs.slice(start).reduce((sum, value) => sum + value, 0)))
}

/** Set the ceiling from what is known of stable; null when nothing could exceed it. */
export function ceilingOf(badStable: number, sessionsStable: number, max: number): number | null {
  const ceiling = bernoulliUpper(badStable, sessionsStable, ALPHA_CEILING) + max
  return ceiling < 1 ? ceiling : null
}

/** Log-evidence of sessions held against a ceiling m: Σ ln(1 + (f/m)(Y − m)). */
export function bet(ceiling: number, bad: number, good: number): number {
  return bad * Math.log(1 + (FRACTION / ceiling) * (1 - ceiling)) + good * Math.log(1 - FRACTION)
}

function tripsIn({ name }: Criterion): (ramped: Ramped) => boolean {
  const { kind, sources } = FACTS[name]
  if (!sources.includes("trip")) return () => false
  return kind === "budget" ? servesCanary : isSplit
}

function firstRow(criterion: Criterion, stratum: number): TripRow {
  const ceiling = FACTS[criterion.name].kind === "budget" ? budgetCeiling(criterion.max) : null
  return { criterion: criterion.name, stratum, ceiling, sessions: 0, bad: 0, logE: 0 }
}

function advanceRow(row: TripRow, criterion: Criterion, stratum: Stratum): TripRow {
  const canary = firsts(stratum, CANARY, criterion.name)
  const bad = Math.max(row.bad, canary.bad)
  const sessions = Math.max(row.sessions, canary.sessions)
  const newBad = bad - row.bad
  const newGood = Math.max(0, sessions - row.sessions - newBad)
  const stable = firsts(stratum, STABLE, criterion.name)
  const budget = FACTS[criterion.name].kind === "budget"
  return {
    ...row,
    ceiling: budget ? row.ceiling : ceilingOf(stable.bad, stable.sessions, criterion.max),
    sessions,
    bad,
    logE: row.ceiling === null ? row.logE : row.logE + bet(row.ceiling, newBad, newGood),
  }
}

/** An absolute limit is its own ceiling. A limit of 0 is judged by its first event, 1 cannot be exceeded. */
function budgetCeiling(max: number): number | null {
  return max > 0 && max < 1 ? max : null
}

const FIRSTS = ["first_allow", "first_deny", "first_escalate", "first_error"] as const satisfies readonly Cell[]

function firsts(stratum: Stratum, arm: ArmIndex, name: CriterionName): { sessions: number; bad: number } {
  const sessions = FIRSTS.reduce((sum, cell) => sum + armTotal(stratum, arm, cell), 0)
  return { sessions, bad: armTotal(stratum, arm, `first_${outcomeOf(name)}`) }
}
