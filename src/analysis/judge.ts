import type { Evidence } from "../model/evidence.js"
import { CRITERIA, type Criterion, type CriterionVerdict, type SrmVerdict, type Verdict } from "../model/verdict.js"
import { CANARY, STABLE, armTotal, checkCounts, sumOf } from "./counts.js"
import { unitOf } from "./criteria.js"
import { holds, verdictOn, weighCriterion, type Weighed } from "./criterion.js"
import { rampStrata, type Ramped } from "./ramp.js"
import { logSumExp } from "./special.js"
import { sampleRatio } from "./srm.js"
import type { TripState } from "./trip.js"
import { noDataReason } from "./wording.js"

export interface JudgeInput {
  readonly criteria: readonly Criterion[]
  readonly evidence: Evidence
  /** `evidence.strata[i + 1]` holds the sessions of `ramp[i]`. Basis points, 0–10 000. */
  readonly ramp: readonly { readonly weightBp: number }[]
  /** Whether the rollout compares both arms on the same calls. Fixes the weights of the sources before the data. */
  readonly shadow: boolean
  /** Chance that a canary within its limits is ever breached: all criteria, all looks, (0, 0.5]. */
  readonly falseAlarmRate: number
  /** When, ms since the epoch. */
  readonly at: number
  /** What `advanceTrip` made of the looks up to this one; without it the trip has no say. */
  readonly trip?: TripState | undefined
}

/**
 * Judge a canary by all evidence so far. May be asked as often as one likes: bounds hold at every look. Throws a
 * RangeError for evidence that is not made of counts and for criteria, ramp or rates out of range.
 */
export function judge(input: JudgeInput): Verdict {
  check(input)
  const { criteria, evidence, falseAlarmRate, shadow, trip } = input
  const { generation } = evidence
  const strata = rampStrata(evidence, input.ramp)
  const zero = isEmpty(strata)
  const weighed = criteria.map((criterion) => weighCriterion(criterion, { strata, generation, shadow, trip, zero }))
  const enforced = weighed.filter(({ criterion }) => criterion.mode === "enforce")

  // The average of e-values is one: the family needs no correction for their number, and each criterion's share is 1/m.
  const logEFamily = enforced.length === 0 ? 0 : logSumExp(enforced.map((w) => w.logE)) - Math.log(enforced.length)
  const breached = logEFamily >= -Math.log(falseAlarmRate)
  const cause = breached ? heaviest(enforced) : undefined
  const verdicts = weighed.map((w) => {
    const alpha = w.criterion.mode === "enforce" ? falseAlarmRate / enforced.length : falseAlarmRate
    return verdictOn(w, w === cause || w.logE >= -Math.log(alpha), alpha)
  })

  const srm = sampleRatio(strata)
  const decision = decide(verdicts, srm, cause, awaited(weighed, input.ramp), evidence.gap)
  return {
    ...decision,
    at: input.at,
    generation,
    criteria: verdicts,
    srm,
    sessions: countSessions(strata),
    falseAlarmRate,
    logEFamily,
    cause: cause?.criterion.name,
  }
}

/** A breach first, whatever else is wrong: neither a broken split nor a criterion without data may hide it. */
function decide(
  verdicts: readonly CriterionVerdict[],
  srm: SrmVerdict,
  cause: Weighed | undefined,
  awaited: ReadonlySet<string>,
  gap: Evidence["gap"],
): Pick<Verdict, "result" | "noData" | "reason"> {
  if (cause !== undefined) {
    const reason = verdicts.find(({ criterion }) => criterion === cause.criterion.name)!.reason
    return { result: "breach", reason: `${cause.criterion.name}: ${reason}` }
  }
  // Nor may what is missing: whoever does not answer may be whom the canary has hurt.
  if (gap !== undefined) {
    return { result: "inconclusive", noData: gap.noData, reason: `${noDataReason(gap.noData)}: ${gap.detail}` }
  }
  const all = verdicts.filter(({ mode }) => mode === "enforce")
  if (all.length === 0) return { result: "inconclusive", reason: "no criterion is enforced, so nothing can pass" }
  const enforced = all.filter(({ criterion }) => !awaited.has(criterion))
  const [first] = enforced
  if (first === undefined)
    return { result: "pass", reason: "every criterion waits for sessions that the canary serves" }
  if (first.noData !== undefined && enforced.every(({ noData }) => noData !== undefined)) {
    return { result: "inconclusive", noData: first.noData, reason: noDataReason(first.noData) }
  }
  if (srm.flagged) {
    const reason = `the ${srm.short} arm has fewer sessions than the ramp says, so a comparison cannot be trusted to pass`
    return { result: "inconclusive", reason }
  }
  const open = enforced.filter(holds)
  if (open[0] === undefined) return { result: "pass", reason: "every enforced criterion is within its limit" }
  const others = open.length > 1 ? ` (and ${open.length - 1} more)` : ""
  return { result: "inconclusive", reason: `${open[0].criterion}: ${open[0].reason}${others}` }
}

/**
 * Criteria that only served sessions can tell of, while nobody has been served: they cannot hold a shadow stage, or the
 * rollout would never get to what they judge. From the first served stage on they hold like any other.
 */
function awaited(weighed: readonly Weighed[], ramp: JudgeInput["ramp"]): ReadonlySet<string> {
  if (ramp.some(({ weightBp }) => weightBp > 0)) return new Set()
  return new Set(weighed.filter(({ pairs }) => pairs === null).map(({ criterion }) => criterion.name))
}

function heaviest(weighed: readonly Weighed[]): Weighed | undefined {
  return weighed.reduce<Weighed | undefined>(
    (best, w) => (best === undefined || w.logE > best.logE ? w : best),
    undefined,
  )
}

function isEmpty(strata: readonly Ramped[]): boolean {
  return strata.every(({ stratum }) => {
    const served = armTotal(stratum, STABLE, "evaluations") + armTotal(stratum, CANARY, "evaluations")
    return served === 0 && sumOf(stratum.pairs) === 0
  })
}

function countSessions(strata: readonly Ramped[]): Verdict["sessions"] {
  const sum = (pick: (ramped: Ramped) => number): number => strata.reduce((all, ramped) => all + pick(ramped), 0)
  return {
    stable: sum(({ stratum }) => armTotal(stratum, STABLE, "sessions")),
    canary: sum(({ stratum }) => armTotal(stratum, CANARY, "sessions")),
    paired: sum(({ stratum }) => sumOf(stratum.pairedSessions)),
  }
}

function check({ criteria, evidence, ramp, falseAlarmRate, at }: JudgeInput): void {
  if (!(falseAlarmRate > 0 && falseAlarmRate <= 0.5)) {
    throw new RangeError(`falseAlarmRate: must be above 0 and at most 0.5, got ${falseAlarmRate}`)
  }
  if (!Number.isFinite(at)) throw new RangeError(`at: must be ms since the epoch, got ${at}`)
  const names = new Set<string>()
  for (const { name, max } of criteria) {
    if (!CRITERIA.includes(name)) throw new RangeError(`criteria: unknown criterion ${String(name)}`)
    if (names.has(name)) throw new RangeError(`criteria: ${name} is named twice`)
    names.add(name)
    const most = unitOf(name) === "ms" ? Number.MAX_VALUE : 1
    if (!(max >= 0 && max <= most)) throw new RangeError(`criteria: max of ${name} must be 0 to ${most}, got ${max}`)
  }
  if (evidence.strata.length > ramp.length + 1) {
    throw new RangeError(`evidence: ${evidence.strata.length} strata do not belong to a ramp of ${ramp.length} entries`)
  }
  ramp.forEach(({ weightBp }, i) => {
    if (!(weightBp >= 0 && weightBp <= 10_000)) {
      throw new RangeError(`ramp[${i}].weightBp: must be 0 to 10000, got ${weightBp}`)
    }
  })
  checkCounts(evidence)
}
