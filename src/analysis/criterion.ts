import type { Criterion, CriterionVerdict, EvidenceSourceName, NoData, Result } from "../model/verdict.js"
import { readArms } from "./arms.js"
import { bernoulliLower, bernoulliUpper } from "./bernoulli.js"
import { isZeroTolerance, unitOf, weigh } from "./criteria.js"
import { lower, upper } from "./mixture.js"
import { readPairs } from "./paired.js"
import type { Ramped } from "./ramp.js"
import type { Reading } from "./reading.js"
import { logSumExp } from "./special.js"
import { logEWithin, logEWorse, pool } from "./strata.js"
import { tripLogE, type TripState } from "./trip.js"
import { leastExcess, pooledLogE, wagerLogE } from "./wager.js"
import { reasonOf } from "./wording.js"

/** Chance that a canary at or beyond a limit is ever said to be within it. All criteria must pass, so none shares it. */
export const ALPHA_PASS = 0.05
/** How near to zero "never" has to be shown before a limit of 0 stops holding a rollout: 1 call in 200. */
export const ZERO_RESOLUTION = 0.005
/** ln E of what cannot happen within the limit. Finite, since verdicts are stored as JSON: the largest double's. */
const CERTAIN = Math.log(Number.MAX_VALUE)

/** A criterion with all that speaks for and against it. */
export interface Weighed {
  readonly criterion: Criterion
  readonly arms: Reading | null
  readonly pairs: Reading | null
  readonly sources: readonly { readonly source: EvidenceSourceName; readonly weight: number; readonly logE: number }[]
  /** ln of the weighted average of the sources' e-values. */
  readonly logE: number
  /** Estimate, bounds and pass come from here: fixed before the data. */
  readonly primary: "arms" | "pairs"
  readonly noData?: NoData | undefined
}

export interface WeighContext {
  readonly strata: readonly Ramped[]
  readonly generation: number
  readonly shadow: boolean
  readonly trip?: TripState | undefined
  /** No call has been judged at all. */
  readonly zero: boolean
}

/** Weigh the evidence of one criterion. */
export function weighCriterion(criterion: Criterion, context: WeighContext): Weighed {
  const planned = weigh(criterion.name, context.shadow)
  const has = (name: EvidenceSourceName): boolean => planned.some(({ source }) => source === name)
  const arms = has("arms") ? readArms(criterion, context.strata) : null
  const pairs = has("pairs") ? readPairs(criterion, context.strata) : null
  const logEOf = (source: EvidenceSourceName): number => {
    if (source === "trip") return tripLogE(context.trip, context.generation, criterion.name)
    const reading = source === "arms" ? arms! : pairs!
    if (isZeroTolerance(criterion.name, criterion.max)) return reading.events > 0 ? CERTAIN : 0
    const { worse } = reading.stakes
    return worse === undefined
      ? logEWorse(reading.worse, reading.rho.worse)
      : Math.min(...worse.map(({ game, strata }) => wagerLogE(strata, game)))
  }
  const sources = planned.map(({ source, weight }) => ({ source, weight, logE: logEOf(source) }))
  return {
    criterion,
    arms,
    pairs,
    sources,
    logE: logSumExp(sources.map(({ weight, logE }) => Math.log(weight) + logE)),
    primary: pairs === null ? "arms" : "pairs",
    noData: noDataOf([arms, pairs], context.zero),
  }
}

/** Write the verdict on one criterion. `breached` is the family's decision, `alphaBreach` this criterion's share of it. */
export function verdictOn(weighed: Weighed, breached: boolean, alphaBreach: number): CriterionVerdict {
  const { criterion, sources, noData } = weighed
  const primary = readingOf(weighed, weighed.primary)
  const method = shownMethod(weighed, breached)
  const reading = readingOf(weighed, method)
  const isZero = isZeroTolerance(criterion.name, criterion.max)
  const numbers = isZero ? countZero(reading, alphaBreach) : estimate(reading, alphaBreach)
  const within = isZero || !speaks(primary) ? null : logEOfPass(primary)
  const passed = primary.enough && within !== null && within >= -Math.log(ALPHA_PASS)
  const result: Result = breached ? "breach" : passed ? "pass" : "inconclusive"
  const verdict = {
    criterion: criterion.name,
    mode: criterion.mode,
    result,
    unit: unitOf(criterion.name),
    max: criterion.max,
    method,
    ...numbers,
    alphaBreach,
    alphaPass: ALPHA_PASS,
    logEWorse: noData === undefined || breached ? weighed.logE : null,
    logEWithin: within,
    evaluations: reading.evaluations,
    sessions: reading.sessions,
    pairs: reading.pairs,
    sources,
    effectiveSize: reading.effective > 0 ? reading.effective : null,
    quantiles: reading.quantiles,
    noData: breached ? undefined : noData,
  } satisfies Omit<CriterionVerdict, "reason">
  return { ...verdict, reason: reasonOf(verdict) }
}

/**
 * Tell whether a criterion of a rollout without a breach keeps it from passing. A limit of 0 can never be passed: zero events are a bound, never
 * "0 %". It stays inconclusive, and stops holding the rollout once the bound is so low that an acceptable rate could be.
 */
export function holds(verdict: CriterionVerdict): boolean {
  if (verdict.result === "pass") return false
  if (!isZeroTolerance(verdict.criterion, verdict.max)) return true
  return verdict.upper === null || verdict.upper > ZERO_RESOLUTION
}

type Numbers = Pick<CriterionVerdict, "estimate" | "lower" | "upper">

function estimate(reading: Reading, alphaBreach: number): Numbers {
  const worse = pool(reading.worse)
  const within = pool(reading.within)
  if (!(worse.information > 0)) return { estimate: null, lower: null, upper: null }
  const least = reading.limit + worse.score / worse.information
  const from =
    reading.stakes.worse === undefined
      ? lower(least, worse.information, alphaBreach, reading.rho.worse)
      : reading.limit + leastExcess(reading.stakes.worse, alphaBreach)
  // Strata that may speak against the canary, but not for it.
  if (!(within.information > 0)) return { estimate: least, lower: from, upper: null }
  const most = reading.limit + within.score / within.information
  const to =
    reading.stakes.within === undefined
      ? upper(most, within.information, ALPHA_PASS, reading.rho.within)
      : reading.limit - leastExcess(reading.stakes.within, ALPHA_PASS)
  return { estimate: (least + most) / 2, lower: from, upper: to }
}

/** Log e-value against "at or above the limit". Unlike for a breach, strata are not asked where it began. */
function logEOfPass({ stakes, within, rho }: Reading): number {
  return stakes.within === undefined
    ? logEWithin(within, rho.within)
    : Math.min(...stakes.within.map(({ game, strata }) => pooledLogE(strata, game)))
}

/** Bounds of a count: both err on the far side of the estimate, as the design effect thins trials and, for `lower`, events. */
function countZero(reading: Reading, alphaBreach: number): Numbers {
  const { events, effective, evaluations, enough } = reading
  if (events === 0 && !speaks(reading)) return { estimate: null, lower: null, upper: null }
  const estimate = events / evaluations.canary
  return {
    estimate,
    lower: bernoulliLower(estimate * effective, effective, alphaBreach),
    upper: enough ? bernoulliUpper(Math.min(events, effective), effective, ALPHA_PASS) : null,
  }
}

/** Show where a breach came from; else the source that was named before the data, or the other while that is silent. */
function shownMethod(weighed: Weighed, breached: boolean): "arms" | "pairs" {
  if (weighed.primary === "arms") return "arms"
  const strength = (name: "arms" | "pairs"): number => {
    if (!speaks(readingOf(weighed, name))) return -Infinity
    const found = weighed.sources.find(({ source }) => source === name)
    return found === undefined ? -Infinity : found.logE + Math.log(found.weight)
  }
  const [arms, pairs] = [strength("arms"), strength("pairs")]
  const showArms = breached ? arms > pairs : pairs === -Infinity && arms > -Infinity
  return showArms ? "arms" : "pairs"
}

function readingOf(weighed: Weighed, method: "arms" | "pairs"): Reading {
  return (weighed[method] ?? weighed.pairs)!
}

function noDataOf(readings: readonly (Reading | null)[], zero: boolean): NoData | undefined {
  const read = readings.filter((reading) => reading !== null)
  if (read.some(speaks)) return undefined
  if (zero) return "zero"
  return read.some(({ evaluations }) => evaluations.canary > 0 || evaluations.stable > 0) ? "insufficient" : "missing"
}

/** There is a number: in some stratum the guards hold, or an event has been seen that no number is needed for. */
function speaks(reading: Reading): boolean {
  return pool(reading.worse).information > 0
}
