import { logSumExp } from "./special.js"

/** Shares of the largest safe bet that are played side by side. */
const FRACTIONS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95] as const

/** ln capital of each constant bet. Capitals of processes that share no session merge by adding, bet by bet. */
export type Capitals = readonly number[]

export const NO_BETS: Capitals = FRACTIONS.map(() => 0)

/**
 * Bet against "the mean difference is at most `max`" with one more session. Exact at every sample size, for session
 * means of canary minus stable; against "at least `max`" bet with both negated.
 * Waudby-Smith & Ramdas 2020, a grid of constant bets.
 *
 * @param difference of one finished session, in [−1, 1]
 */
export function placeBets(capitals: Capitals, difference: number, max: number): Capitals {
  if (!(Math.abs(difference) <= 1)) throw new RangeError(`difference: must be within [-1, 1], got ${difference}`)
  return capitals.map((capital, i) => capital + Math.log1p(((FRACTIONS[i] ?? 0) / (1 + max)) * (difference - max)))
}

/** Log e-value: the average capital. */
export function bettingLogE(capitals: Capitals): number {
  return logSumExp(capitals) - Math.log(capitals.length)
}
