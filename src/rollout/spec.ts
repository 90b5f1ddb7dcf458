import { describeProblems, SerinError } from "../errors.js"
import { CRITERIA, type Criterion } from "../model/verdict.js"
import { formatDuration } from "./duration.js"
import { firstNarrower } from "./eligibility.js"
import type { Gate } from "./gate.js"
import {
  FULL_BP,
  oneOf,
  percentBp,
  readBoolean,
  readCount,
  readCriteria,
  readFalseAlarmRate,
  readGate,
  readPeriod,
  readRolloutName,
  readVersion,
} from "./spec-fields.js"
import { readEligible, readPins } from "./spec-participants.js"
import { checkGate, checkIntent, checkSessions, unprovable } from "./spec-provable.js"
import { readServedStages } from "./spec-stages.js"
import { openYaml, type Read, type YamlMap, type YamlValue } from "./yaml-value.js"

/** One step of the ramp. */
export interface Stage {
  /** Share of new sessions, basis points. 0 = shadow, 10 000 = baking. */
  readonly weightBp: number
  /** Shortest time in this stage, ms. */
  readonly periodMs: number
  /** A human must approve before the stage is left for the next. */
  readonly approval: boolean
  /** Longest time in this stage, ms; absent: `maxStageMs` of the spec. */
  readonly maxMs?: number | undefined
  /** Who takes part among the sessions that begin in this stage; absent: `eligible` of the spec. */
  readonly eligible?: Eligible | undefined
}

/** A rollout as a human wrote it, with every default filled in. */
export interface RolloutSpec {
  readonly rollout: string
  readonly stable: string
  readonly canary: string
  /** From shadow to 100 %, strictly growing. */
  readonly stages: readonly Stage[]
  /** Share of sessions whose calls both releases judge, basis points. */
  readonly shadowSampleBp: number
  readonly criteria: readonly Criterion[]
  readonly onFailure: "rollback" | "hold" | "contain"
  readonly onInconclusive: "hold" | "extend" | "rollback"
  readonly onNoData: "hold" | "rollback"
  readonly minSessions: number
  /** Longest time in one stage before `onInconclusive` acts, ms; null = no limit. */
  readonly maxStageMs: number | null
  /** Chance that a canary within its limits is ever rolled back, whole rollout, all criteria, (0, 0.5]. */
  readonly falseAlarmRate: number
  /** A new weight counts for sessions that start this long after it was written, ms, so that every process knows it in time. */
  readonly activationDelayMs: number
  readonly intent: "tighten" | "loosen" | "refactor" | null
  /** Attributes that a session must have to take part, each with the values that will do; null = every session takes part. */
  readonly eligible: Eligible | null
  /** Sessions that keep to one arm, whatever is drawn, and are evidence for nothing; absent: none. */
  readonly pins?: Pins | undefined
  /** Most sessions that one process serves by the canary in a generation before 100 %; null = no limit. */
  readonly maxSessions: number | null
  /** What must be passed before it begins; absent: nothing. */
  readonly gate?: Gate | undefined
}

/** A value of a session's attribute. */
export type AttributeValue = string | number | boolean

/** Values that are taken, by attribute: a session has one of them for each. */
export type Eligible = Readonly<Record<string, readonly AttributeValue[]>>

/** Whom a pin is for: sessions by their ids, or those that have all of these attributes. */
export interface Pin {
  readonly sessions: readonly string[]
  readonly attributes: Eligible | null
}

/** A session that both are for is stable's. */
export interface Pins {
  readonly stable?: Pin | undefined
  readonly canary?: Pin | undefined
}

const DEFAULTS = {
  shadowMs: 600_000,
  shadowSampleBp: FULL_BP,
  minSessions: 50,
  falseAlarmRate: 0.05,
  activationDelayMs: 10_000,
  /** What a change that is meant to allow nothing new may newly allow: one call in a thousand. */
  newlyAllowedMax: 0.001,
}

const TOP_KEYS = ["rollout", "stable", "canary"]
const CANARY_KEYS = [
  "release",
  "traffic_percentage",
  "stages",
  "observation_period",
  "bake_period",
  "shadow",
  "acceptance_criteria",
  "on_failure",
  "on_inconclusive",
  "on_no_data",
  "min_sessions",
  "max_stage_duration",
  "false_alarm_rate",
  "activation_delay",
  "intent",
  "eligible",
  "pins",
  "max_sessions",
  "gate",
]

/**
 * Read the YAML of a rollout: `rollout`, `stable` and `canary`; all else lives inside `canary` and has a default.
 * Throws a `SerinError` (`SPEC_INVALID`) whose `problems` list everything wrong, each at `path:line:column`.
 */
export function parseSpec(text: string, { path }: { readonly path: string }): RolloutSpec {
  const { root, problems } = openYaml(text, path)
  const spec = root === undefined ? undefined : readSpec(root)
  const found = problems()
  if (spec !== undefined && found.length === 0) return spec
  throw new SerinError("SPEC_INVALID", `The rollout spec is invalid\n${describeProblems(found)}`, { problems: found })
}

function readSpec(root: YamlValue): RolloutSpec | undefined {
  const top = root.map(TOP_KEYS, { canary: CANARY_KEYS, "canary.acceptance_criteria": CRITERIA })
  const rollout = top?.require("rollout", readRolloutName, "write rollout: and a name")
  const stable = top?.require("stable", readVersion, "write stable: and the version that serves today")
  const canary = top?.require(
    "canary",
    (value) => value.map(CANARY_KEYS, { "canary.acceptance_criteria": CRITERIA, "the top level": TOP_KEYS }),
    "write canary: with release: and acceptance_criteria: in it",
  )
  if (canary === undefined) return undefined

  const release = canary.require("release", readVersion, "write release: and the version to try")
  if (release !== undefined && release === stable) canary.fail("release", `is the stable version itself, ${stable}`)
  const intent = canary.get("intent", oneOf("tighten", "loosen", "refactor")) ?? null
  const shadow = canary.get("shadow", readShadow) ?? SHADOW
  const served = readServedStages(canary)
  const stages = [...(shadow.stage === null ? [] : [shadow.stage]), ...served]
  const exposure = { stages, shadowSampleBp: shadow.sampleBp }
  const criteriaOf = readCriteria((name) => unprovable(name, exposure))
  const written = canary.require("acceptance_criteria", criteriaOf, "say what the canary must keep to")
  if (written !== undefined && !written.some((criterion) => criterion.mode === "enforce")) {
    canary.fail("acceptance_criteria", "must enforce at least one criterion", "without one, nothing stops a bad canary")
  }
  if (written !== undefined) checkIntent(canary, intent, written, exposure)
  const maxStageMs = readMaxStage(canary, stages)
  const eligible = canary.get("eligible", readEligible) ?? null
  checkWidening(canary, stages, eligible)
  const pins = canary.get("pins", readPins)
  const gate = canary.get("gate", readGate)
  if (gate !== undefined && written !== undefined) checkGate(canary, written)

  const rest = {
    onFailure: canary.get("on_failure", oneOf("rollback", "hold", "contain")) ?? "rollback",
    onInconclusive: canary.get("on_inconclusive", oneOf("hold", "extend", "rollback")) ?? "hold",
    onNoData: canary.get("on_no_data", oneOf("hold", "rollback")) ?? "hold",
    minSessions: canary.get("min_sessions", readCount) ?? DEFAULTS.minSessions,
    falseAlarmRate: canary.get("false_alarm_rate", readFalseAlarmRate) ?? DEFAULTS.falseAlarmRate,
    eligible,
    maxSessions: canary.get("max_sessions", readCount) ?? null,
    activationDelayMs: canary.get("activation_delay", readPeriod({ zero: true })) ?? DEFAULTS.activationDelayMs,
  }
  checkSessions(canary, rest, stages)
  if (rollout === undefined || stable === undefined || release === undefined || written === undefined) return undefined
  const criteria = withBudgets(written, intent)
  return {
    rollout,
    stable,
    canary: release,
    stages,
    shadowSampleBp: shadow.sampleBp,
    criteria,
    maxStageMs,
    intent,
    ...rest,
    ...(pins !== undefined && { pins }),
    ...(gate !== undefined && { gate }),
  }
}

interface Shadow {
  readonly stage: Stage | null
  readonly sampleBp: number
}

const SHADOW: Shadow = {
  stage: { weightBp: 0, periodMs: DEFAULTS.shadowMs, approval: false },
  sampleBp: DEFAULTS.shadowSampleBp,
}

/** `false` turns it off, `true` says the default, a map says more. */
const readShadow: Read<Shadow> = (value) => {
  if (value.scalar === true) return SHADOW
  if (value.scalar === false) return { stage: null, sampleBp: 0 }
  if (value.kind !== "map") return value.fail("must be true, false or a map of period, sample and approval")
  const map = value.map(["period", "max_duration", "sample", "approval"])
  const periodMs = map?.get("period", readPeriod()) ?? DEFAULTS.shadowMs
  const maxMs = map?.get("max_duration", readPeriod())
  const approval = map?.get("approval", readBoolean) ?? false
  const sampleBp = map?.get("sample", percentBp({ min: 0.01 })) ?? DEFAULTS.shadowSampleBp
  return { stage: { weightBp: 0, periodMs, approval, ...(maxMs !== undefined && { maxMs }) }, sampleBp }
}

function readMaxStage(canary: YamlMap, stages: readonly Stage[]): number | null {
  const maxStageMs = canary.get("max_stage_duration", readPeriod()) ?? null
  const longest = Math.max(0, ...stages.filter(({ maxMs }) => maxMs === undefined).map(({ periodMs }) => periodMs))
  if (maxStageMs !== null && maxStageMs < longest) {
    canary.fail("max_stage_duration", `is shorter than the longest period of a stage, ${formatDuration(longest)}`)
  }
  for (const { weightBp, periodMs, maxMs } of stages) {
    if (maxMs === undefined || maxMs >= periodMs) continue
    const key = weightBp === 0 ? "shadow" : "stages"
    const name = weightBp === 0 ? "max_duration" : `max_duration of the stage at ${weightBp / 100}`
    canary.fail(key, `${name} is shorter than its period, ${formatDuration(periodMs)}`)
  }
  return maxStageMs
}

/** A ramp only adds sessions: whoever may take part in a stage may in the next. */
function checkWidening(canary: YamlMap, stages: readonly Stage[], eligible: RolloutSpec["eligible"]): void {
  const narrower = stages[firstNarrower(stages, eligible)]
  if (narrower === undefined) return
  const message = `the stage at ${narrower.weightBp / 100} shuts out sessions that the stage before it takes in`
  canary.fail("stages", message, "give it an `eligible` that has them all, or leave out the `eligible` around it")
}

/** A change that is meant to allow nothing new is wrong when it does. */
function withBudgets(criteria: readonly Criterion[], intent: RolloutSpec["intent"]): readonly Criterion[] {
  const named = criteria.some((criterion) => criterion.name === "newly_allowed_rate_max")
  if (named || intent === null || intent === "loosen") return criteria
  return [...criteria, { name: "newly_allowed_rate_max", max: DEFAULTS.newlyAllowedMax, mode: "enforce" }]
}
