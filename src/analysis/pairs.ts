import { clusteredDeff, clusterVariance, total, type Delta, type PerCohort } from "./rates.js"

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
  const difference = Array.from(pairs.plus, (plus, k) => plus - (pairs.minus[k] ?? 0))
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
