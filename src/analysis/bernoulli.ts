import { logBeta } from "./special.js"

/**
 * Bound the mean of 0/1 outcomes from above at level `alpha`, at every look: the largest p at which the Beta(½, ½)
 * mixture has not yet reached 1/alpha. About (ln 1/alpha + ½ ln πn) / n for zero events; 1 for no trials.
 * `events` and `trials` need not be whole, so that trials can be divided by a design effect.
 */
export function bernoulliUpper(events: number, trials: number, alpha: number): number {
  const misses = trials - events
  const mixture = logMixture(events, misses)
  const target = -Math.log(alpha)
  const logCapital = (p: number): number => mixture - events * Math.log(p) - misses * Math.log1p(-p)
  // Convex in p, least at events/trials and unbounded towards 1: one root in between. Where there is no room, or no trial, 1.
  let below = events / trials
  let above = 1
  for (;;) {
    const middle = (below + above) / 2
    if (!(below < middle && middle < above)) return above
    if (logCapital(middle) < target) below = middle
    else above = middle
  }
}

/** Bound the mean of 0/1 outcomes from below at level `alpha`, at every look; 0 for zero events, above 0 for any. */
export function bernoulliLower(events: number, trials: number, alpha: number): number {
  return 1 - bernoulliUpper(trials - events, trials, alpha)
}

/**
 * Log e-value against "the mean of these 0/1 outcomes is at most `max`": what the same Beta(½, ½) mixture has made, against the mean up to
 * `max` that it does worst against. At every look; it reaches ln 1/alpha just where {@link bernoulliLower} at `alpha` passes `max`.
 * An e-value against each simple null, and their least against all of them: Wasserman, Ramdas & Balakrishnan 2020; for the mixture Robbins 1970.
 */
export function bernoulliLogE(events: number, trials: number, max: number): number {
  const misses = trials - events
  // The likelihood is greatest at the share itself, or at the limit where that is below it.
  const mean = trials === 0 ? 0 : Math.min(max, events / trials)
  const mixture = logMixture(events, misses)
  return mixture - (events === 0 ? 0 : events * Math.log(mean)) - (misses === 0 ? 0 : misses * Math.log1p(-mean))
}

/** ln of the chance of a sequence with so many events and misses under the Beta(½, ½) mixture. */
const logMixture = (events: number, misses: number): number => logBeta(0.5 + events, 0.5 + misses) - logBeta(0.5, 0.5)
