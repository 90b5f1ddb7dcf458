import { bernoulliLogE, bernoulliLower } from "./bernoulli.js"

/** Something that may happen in more than a tolerated share of trials, and what was seen of it. */
export interface Candidate {
  readonly events: number
  readonly trials: number
  /** Its share of the error, fixed before its trials were seen. Shares of all candidates that there may be sum to 1 at the most. */
  readonly weight: number
}

export interface Discovery {
  /** ln of the e-value against "in at most the tolerated share of trials". */
  readonly logE: number
  /** The same with its weight: what candidates are ranked by. */
  readonly weighed: number
  /** Whether it is told as a fact. */
  readonly found: boolean
  /** Lower bound of its share, corrected as `found` is: above what is tolerated if, and only if, it is found. */
  readonly lower: number
}

/**
 * Say which candidates happen in more than `tolerated` of their trials, however many were looked at and however often. Of those that are found a share of at most `alpha` is
 * expected to be wrong, and as many of their bounds: e-BH with weights (Wang & Ramdas 2022), and e-BY for the bounds (Xu, Wang & Ramdas 2022).
 * Both hold whatever the candidates have to do with one another. None is found that is not one by itself at `alpha`.
 */
export function discover(
  candidates: readonly Candidate[],
  { tolerated, alpha }: { readonly tolerated: number; readonly alpha: number },
): readonly Discovery[] {
  const target = -Math.log(alpha)
  const read = candidates.map(({ events, trials, weight }) => {
    const logE = bernoulliLogE(events, trials, tolerated)
    return { logE, weighed: logE + Math.log(weight) }
  })
  const able = read.filter(({ logE }) => logE >= target).map(({ weighed }) => weighed)
  const found = able.toSorted((a, b) => b - a).findLastIndex((weighed, i) => weighed >= target - Math.log(i + 1)) + 1
  return read.map(({ logE, weighed }, i) => {
    const { events, trials, weight } = candidates[i]!
    const level = Math.min(alpha, alpha * weight * Math.max(1, found))
    return {
      logE,
      weighed,
      found: found > 0 && logE >= target && weighed >= target - Math.log(found),
      lower: bernoulliLower(events, trials, level),
    }
  })
}
