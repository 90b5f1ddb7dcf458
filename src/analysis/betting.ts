/** What a bet is about: values from `least` to 1, of which the mean is said to be at most `max`. */
export interface Game {
  readonly max: number
  /** −1 for differences, 0 for events. */
  readonly least: -1 | 0
  /** How it is bet on; without, `PORTFOLIO`. */
  readonly bets?: readonly Bet[] | undefined
}

/** One of the bets that are made side by side. Weights of all sum to 1. */
export interface Bet {
  /** Share of the largest bet that no value can ruin. */
  readonly fraction: number
  readonly weight: number
}

/**
 * Bets for excesses of every size. The best fraction is about (excess / share of discordant trials): a fifth to a half where
 * the excess is of the size of the limit, nearly all in a catastrophe, and the least are for what only a million calls can
 * show. Any weights are valid; these were chosen by simulation.
 */
export const PORTFOLIO: readonly Bet[] = [
  { fraction: 0.02, weight: 0.02 },
  { fraction: 0.06, weight: 0.03 },
  { fraction: 0.12, weight: 0.08 },
  { fraction: 0.22, weight: 0.2 },
  { fraction: 0.35, weight: 0.22 },
  { fraction: 0.55, weight: 0.15 },
  { fraction: 0.9, weight: 0.3 },
]

/** Bets on calls slower than a p99 and a limit: a canary that is worth an answer has several times as many of them as stable, or as few. */
export const TAIL_PORTFOLIO: readonly Bet[] = [
  { fraction: 0.02, weight: 0.02 },
  { fraction: 0.06, weight: 0.04 },
  { fraction: 0.15, weight: 0.1 },
  { fraction: 0.35, weight: 0.24 },
  { fraction: 0.75, weight: 0.6 },
]

/**
 * Log of what a bet makes of its capital when a trial ends in `value`, of a constant bet against "the mean is at most `max`". Exact at every sample size for independent values, whatever their distribution; against "at least" bet with
 * all negated. Waudby-Smith & Ramdas 2020.
 */
export const logReturn = ({ fraction }: Bet, value: number, { max, least }: Game): number =>
  Math.log1p((fraction / (max - least)) * (value - max))
