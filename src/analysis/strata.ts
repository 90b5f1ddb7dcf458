import { logE } from "./mixture.js"
import type { Delta } from "./rates.js"
import { logSumExp } from "./special.js"

/** What one stratum says about an excess over its limit. Looks add; raw counts of different strata never do (Simpson). */
export interface Look {
  /** (estimate − limit) × information. */
  readonly score: number
  /** 1 / variance. */
  readonly information: number
}

/** A stratum that says nothing: too few sessions, or none. */
export const NO_LOOK: Look = { score: 0, information: 0 }

export function lookAt(delta: Delta, limit: number): Look {
  return { score: (delta.estimate - limit) / delta.variance, information: 1 / delta.variance }
}

/** Add looks: the estimate over all strata is `limit + score / information`. */
export function pool(looks: readonly Look[]): Look {
  return looks.reduce(
    (sum, look) => ({ score: sum.score + look.score, information: sum.information + look.information }),
    NO_LOOK,
  )
}

/** Log e-value against "the excess is at or below the limit in every stratum", wherever a regression started. */
export function logEWorse(looks: readonly Look[], rho: number): number {
  return lateStart(
    looks.map((_, start) => {
      const { score, information } = pool(looks.slice(start))
      return logE(score, information, rho)
    }),
  )
}

/** Log e-value against "the excess is at or above the limit". */
export function logEWithin(looks: readonly Look[], rho: number): number {
  const { score, information } = pool(looks)
  return logE(-score, information, rho)
}

/**
 * Mix e-processes that start in stratum 0, 1, …: `logEFrom[j]` is ln E of what happened from stratum j on.
 * Weights 1/((j+1)(j+2)); the rest, 1/(J+1), waits for strata to come, so the mixture is an e-process itself.
 */
export function startMixture(logEFrom: readonly number[]): number {
  const waiting = -Math.log(logEFrom.length + 1)
  return logSumExp([waiting, ...logEFrom.map((value, j) => value - Math.log((j + 1) * (j + 2)))])
}

/** Share of the e-value that has all evidence in it; the rest asks in which stratum harm began. */
const FROM_THE_START = 0.5

/**
 * The same with half of the weight on the very first start: most releases that are bad are so from the first call on, and are the
 * more urgent to find.
 */
export function lateStart(logEFrom: readonly number[]): number {
  const mixed = startMixture(logEFrom)
  const first = logEFrom[0]
  return first === undefined
    ? mixed
    : logSumExp([Math.log(FROM_THE_START) + first, Math.log1p(-FROM_THE_START) + mixed])
}
