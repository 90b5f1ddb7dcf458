import { TAIL_PORTFOLIO, type Game } from "./betting.js"
import { exceedances, knownAbove, knownBelow, msAt, positionOf, quantilePosition, type Histogram } from "./histogram.js"
import { pairedWager, wagerOn } from "./pairs.js"
import { clusteredDeff, clusterVariance, priorDeff, rateDelta, total, type Delta, type PerCohort } from "./rates.js"
import type { Wager, Wagers } from "./wager.js"

/** The quantile that latency criteria bound. */
export const QUANTILE = 0.99

/**
 * A latency excess as a difference of exceedance rates, to be judged against 0. Durations are known to a bin of
 * 2^(1/32), 2.2 %: `worse` has every rounding in the canary's favour, `within` has it against the canary, so a limit
 * finer than the bins gives neither a breach nor a pass. So it is with wider bins, where evidence has no others.
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
  const { own, fewest, most } = slowAt(stable.histogram, canary.histogram, maxMs)
  const compare = (slow: PerCohort): Delta =>
    rateDelta(
      { events: own, trials: stable.histogram.totals, sessions: stable.sessions },
      { events: slow, trials: canary.histogram.totals, sessions: canary.sessions },
      0,
      1 - QUANTILE,
    )
  return { worse: compare(fewest), within: compare(most) }
}

/**
 * What is bet against on calls that both arms timed. A p99 is measured, and where tails differ its error changes the count of one arm
 * more than that of the other, in all cohorts alike, so that no variance by cohorts shows it. Hence four claims have to be refuted:
 * at stable's p99 (for the canary plus `max`) that the canary is slow no oftener than stable, and that it is in at most a hundredth of
 * its calls; at the canary's p99 (for stable less `max`) the first again, and that stable is slow in at least a hundredth. Of the two
 * shares one bears the error where the canary's tail is the flatter, the other where stable's is; net counts bear the noise of calls
 * that are slow in either arm for reasons of its own.
 */
export const SLOWER: readonly Game[] = [0, 1 - QUANTILE, 0, QUANTILE - 1].map((max) => ({
  max,
  least: -1,
  bets: TAIL_PORTFOLIO,
}))
/** The same with all signs turned: that it is so at least as often. */
export const FASTER: readonly Game[] = SLOWER.map((game) => ({ ...game, max: 0 - game.max }))

/**
 * The same for calls that both arms timed. Which calls were slow in one arm only is not kept, but what is left of a cohort
 * when its slow calls of either arm cancel is: as long as they are few that is their number, and later the variance by
 * cohorts, which the design effect is made of, is well known. One more keeps a variance where nothing differs.
 */
export function pairedLatency(
  stable: Histogram,
  canary: Histogram,
  sessions: number,
  maxMs: number,
): Exceedance & { readonly wagers: Wagers } {
  const { totals } = stable
  const atStables = slowAt(stable, canary, maxMs)
  const atCanarys = slowAt(canary, stable, -maxMs)
  const delta = (slow: readonly number[]): Delta => netDelta(atStables.own, slow, totals, sessions)
  const wagers = (own: readonly number[], other: readonly number[]): Wager[] => [
    netWager(own, other, totals, sessions),
    shareWager(own, other, totals, sessions),
  ]
  return {
    worse: delta(atStables.fewest),
    within: delta(atStables.most),
    wagers: {
      worse: [...wagers(atStables.own, atStables.fewest), ...wagers(atCanarys.own, atCanarys.most).map(turned)],
      within: [...wagers(atStables.own, atStables.most).map(turned), ...wagers(atCanarys.own, atCanarys.fewest)],
    },
  }
}

/** Calls per cohort that are slow: of the arm whose p99 is taken, and of the other at the fewest and at the most. */
interface Slow {
  readonly own: readonly number[]
  readonly fewest: readonly number[]
  readonly most: readonly number[]
}

/** Count what is above an arm's p99, and what of the other arm is above that plus `ms`. */
function slowAt(arm: Histogram, other: Histogram, ms: number): Slow {
  const quantile = quantilePosition([arm], QUANTILE)
  const shifted = (position: number): number => positionOf(Math.max(0, msAt(position) + ms))
  // How slow the overflow bin is, is not known: no evidence of a breach, and no proof of a pass.
  const above = Math.min(other.bins, knownAbove(other, shifted(knownAbove(arm, quantile))))
  const below = Math.min(other.bins - 1, knownBelow(other, shifted(knownBelow(arm, quantile))))
  const fewest = exceedances(other, above)
  const between = exceedances(other, below, above)
  return {
    // Splitting the quantile's own bin makes the arm's share exactly 1 − p, also when half of all durations are alike.
    own: exceedances(arm, quantile),
    fewest,
    most: fewest.map((slow, k) => slow + between[k]!),
  }
}

function netDelta(own: readonly number[], other: readonly number[], totals: PerCohort, sessions: number): Delta {
  const trials = total(totals)
  const difference = subtract(other, own)
  const deff = clusteredDeff({ events: own, trials: totals, sessions })
  const discordant = 1 + difference.reduce((sum, value) => sum + Math.abs(value), 0)
  return {
    estimate: total(difference) / trials,
    variance: Math.max(clusterVariance(difference, totals), (deff * discordant) / (trials * trials)),
    deff,
  }
}

/** Calls that only the other arm is slow on. How they cluster is first taken from those that the arm itself is slow on. */
function netWager(own: readonly number[], other: readonly number[], trials: PerCohort, sessions: number): Wager {
  const difference = subtract(other, own)
  const plus = difference.map((value) => Math.max(0, value))
  const minus = difference.map((value) => Math.max(0, -value))
  return pairedWager({ plus, minus, stable: own, trials, sessions })
}

function shareWager(own: readonly number[], other: readonly number[], trials: PerCohort, sessions: number): Wager {
  const clustering = { events: own, trials, sessions }
  return wagerOn({ events: other, trials, sessions }, wagerOn(clustering, priorDeff(clustering)).deff)
}

function turned({ plus, minus, ...wager }: Wager): Wager {
  return { ...wager, plus: minus, minus: plus }
}

const subtract = (a: readonly number[], b: readonly number[]): number[] => a.map((value, k) => value - b[k]!)
