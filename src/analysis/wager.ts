import { bettingLogE, logReturns, type Game } from "./betting.js"
import { lateStart } from "./strata.js"

/** What one stratum has to bet on: trials that ended in +1, in −1 and in 0, and how much sessions inflate their noise. */
export interface Wager {
  readonly plus: number
  readonly minus: number
  readonly trials: number
  readonly deff: number
}

/** Wagers for a breach and, where it is bet on too, for a pass. */
export interface Wagers {
  readonly worse: readonly Wager[]
  readonly within?: readonly Wager[] | undefined
}

/** What is bet against, in the order of the wagers. */
export interface Games {
  readonly worse: readonly Game[]
  readonly within?: readonly Game[] | undefined
}

/** A claim, and what each stratum has to bet on against it. */
export interface Stake {
  readonly game: Game
  readonly strata: readonly Wager[]
}

/** A stratum that says nothing. */
export const NO_WAGER: Wager = { plus: 0, minus: 0, trials: 0, deff: 1 }

/**
 * Log e-value against "the mean is at most `max` in every stratum", wherever a regression started. Unlike a normal
 * approximation it knows how skewed rare events are, and harm itself does not widen it. Calls of a session are not
 * independent: n of them are worth n/deff.
 */
export function wagerLogE(wagers: readonly Wager[], game: Game): number {
  const play = table(game)
  let rest = NOTHING
  const logEFrom: number[] = []
  // From the last stratum to the first, so that each start has all that came after it.
  for (let i = wagers.length - 1; i >= 0; i--) {
    rest = add(rest, wagers[i]!)
    logEFrom.unshift(play(rest))
  }
  return lateStart(logEFrom)
}

/** The same without asking where it started. */
export function pooledLogE(wagers: readonly Wager[], game: Game): number {
  return table(game)(wagers.reduce(add, NOTHING))
}

/** Lower bound of the mean at level `alpha`, at every look: the largest limit that all strata bet successfully against. */
export function wagerLower(wagers: readonly Wager[], least: Game["least"], alpha: number, bets?: Game["bets"]): number {
  const all = wagers.reduce(add, NOTHING)
  const target = -Math.log(alpha)
  // The e-value falls as the limit rises.
  let below: number = least
  let above = 1
  for (let i = 0; i < 30; i++) {
    const middle = (below + above) / 2
    if (table({ max: middle, least, bets })(all) >= target) below = middle
    else above = middle
  }
  return below
}

/**
 * How far beyond its limit the truth is at least, by all stakes: a claim that may fail in more than one way has a stake on
 * each, and the least successful decides.
 */
export function leastExcess(stakes: readonly Stake[], alpha: number): number {
  const target = -Math.log(alpha)
  return stakes.reduce((excess, { game, strata }) => {
    // One look tells that a stake is not the least successful so far.
    const max = game.max + excess
    if (max <= game.least) return excess
    if (max < Infinity && table({ ...game, max })(strata.reduce(add, NOTHING)) >= target) return excess
    return Math.min(excess, wagerLower(strata, game.least, alpha, game.bets) - game.max)
  }, Infinity)
}

/** Trials in units of independent ones. They add over strata: what is added are log capitals, never rates. */
interface Effective {
  readonly plus: number
  readonly minus: number
  readonly zero: number
}

const NOTHING: Effective = { plus: 0, minus: 0, zero: 0 }

function add(sum: Effective, { plus, minus, trials, deff }: Wager): Effective {
  return {
    plus: sum.plus + plus / deff,
    minus: sum.minus + minus / deff,
    zero: sum.zero + (trials - plus - minus) / deff,
  }
}

/** Log e-value of trials, with the returns of each outcome worked out once. */
function table(game: Game): (trials: Effective) => number {
  const won = logReturns(1, game)
  const lost = game.least < 0 ? logReturns(-1, game) : won
  const drawn = logReturns(0, game)
  return ({ plus, minus, zero }) =>
    bettingLogE(
      won.map((win, i) => plus * win + minus * lost[i]! + zero * drawn[i]!),
      game.bets,
    )
}
