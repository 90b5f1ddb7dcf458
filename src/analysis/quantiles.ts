import { exceedances, msAt, positionOf, quantilePosition, type Histogram } from "./histogram.js"
import { clusteredDeff, clusterVariance, rateDelta, total, type Delta } from "./rates.js"

/** The quantile that latency criteria bound. */
export const QUANTILE = 0.99

/**
 * A latency excess as a difference of exceedance rates, to be judged against 0. Durations are known to a bin of
 * 2^(1/32), 2.2 %: `worse` has every rounding in the canary's favour, `within` has it against the canary, so a limit
 * finer than the bins gives neither a breach nor a pass.
 */
export interface Exceedance {
  readonly worse: Delta
  readonly within: Delta
}

/**
 * Compare the arms' p99: the share of canary's durations above stable's p99 plus `maxMs` against the share of stable's
 * above its p99. "q(canary) ≤ q(stable) + max" is the same as "that difference is ≤ 0", and unlike an interpolated p99
 * it has a variance by cohorts.
 */
export function latencyDelta(
  stable: { readonly histogram: Histogram; readonly sessions: number },
  canary: { readonly histogram: Histogram; readonly sessions: number },
  maxMs: number,
): Exceedance {
  return judgeBothWays(stable.histogram, canary.histogram, maxMs, (slowStable, slowCanary) =>
    rateDelta(
      { events: slowStable, trials: stable.histogram.totals, sessions: stable.sessions },
      { events: slowCanary, trials: canary.histogram.totals, sessions: canary.sessions },
      0,
      1 - QUANTILE,
    ),
  )
}

/**
 * The same for calls that both arms timed. Which calls were slow in one arm only is not kept, but what is left of a cohort
 * when its slow calls of either arm cancel is: as long as they are few that is their number, and later the variance by
 * cohorts is well known. One more keeps a variance where nothing differs.
 */
export function pairedLatencyDelta(stable: Histogram, canary: Histogram, sessions: number, maxMs: number): Exceedance {
  return judgeBothWays(stable, canary, maxMs, (slowStable, slowCanary) => {
    const trials = total(stable.totals)
    const difference = slowCanary.map((slow, k) => slow - (slowStable[k] ?? 0))
    const deff = clusteredDeff({ events: slowStable, trials: stable.totals, sessions })
    const discordant = 1 + difference.reduce((sum, value) => sum + Math.abs(value), 0)
    return {
      estimate: total(difference) / trials,
      variance: Math.max(clusterVariance(difference, stable.totals), (deff * discordant) / (trials * trials)),
      deff,
    }
  })
}

function judgeBothWays(
  stable: Histogram,
  canary: Histogram,
  maxMs: number,
  compare: (slowStable: readonly number[], slowCanary: readonly number[]) => Delta,
): Exceedance {
  const quantile = quantilePosition([stable], QUANTILE)
  // Splitting the quantile's own bin makes stable's share exactly 1 − p, also when half of all durations are alike.
  const slowStable = exceedances(stable, quantile)
  const shifted = (position: number): number => positionOf(msAt(position) + maxMs)
  // How slow the overflow bin is, is not known: no evidence of a breach, and no proof of a pass.
  const above = Math.min(canary.bins, Math.ceil(shifted(Math.ceil(quantile))))
  const below = Math.min(canary.bins - 1, Math.floor(shifted(Math.floor(quantile))))
  const slowest = exceedances(canary, above)
  const between = exceedances(canary, below, above)
  return {
    worse: compare(slowStable, slowest),
    within: compare(
      slowStable,
      slowest.map((slow, k) => slow + between[k]!),
    ),
  }
}
