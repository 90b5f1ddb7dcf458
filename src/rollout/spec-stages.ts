import { FULL_BP, percentBp, readBoolean, readPeriod } from "./spec-fields.js"
import { readEligible } from "./spec-participants.js"
import type { Eligible, Stage } from "./spec.js"
import type { Read, YamlMap } from "./yaml-value.js"

/** The ramp of a spec that writes no `stages`: those above `traffic_percentage` follow it. Basis points. */
const LADDER_BP = [500, 2500, 5000, 10_000]
const MAX_STAGES = 32
const OBSERVATION_MS = 3_600_000

interface WrittenStage {
  readonly weightBp: number
  readonly periodMs?: number | undefined
  readonly approval?: boolean | undefined
  readonly maxMs?: number | undefined
  readonly eligible?: Eligible | undefined
}

/** Read the stages that serve sessions: `stages`, or the default ladder from `traffic_percentage` on. */
export function readServedStages(canary: YamlMap): readonly Stage[] {
  const observationMs = canary.get("observation_period", readPeriod()) ?? OBSERVATION_MS
  const bakeMs = canary.get("bake_period", readPeriod({ zero: true }))
  const firstBp = canary.get("traffic_percentage", percentBp({ min: 0.01 }))
  const stages = canary.get("stages", readStages) ?? ladder(firstBp)
  const first = stages[0]?.weightBp
  if (first !== undefined && firstBp !== undefined && first !== firstBp) {
    const fix = `write traffic_percentage: ${first / 100}, or leave one of the two out`
    canary.fail("traffic_percentage", `is ${firstBp / 100} and the first of \`stages\` is ${first / 100}`, fix)
  }
  const last = stages.at(-1)
  if (last?.periodMs !== undefined && bakeMs !== undefined && last.periodMs !== bakeMs) {
    canary.fail("bake_period", "and the period of the stage at 100 differ", "write one of the two")
  }
  return stages.map(({ weightBp, periodMs, approval = false, maxMs, eligible }) => {
    const period = weightBp === FULL_BP ? (bakeMs ?? observationMs) : observationMs
    const own = { ...(maxMs !== undefined && { maxMs }), ...(eligible !== undefined && { eligible }) }
    return { weightBp, periodMs: periodMs ?? period, approval, ...own }
  })
}

function ladder(firstBp: number | undefined): readonly WrittenStage[] {
  if (firstBp === undefined) return LADDER_BP.map((weightBp) => ({ weightBp }))
  return [firstBp, ...LADDER_BP.filter((bp) => bp > firstBp)].map((weightBp) => ({ weightBp }))
}

const readStages: Read<readonly WrittenStage[]> = (value) => {
  const items = value.list()
  if (items === undefined) return undefined
  if (items.length > MAX_STAGES) return value.fail(`must be at most ${MAX_STAGES} stages, got ${items.length}`)
  const stages: WrittenStage[] = []
  let unread = false
  for (const item of items) {
    const stage = readStage(item)
    if (stage === undefined) {
      unread = true
      continue
    }
    const previous = stages.at(-1)
    if (previous !== undefined && stage.weightBp <= previous.weightBp) {
      item.fail(`must be above the stage before it, ${previous.weightBp / 100}, got ${stage.weightBp / 100}`)
    }
    stages.push(stage)
  }
  if (!unread && stages.at(-1)?.weightBp !== FULL_BP) {
    value.fail("must end at 100: a rollout that never gets there is never done", "write 100 as the last stage")
  }
  return unread ? undefined : stages
}

const readStage: Read<WrittenStage> = (value) => {
  const share: Read<number> = (value) =>
    value.scalar === 0
      ? value.fail("must be above 0", "the stage at 0 percent is `shadow`, and comes first by itself")
      : percentBp({ min: 0.01 })(value)
  if (value.kind !== "map") {
    const weightBp = share(value)
    return weightBp === undefined ? undefined : { weightBp }
  }
  const map = value.map(["percentage", "period", "max_duration", "approval", "eligible"])
  const weightBp = map?.require("percentage", share, "write percentage: and a number")
  const periodMs = map?.get("period", readPeriod())
  const maxMs = map?.get("max_duration", readPeriod())
  const approval = map?.get("approval", readBoolean)
  const eligible = map?.get("eligible", readEligible)
  return weightBp === undefined ? undefined : { weightBp, periodMs, approval, maxMs, eligible }
}
