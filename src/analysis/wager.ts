import { PORTFOLIO, logReturn, type Game } from "./betting.js"
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
  let rest = NOTHING
  const logEFrom: number[] = []
  // From the last stratum to the first, so that each start has all that came after it.
  for (let i = wagers.length - 1; i >= 0; i--) {
    rest = add(rest, wagers[i]!)
    logEFrom.unshift(logEOf(rest, game))
  }
  return lateStart(logEFrom)
}

/** The same without asking where it started. */
export function pooledLogE(wagers: readonly Wager[], game: Game): number {
  return logEOf(wagers.reduce(add, NOTHING), game)
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
    if (logEOf(all, { max: middle, least, bets }) >= target) below = middle
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
    if (max < Infinity && logEOf(strata.reduce(add, NOTHING), { ...game, max }) >= target) return excess
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

/** Log e-value of trials: what all bets together have. Without a list for each step, since it is asked hundreds of times a look. */
function logEOf({ plus, minus, zero }: Effective, game: Game): number {
  const logs: number[] = []
  let largest = -Infinity
  for (const bet of game.bets ?? PORTFOLIO) {
    const won = plus * logReturn(bet, 1, game)
    const lost = game.least < 0 ? minus * logReturn(bet, -1, game) : 0
    const capital = won + lost + zero * logReturn(bet, 0, game) + Math.log(bet.weight)
    if (capital > largest) largest = capital
    logs.push(capital)
  }
  if (!Number.isFinite(largest)) return largest
  let sum = 0
  for (const log of logs) sum += Math.exp(log - largest)
  return largest + Math.log(sum)
}
