import { clusteredDeff, clusterVariance, cohortsInUse, cohortZeros, ownDeff, total } from "./rates.js"
import type { Delta, PerCohort, Tally } from "./rates.js"
import type { Wager } from "./wager.js"

/** Calls that both arms judged, per cohort, for one outcome X. */
export interface PairTally {
  /** Canary X, stable not. */
  readonly plus: PerCohort
  /** Stable X, canary not. */
  readonly minus: PerCohort
  /** Stable X, whatever the canary did. */
  readonly stable: PerCohort
  readonly trials: PerCohort
  readonly sessions: number
}

/**
 * Measure how much oftener the canary ends in X than stable on the same calls, against the largest acceptable excess
 * `max`. The variance is never below that of the discordance there would be at the limit (McNemar, restricted to the
 * null's boundary), inflated by the clustering of stable's X. Needs trials.
 */
export function pairedDelta(pairs: PairTally, max: number): Delta {
  const trials = total(pairs.trials)
  const difference = differenceOf(pairs)
  const deff = clusteredDeff({ events: pairs.stable, trials: pairs.trials, sessions: pairs.sessions })
  const discordance = max + (2 * total(pairs.minus)) / trials
  // At max = 0 without discordance, and at max = 1, the boundary has no variance: keep that of one discordant pair.
  const restricted = Math.max(discordance - max * max, 1 / (trials + 1))
  return {
    estimate: total(difference) / trials,
    variance: Math.max(clusterVariance(difference, pairs.trials), (deff * restricted) / trials),
    deff,
  }
}

/** What discordant pairs have to bet on: +1 where only the canary ends in X, −1 where only stable does. */
export function pairedWager(pairs: PairTally): Wager {
  const prior = clusteredDeff({ events: pairs.stable, trials: pairs.trials, sessions: pairs.sessions })
  const net = { plus: total(pairs.plus), minus: total(pairs.minus), difference: differenceOf(pairs) }
  return discordantWager(net, pairs.trials, prior)
}

/** The same where the design effect is about `prior`: `plus` and `minus` in all, their `difference` per cohort. */
export function discordantWager(
  { plus, minus, difference }: { readonly plus: number; readonly minus: number; readonly difference: PerCohort },
  perCohort: PerCohort,
  prior: number,
): Wager {
  const trials = total(perCohort)
  const estimate = (plus - minus) / trials
  const spread = {
    variance: clusterVariance(difference, perCohort),
    binomial: (plus + minus) / trials - estimate * estimate,
  }
  const sizes = { events: plus + minus, trials, cohorts: cohortsInUse(perCohort) }
  return { plus, minus, trials, deff: ownDeff(spread, sizes, prior) }
}

/** What events have to bet on against a budget. `clustering` as in `rateAgainst`. */
export function eventWager(tally: Tally, clustering: Tally): Wager {
  return wagerOn(tally, clusteredDeff(clustering))
}

/** The same where the design effect is about `prior`. */
export function wagerOn(tally: Tally, prior: number): Wager {
  const [plus, trials] = [total(tally.events), total(tally.trials)]
  const spread = {
    variance: clusterVariance(tally.events, tally.trials),
    binomial: (plus / trials) * (1 - plus / trials),
  }
  const sizes = { events: plus, trials, cohorts: cohortsInUse(tally.trials) }
  return { plus, minus: 0, trials, deff: ownDeff(spread, sizes, prior) }
}

/** Σ of +1 and −1 per cohort. */
function differenceOf({ plus, minus }: PairTally): PerCohort {
  const difference = cohortZeros(plus.length)
  for (let k = 0; k < difference.length; k++) difference[k] = plus[k]! - minus[k]!
  return difference
}
