import type { Criterion, NoData, Verdict } from "../model/verdict.js"
import { unitOf, weigh } from "./criteria.js"
import { ALPHA_PASS } from "./criterion.js"
import { noDataReason } from "./wording.js"

/** Make the verdict on evidence that never arrived: every criterion inconclusive, with the same reason. */
export function noDataVerdict(
  noData: NoData,
  input: {
    readonly criteria: readonly Criterion[]
    readonly shadow: boolean
    readonly falseAlarmRate: number
    readonly generation: number
    /** Ms since the epoch. */
    readonly at: number
    /** What went wrong, for people: the message of the failed read, the age of the evidence. */
    readonly detail?: string | undefined
  },
): Verdict {
  const { criteria, shadow, falseAlarmRate, generation, at, detail } = input
  const reason = detail === undefined ? noDataReason(noData) : `${noDataReason(noData)}: ${detail}`
  const enforced = criteria.filter(({ mode }) => mode === "enforce").length
  const none = { stable: 0, canary: 0 }
  return {
    result: "inconclusive",
    at,
    generation,
    criteria: criteria.map(({ name, mode, max }) => ({
      criterion: name,
      mode,
      result: "inconclusive",
      unit: unitOf(name),
      max,
      method: weigh(name, shadow).some(({ source }) => source === "pairs") ? "pairs" : "arms",
      estimate: null,
      lower: null,
      upper: null,
      alphaBreach: mode === "enforce" ? falseAlarmRate / enforced : falseAlarmRate,
      alphaPass: ALPHA_PASS,
      logEWorse: null,
      logEWithin: null,
      evaluations: none,
      sessions: none,
      pairs: 0,
      effectiveSize: null,
      noData,
      reason,
    })),
    srm: { flagged: false, logBayesFactor: 0, observed: none, expected: none },
    sessions: { ...none, paired: 0 },
    falseAlarmRate,
    logEFamily: 0,
    noData,
    reason,
  }
}
