import { COHORTS } from "../model/evidence.js"

/** One number per cohort. */
export type PerCohort = ArrayLike<number>

/** Of halves first: so it is an array of doubles, as its copies are, and what reads them meets one kind of array. */
const ZEROS: readonly number[] = Array.from({ length: COHORTS }, () => 0.5).fill(0)

/** Make a 0 for each cohort. Plain, since a typed array of this size lives outside the heap and costs ten times as much, and a look needs hundreds. */
export function cohortZeros(cohorts: number = COHORTS): number[] {
  return ZEROS.slice(0, cohorts)
}

/** What one arm did in one stratum: per cohort the events and the trials they are a share of. */
export interface Tally {
  /** Events per cohort. */
  readonly events: PerCohort
  /** Trials per cohort. */
  readonly trials: PerCohort
  readonly sessions: number
}

/** A measured excess with the variance that inference uses: never below what it would be at the limit. */
export interface Delta {
  readonly estimate: number
  readonly variance: number
  /** Design effect: by how much sessions inflate the variance of independent evaluations. */
  readonly deff: number
}

export interface RateDelta extends Delta {
  readonly stableVariance: number
  readonly canaryVariance: number
}

/** Prior intra-session correlation, where the data are too few to tell. */
export const ICC_PRIOR = 0.1
/** Events and non-events from which on the design effect is estimated. */
const MIN_EVENTS = 10
/** Cohorts that the prior is worth where an estimated design effect is smaller than it. */
const PRIOR_COHORTS = 10

/**
 * Compare a rate between the arms of one stratum against the largest acceptable difference `max`.
 * Ratio metric on cohort totals; the variance has a floor at the boundary of the null with stable's clustering, so that
 * "0 errors in 20 sessions" is not proof of safety and two alike sessions are not proof of harm. Needs trials in both arms.
 *
 * @param rate stable's rate for the floor, where it is known beforehand
 */
export function rateDelta(
  stable: Tally,
  canary: Tally,
  max: number,
  rate: number = smoothed(total(stable.events), total(stable.trials)),
): RateDelta {
  const trialsStable = total(stable.trials)
  const trialsCanary = total(canary.trials)
  // Beyond 1 it is negative, and stable's own takes its place.
  const boundary = rate + max
  const binomial = Math.max(boundary * (1 - boundary), rate * (1 - rate))
  const deff = designEffect(stable)
  const canaryVariance = Math.max(clusterVariance(canary.events, canary.trials), (deff * binomial) / trialsCanary)
  const stableVariance = Math.max(
    clusterVariance(stable.events, stable.trials),
    (Math.min(deff, priorDeff(stable)) * rate * (1 - rate)) / trialsStable,
  )
  return {
    estimate: total(canary.events) / trialsCanary - total(stable.events) / trialsStable,
    variance: canaryVariance + stableVariance,
    deff,
    stableVariance,
    canaryVariance,
  }
}

/**
 * Compare one rate against an absolute budget: the delta of a single arm to 0, with the floor at p = `max`.
 * `clustering` tells how sessions cluster: the arm's own events, or a related outcome that is less rare.
 */
export function rateAgainst(tally: Tally, max: number, clustering: Tally): Delta {
  const trials = total(tally.trials)
  const deff = clusteredDeff(clustering)
  // At max = 1 the boundary has no variance: keep that of one event.
  const binomial = Math.max(max * (1 - max), 1 / (trials + 1))
  return {
    estimate: total(tally.events) / trials,
    variance: Math.max(clusterVariance(tally.events, tally.trials), (deff * binomial) / trials),
    deff,
  }
}

/** Variance of Σevents/Σtrials by the delta method on cohort totals; +∞ with fewer than two cohorts in use. */
export function clusterVariance(events: PerCohort, trials: PerCohort): number {
  const all = total(trials)
  const rate = total(events) / all
  const used = cohortsInUse(trials)
  if (used < 2) return Infinity
  let squares = 0
  for (let k = 0; k < trials.length; k++) squares += (events[k]! - rate * trials[k]!) ** 2
  return ((used / (used - 1)) * squares) / (all * all)
}

/** Kish's factor Σn²/Σn of evaluations per session, seen through the spread of cohort totals. At least 1. */
export function kish(tally: Tally): number {
  const cohorts = tally.trials.length
  const all = total(tally.trials)
  let squares = 0
  for (let k = 0; k < cohorts; k++) squares += (tally.trials[k]! - all / cohorts) ** 2
  return Math.max(1, all / Math.max(1, tally.sessions), ((cohorts / (cohorts - 1)) * squares) / all)
}

/** Design effect of a tally's rate, as estimated, or from the prior when events are few. At least 1. */
export function designEffect(tally: Tally): number {
  const events = total(tally.events)
  const trials = total(tally.trials)
  if (events < MIN_EVENTS || trials - events < MIN_EVENTS) return priorDeff(tally)
  const rate = events / trials
  return Math.max(1, (clusterVariance(tally.events, tally.trials) * trials) / (rate * (1 - rate)))
}

/** Design effect for outcomes that need not cluster as `tally` does: its correlation, never below the prior's. */
export function clusteredDeff(tally: Tally): number {
  const spread = kish(tally) - 1
  return spread > 0 ? 1 + Math.max(ICC_PRIOR, (designEffect(tally) - 1) / spread) * spread : 1
}

/**
 * Design effect of outcomes of their own `variance` (of the mean of `trials`), where independent ones would have `binomial`
 * each. A larger one than `prior` counts at once, however few the `events`; a smaller one only as far as it is known.
 */
export function ownDeff(
  { variance, binomial }: { readonly variance: number; readonly binomial: number },
  { events, trials, cohorts }: { readonly events: number; readonly trials: number; readonly cohorts: number },
  prior: number,
): number {
  if (!(binomial > 0)) return prior
  const own = (variance * trials) / binomial
  if (own >= prior) return own
  if (events < MIN_EVENTS || trials - events < MIN_EVENTS) return prior
  const blended = (PRIOR_COHORTS * prior + (cohorts - 1) * own) / (PRIOR_COHORTS + cohorts - 1)
  return Math.max(1, blended)
}

export function total(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum
}

export function cohortsInUse(trials: PerCohort): number {
  let used = 0
  for (let k = 0; k < trials.length; k++) if (trials[k]! > 0) used++
  return used
}

/** Design effect by the prior's correlation. */
export function priorDeff(tally: Tally): number {
  return 1 + ICC_PRIOR * (kish(tally) - 1)
}

/** A rate kept strictly inside (0, 1), also when something is counted more than once a trial. */
function smoothed(events: number, trials: number): number {
  return (Math.min(events, trials) + 0.5) / (trials + 1)
}
