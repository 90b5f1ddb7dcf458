import type { SrmVerdict } from "../model/verdict.js"
import { CANARY, STABLE, armTotal } from "./counts.js"
import { isSplit, type Ramped } from "./ramp.js"
import { logGamma } from "./special.js"

/** Weight of the prior on the planned share: 100 sessions. */
const CONCENTRATION = 100
/** Flagged when the counts are a thousand times likelier under another share: a false alarm in 1 of 1,000 rollouts. */
const LOG_THRESHOLD = Math.log(1000)

/**
 * Test whether the arms are as large as the ramp says, at every look. Sessions of each stratum against its own share;
 * log Bayes factors add. (Lindon & Malek, sequential multinomial test with a Dirichlet prior around the plan.)
 */
export function sampleRatio(strata: readonly Ramped[]): SrmVerdict {
  const observed = { stable: 0, canary: 0 }
  const expected = { stable: 0, canary: 0 }
  let logBF = 0
  for (const ramped of strata.filter(isSplit)) {
    const stable = armTotal(ramped.stratum, STABLE, "sessions")
    const canary = armTotal(ramped.stratum, CANARY, "sessions")
    const share = ramped.weightBp! / 10_000
    observed.stable += stable
    observed.canary += canary
    expected.stable += (stable + canary) * (1 - share)
    expected.canary += (stable + canary) * share
    logBF += logBayesFactor([stable, canary], [1 - share, share])
  }
  const flagged = logBF >= LOG_THRESHOLD
  const short = observed.canary < expected.canary ? "canary" : "stable"
  return { flagged, logBayesFactor: logBF, observed, expected, short: flagged ? short : undefined }
}

/** Log Bayes factor against "the counts were drawn with the shares `theta`". */
export function logBayesFactor(counts: readonly number[], theta: readonly number[]): number {
  const n = counts.reduce((sum, count) => sum + count, 0)
  return counts.reduce(
    (sum, count, i) => {
      const share = theta[i]!
      const prior = CONCENTRATION * share
      return sum + logGamma(prior + count) - logGamma(prior) - count * Math.log(share)
    },
    logGamma(CONCENTRATION) - logGamma(CONCENTRATION + n),
  )
}
