import { plan, type PlannedSpec } from "../analysis/plan.js"
import type { Traffic } from "../analysis/workload.js"
import type { Criterion, CriterionName } from "../model/verdict.js"
import type { Measured } from "./measure.js"

/** A limit for one criterion that this release would keep to, and that this traffic can show. */
export interface Margin {
  readonly criterion: CriterionName
  /** As the rollout file has it. */
  readonly written: number
  /** Null: none of the limits that are tried can be shown in time, or nothing recorded tells of this criterion. */
  readonly suggested: number | null
  /** Plain sentences. */
  readonly reasons: readonly string[]
}

/** Limits that people write. */
const LIMITS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2]

/** Suggest the smallest limit that stable itself keeps to, and that a good canary is shown to keep to within the first period. */
export function suggestMargins(spec: PlannedSpec, measured: Measured, traffic: Traffic): readonly Margin[] {
  return spec.criteria.map((criterion) => {
    const { name, max } = criterion
    if (/latency|scan|alert/.test(name)) {
      const reason = "recorded calls tell nothing of it: measure where it runs"
      return { criterion: name, written: max, suggested: null, reasons: [reason] }
    }
    const floor = ownRate(name, measured)
    const reasons = [...noiseReasons(name, measured, floor)]
    if (max === 0 && floor === 0) {
      const reason = "so 0 can be kept; it stops at the first event and never passes"
      return { criterion: name, written: max, suggested: 0, reasons: [...reasons, reason] }
    }
    const above = LIMITS.filter((limit) => limit > floor)
    const suggested = above.find((limit) => isShown(spec, criterion, limit, traffic)) ?? null
    reasons.push(trafficReason(spec, suggested, above[0], traffic))
    if (suggested !== null && max < suggested) reasons.push(`${max} is too tight for this release and this traffic`)
    return { criterion: name, written: max, suggested, reasons }
  })
}

/** What this release does to the criterion when nothing has changed, as far as it may be in truth. */
function ownRate(name: CriterionName, { rates, churn }: Measured): number {
  if (name === "error_rate_max") return rates.error
  if (!name.startsWith("newly_")) return 0
  return churn.rate > 0 ? churn.atMost / 2 : 0
}

function noiseReasons(name: CriterionName, { rates, churn }: Measured, floor: number): readonly string[] {
  if (name === "error_rate_max") return [`the release itself fails in ${percent(rates.error)} of calls`]
  if (churn.asked < 2) return ["its policy is stateful, so it was not asked twice"]
  if (churn.rate === 0) return ["asked twice, the release never disagreed with itself"]
  const own = `asked twice, it disagreed with itself on ${percent(churn.rate)} of calls, at most ${percent(churn.atMost)}`
  return name.startsWith("newly_") ? [`${own}: about half of that, ${percent(floor)}, is no change of yours`] : [own]
}

function trafficReason(
  spec: PlannedSpec,
  suggested: number | null,
  least: number | undefined,
  { sessionsPerMinute }: Traffic,
): string {
  const rate = `${Number(sessionsPerMinute.toPrecision(3))} sessions a minute`
  const hours = Number(((longest(spec)?.periodMs ?? 0) / 3_600_000).toPrecision(3))
  if (suggested === null) return `no limit up to 0.2 is shown in ${hours} h at ${rate}`
  if (suggested === least) return `${rate} are enough to show it in ${hours} h`
  return `at ${rate} it is the smallest of the usual limits that is shown in ${hours} h`
}

/** In the stage that has most time: the first of those that are as long. */
function longest({ stages }: PlannedSpec): PlannedSpec["stages"][number] | undefined {
  return stages.reduce<PlannedSpec["stages"][number] | undefined>(
    (best, stage) => (stage.weightBp < 10_000 && (best === undefined || stage.periodMs > best.periodMs) ? stage : best),
    undefined,
  )
}

function isShown(spec: PlannedSpec, criterion: Criterion, max: number, traffic: Traffic): boolean {
  const stage = longest(spec)
  if (stage === undefined) return false
  const alone = { ...spec, stages: [stage], criteria: [{ ...criterion, max, mode: "enforce" as const }] }
  const pass = plan(alone, traffic, { effects: [1] }).stages[0]?.criteria[0]?.pass
  return pass !== undefined && pass !== null && pass.likely.ms <= stage.periodMs
}

const percent = (rate: number): string => `${Number((rate * 100).toPrecision(3))} %`
