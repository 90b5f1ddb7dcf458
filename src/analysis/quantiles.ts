import { TAIL_PORTFOLIO, type Game } from "./betting.js"
import { knownAbove, knownBelow, msAt, positionOf, quantilePosition, type Histogram } from "./histogram.js"
import { discordantWager, wagerOn } from "./pairs.js"
import {
  clusteredDeff,
  clusterVariance,
  cohortZeros,
  priorDeff,
  rateDelta,
  total,
  type Delta,
  type PerCohort,
} from "./rates.js"
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
  const { totals: trials } = stable
  const atStables = slowAt(stable, canary, maxMs)
  const atCanarys = slowAt(canary, stable, -maxMs)
  const stables = clusteringOf(atStables.own, trials, sessions)
  const canarys = clusteringOf(atCanarys.own, trials, sessions)
  const [fewest, most] = [netOf(atStables.own, atStables.fewest), netOf(atStables.own, atStables.most)]
  const share = (events: readonly number[], { share }: Clustering): Wager =>
    wagerOn({ events, trials, sessions }, share)
  return {
    worse: netDelta(fewest, trials, stables.net),
    within: netDelta(most, trials, stables.net),
    wagers: {
      worse: [
        discordantWager(fewest, trials, stables.net),
        share(atStables.fewest, stables),
        turned(discordantWager(netOf(atCanarys.own, atCanarys.most), trials, canarys.net)),
        turned(share(atCanarys.most, canarys)),
      ],
      within: [
        turned(discordantWager(most, trials, stables.net)),
        turned(share(atStables.most, stables)),
        discordantWager(netOf(atCanarys.own, atCanarys.fewest), trials, canarys.net),
        share(atCanarys.fewest, canarys),
      ],
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
  // Splitting the quantile's own bin makes the arm's share exactly 1 − p, also when half of all durations are alike.
  return { own: arm.exceedances(quantile), fewest: other.exceedances(above), most: other.exceedances(below) }
}

/** Calls that only the other arm is slow on (`plus`), or only the arm itself, as far as they do not cancel in a cohort. */
interface Net {
  readonly plus: number
  readonly minus: number
  /** Per cohort. */
  readonly difference: readonly number[]
}

function netOf(own: readonly number[], other: readonly number[]): Net {
  const difference = cohortZeros(own.length)
  let plus = 0
  let minus = 0
  for (let k = 0; k < own.length; k++) {
    const net = other[k]! - own[k]!
    difference[k] = net
    plus += Math.max(0, net)
    minus += Math.max(0, -net)
  }
  return { plus, minus, difference }
}

/** How slow calls cluster is first taken from those that the arm itself is slow on: for net counts, and for the other arm's share. */
interface Clustering {
  readonly net: number
  readonly share: number
}

function clusteringOf(own: readonly number[], trials: PerCohort, sessions: number): Clustering {
  const tally = { events: own, trials, sessions }
  return { net: clusteredDeff(tally), share: wagerOn(tally, priorDeff(tally)).deff }
}

function netDelta({ difference }: Net, perCohort: PerCohort, deff: number): Delta {
  const trials = total(perCohort)
  const discordant = 1 + difference.reduce((sum, net) => sum + Math.abs(net), 0)
  return {
    estimate: total(difference) / trials,
    variance: Math.max(clusterVariance(difference, perCohort), (deff * discordant) / (trials * trials)),
    deff,
  }
}

function turned({ plus, minus, trials, deff }: Wager): Wager {
  return { plus: minus, minus: plus, trials, deff }
}
