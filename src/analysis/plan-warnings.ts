import type { CriterionName } from "../model/verdict.js"
import { unitOf } from "./criteria.js"
import type { PlannedSpec, StagePlan } from "./plan.js"

/** A change that would let a criterion be decided in time, by itself. */
export type PlanFix =
  /** A wider limit; in its own unit. */
  | { readonly change: "limit"; readonly to: number }
  /** A larger share for this stage, or a larger sample of sessions judged by both; basis points. */
  | { readonly change: "share" | "sample"; readonly to: number }
  /** A longer period, ms. */
  | { readonly change: "period"; readonly to: number }

/** A criterion that four of five rollouts cannot decide within the period of a stage, though the canary is as good as stable. */
export interface PlanWarning {
  /** Index in the stages of the spec. */
  readonly stage: number
  readonly criterion: CriterionName
  /** Infinity: never. */
  readonly needsMs: number
  readonly periodMs: number
  /** `max_stage_duration` ends before. */
  readonly overdue: boolean
  /** Each by itself; none when nothing of this kind would do. */
  readonly fixes: readonly PlanFix[]
}

const WIDER = [1.5, 2, 3, 5, 10, 20, 50]
const SHARES_BP = [500, 1000, 2500, 5000]
const SAMPLES_BP = [1000, 2500, 5000, 10_000]
const HOUR = 3_600_000

/** Warn of what cannot be decided in time, and find what would help by planning again. */
export function warningsOn(
  spec: PlannedSpec,
  stages: readonly StagePlan[],
  again: (changed: PlannedSpec) => readonly StagePlan[],
): readonly PlanWarning[] {
  return stages.flatMap(({ criteria, periodMs }, stage) =>
    criteria.flatMap(({ criterion, mode, pass }): PlanWarning[] => {
      if (mode !== "enforce" || pass === null || pass.likely.ms <= periodMs) return []
      const needsMs = pass.likely.ms
      const overdue = spec.maxStageMs !== null && needsMs > spec.maxStageMs
      return [{ stage, criterion, needsMs, periodMs, overdue, fixes: fixesFor(spec, stage, criterion, needsMs, again) }]
    }),
  )
}

function fixesFor(
  spec: PlannedSpec,
  stage: number,
  name: CriterionName,
  needsMs: number,
  again: (changed: PlannedSpec) => readonly StagePlan[],
): PlanFix[] {
  const inTime = (changed: PlannedSpec): boolean => {
    // Alone, for speed: what the others take could only give it more time.
    const planned = again({ ...changed, criteria: changed.criteria.filter((criterion) => criterion.name === name) })[
      stage
    ]
    const pass = planned?.criteria.find(({ criterion }) => criterion === name)?.pass
    return planned !== undefined && pass !== undefined && pass !== null && pass.likely.ms <= planned.periodMs
  }
  const { weightBp } = spec.stages[stage]!
  const next = spec.stages[stage + 1]?.weightBp ?? weightBp
  const max = spec.criteria.find((criterion) => criterion.name === name)!.max

  const sample = SAMPLES_BP.find((bp) => bp > spec.shadowSampleBp && inTime({ ...spec, shadowSampleBp: bp }))
  const share = SHARES_BP.find((bp) => bp > weightBp && weightBp > 0 && bp < next && inTime(withShare(spec, stage, bp)))
  const factor = WIDER.find((times) => isLimit(name, max * times) && inTime(withLimit(spec, name, max * times)))
  return [
    ...(sample === undefined ? [] : [{ change: "sample", to: sample } as const]),
    ...(share === undefined ? [] : [{ change: "share", to: share } as const]),
    ...(factor === undefined || max === 0
      ? []
      : [{ change: "limit", to: Number((max * factor).toPrecision(6)) } as const]),
    ...(Number.isFinite(needsMs) ? [{ change: "period", to: Math.ceil(needsMs / HOUR) * HOUR } as const] : []),
  ]
}

const isLimit = (name: CriterionName, max: number): boolean => unitOf(name) === "ms" || max <= 1

const withShare = (spec: PlannedSpec, at: number, weightBp: number): PlannedSpec => ({
  ...spec,
  stages: spec.stages.map((stage, i) => (i === at ? { ...stage, weightBp } : stage)),
})

const withLimit = (spec: PlannedSpec, name: CriterionName, max: number): PlannedSpec => ({
  ...spec,
  criteria: spec.criteria.map((criterion) => (criterion.name === name ? { ...criterion, max } : criterion)),
})
