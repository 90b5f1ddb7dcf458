import type { Stratum } from "serin"
import { CELLS, COHORTS, cellIndex } from "serin"
import type { Look, Method } from "./rollout.js"

/** What others judge a canary's deny rate by, on served sessions alone, as their sources or papers describe it. */
export const RIVALS: Readonly<Record<string, (max: number) => Method>> = {
  "raw threshold each minute, 3 failures (Argo, Flagger)": rawThreshold,
  "Mann–Whitney on rates a minute, hourly (Kayenta)": mannWhitney,
  "two-proportion z, peeking, 5 %": peekingZ,
  "mSPRT on evaluations (H0: no difference)": msprt,
}

/** Calls and denials of one arm so far. */
interface Sums {
  readonly calls: number
  readonly bad: number
}

const NOTHING: Sums = { calls: 0, bad: 0 }

function sums(strata: readonly Stratum[], arm: 0 | 1): Sums {
  const [calls, deny] = [CELLS.indexOf("evaluations"), CELLS.indexOf("deny")]
  let [all, bad] = [0, 0]
  for (const { cells } of strata) {
    for (let cohort = 0; cohort < COHORTS; cohort++) {
      all += cells[cellIndex(arm, cohort, calls)]!
      bad += cells[cellIndex(arm, cohort, deny)]!
    }
  }
  return { calls: all, bad }
}

/** Answers once a whole minute has passed, with what each arm did in it. */
function eachMinute(judge: (minute: number, stable: Sums, canary: Sums) => boolean): Method {
  let last = 0
  let before: readonly [Sums, Sums] = [NOTHING, NOTHING]
  return {
    look({ minute, evidence }) {
      if (Math.floor(minute) === last) return "open"
      last = Math.floor(minute)
      const now = [sums(evidence.strata, 0), sums(evidence.strata, 1)] as const
      const [stable, canary] = now.map(({ calls, bad }, arm) => ({
        calls: calls - before[arm]!.calls,
        bad: bad - before[arm]!.bad,
      })) as [Sums, Sums]
      before = now
      return judge(last, stable, canary) ? "breach" : "open"
    },
  }
}

const rate = ({ calls, bad }: Sums): number => bad / calls

/** The canary's rate of the last minute is above stable's plus the limit in the fourth minute, not in a row. */
function rawThreshold(max: number): Method {
  let failed = 0
  return eachMinute((_, stable, canary) => {
    if (canary.calls > 0 && stable.calls > 0 && rate(canary) > rate(stable) + max) failed += 1
    return failed > 3
  })
}

/**
 * The lower end of the 98 % interval of the shift between the rates of the minutes (order statistics of all pairwise differences)
 * is above a quarter of stable's median, which is Kayenta's tolerance.
 */
function mannWhitney(): Method {
  const stables: number[] = []
  const canaries: number[] = []
  return eachMinute((minute, stable, canary) => {
    if (stable.calls > 0) stables.push(rate(stable))
    if (canary.calls > 0) canaries.push(rate(canary))
    if (minute % 60 !== 0 || canaries.length < 5) return false
    const shifts = canaries.flatMap((c) => stables.map((s) => c - s)).sort((a, b) => a - b)
    const [n, m] = [canaries.length, stables.length]
    const z = 2.326
    const skip = Math.max(0, Math.floor((n * m) / 2 - z * Math.sqrt((n * m * (n + m + 1)) / 12)))
    const median = [...stables].sort((a, b) => a - b)[Math.floor(m / 2)]!
    return shifts[skip]! > 0.25 * median
  })
}

/** One-sided 5 % test of "the difference is at most the limit" at every look, evaluations taken for independent. */
function peekingZ(max: number): Method {
  return onSums((stable, canary) => {
    const [p, q] = [rate(stable), rate(canary)]
    const se = Math.sqrt((p * (1 - p)) / stable.calls + (q * (1 - q)) / canary.calls)
    return canary.bad >= 5 && (q - p - max) / se > 1.645
  })
}

/** Johari et al.: a normal mixture (τ = the limit) around no difference, evaluations taken for independent. */
function msprt(max: number): Method {
  return onSums((stable, canary) => {
    const [p, q] = [rate(stable), rate(canary)]
    const variance = (p * (1 - p)) / stable.calls + (q * (1 - q)) / canary.calls
    if (!(variance > 0) || canary.bad < 5 || q < p) return false
    const shrink = variance / (variance + max * max)
    return 0.5 * Math.log(shrink) + ((q - p) ** 2 * (1 - shrink)) / (2 * variance) >= Math.log(20)
  })
}

function onSums(judge: (stable: Sums, canary: Sums) => boolean): Method {
  return {
    look({ evidence }: Look) {
      const [stable, canary] = [sums(evidence.strata, 0), sums(evidence.strata, 1)]
      return stable.calls > 0 && canary.calls > 0 && judge(stable, canary) ? "breach" : "open"
    },
  }
}
