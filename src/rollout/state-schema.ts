import { z } from "zod"
import { CRITERIA, type Criterion, type CriterionVerdict, type SrmVerdict, type Verdict } from "../model/verdict.js"
import { counter } from "./counter.js"
import { firstNarrower } from "./eligibility.js"
import { DIGEST, type Digests } from "./digests.js"
import { exactly } from "./json-document.js"
import { ROLLOUT_NAME, VERSION } from "../model/names.js"
import type { Eligible, Pin, Pins, RolloutSpec, Stage } from "./spec.js"
import type { Actor, Approval, Hold, RampEntry, RolloutState, Transition } from "./state.js"

/** Farthest from the epoch that a `Date` can be, ms. */
const MAX_TIME = 8.64e15
const MAX_GENERATION = 2 ** 32 - 1
const time = z.number().min(-MAX_TIME).max(MAX_TIME)
const span = z.number().min(0).max(MAX_TIME)
const basisPoints = z.int().min(0).max(10_000)
const count = z.number().min(0)
const text = z.string().max(4000)
const digest = z.string().regex(DIGEST)
const version = z.string().regex(VERSION)
const contentHash = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const index = z.int().min(0).max(63)
const result = z.enum(["breach", "pass", "inconclusive"])
const mode = z.enum(["enforce", "notify"])
const noData = z.enum(["zero", "missing", "stale", "errored", "insufficient"]).optional()
const perArm = z.strictObject({ stable: count, canary: count })
const number = z.number()
const maybe = z.number().nullable()

const eligible: z.ZodType<Eligible> = z.record(
  z.string().max(256),
  z
    .array(z.union([z.string().max(1024), z.number(), z.boolean()]))
    .min(1)
    .max(256),
)
const pin = exactly<Pin>({ sessions: z.array(z.string().min(1).max(256)).max(256), attributes: eligible.nullable() })
const stage = exactly<Stage>({
  weightBp: basisPoints,
  periodMs: span,
  approval: z.boolean(),
  maxMs: span.optional(),
  eligible: eligible.optional(),
})
const criterion = exactly<Criterion>({ name: z.enum(CRITERIA), max: count, mode })

const specShape = exactly<RolloutSpec>({
  rollout: z.string().regex(ROLLOUT_NAME),
  stable: version,
  canary: version,
  stages: z.array(stage).min(1).max(64),
  shadowSampleBp: basisPoints,
  criteria: z.array(criterion).min(1).max(CRITERIA.length),
  onFailure: z.enum(["rollback", "hold", "contain"]),
  onInconclusive: z.enum(["hold", "extend", "rollback"]),
  onNoData: z.enum(["hold", "rollback"]),
  minSessions: z.int().min(1),
  maxStageMs: span.nullable(),
  falseAlarmRate: z.number().gt(0).max(0.5),
  activationDelayMs: span,
  intent: z.enum(["tighten", "loosen", "refactor"]).nullable(),
  eligible: eligible.nullable(),
  pins: exactly<Pins>({ stable: pin.optional(), canary: pin.optional() }).optional(),
  maxSessions: z.int().min(1).nullable(),
  gate: z.strictObject({ replay: z.string().min(1).max(1024) }).optional(),
})

/** Exported for what tells of a spec. */
export const SPEC_SCHEMA = specShape.superRefine((spec, context) => {
  const fail = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message })
  if (spec.canary === spec.stable) fail(["canary"], "is the stable version itself")
  if (spec.stages.at(-1)?.weightBp !== 10_000) fail(["stages"], "must end at 10000 basis points")
  for (const i of firstNotAbove(spec.stages.map((stage) => stage.weightBp))) {
    fail(["stages", i, "weightBp"], "must be above the stage before it")
  }
  const narrower = firstNarrower(spec.stages, spec.eligible)
  if (narrower >= 0) fail(["stages", narrower, "eligible"], "shuts out sessions of the stage before it")
  if (new Set(spec.criteria.map(({ name }) => name)).size < spec.criteria.length) fail(["criteria"], "names one twice")
  if (!spec.criteria.some(({ mode }) => mode === "enforce")) fail(["criteria"], "must enforce at least one")
  for (const [i, { name, max }] of spec.criteria.entries()) {
    if (!name.includes("latency") && max > 1) fail(["criteria", i, "max"], "must be a rate in [0, 1]")
  }
})

const criterionVerdict = exactly<CriterionVerdict>({
  criterion: z.enum(CRITERIA),
  mode,
  result,
  unit: z.enum(["rate", "ms"]),
  max: number,
  method: z.enum(["arms", "pairs"]),
  estimate: maybe,
  lower: maybe,
  upper: maybe,
  alphaBreach: number,
  alphaPass: number,
  logEWorse: maybe,
  logEWithin: maybe,
  evaluations: perArm,
  sessions: perArm,
  pairs: count,
  sources: z
    .array(z.strictObject({ source: z.enum(["arms", "pairs", "trip"]), weight: number, logE: number }))
    .max(8)
    .optional(),
  effectiveSize: maybe,
  quantiles: z.strictObject({ stableMs: number, canaryMs: number }).optional(),
  noData,
  reason: text,
})

const srm = exactly<SrmVerdict>({
  flagged: z.boolean(),
  logBayesFactor: number,
  observed: perArm,
  expected: perArm,
  short: z.enum(["stable", "canary"]).optional(),
})

/** Exported for reports: they carry verdicts as well. */
export const VERDICT_SCHEMA = exactly<Verdict>({
  result,
  at: time,
  generation: z.int(),
  criteria: z.array(criterionVerdict).max(32),
  srm,
  sessions: z.strictObject({ stable: count, canary: count, paired: count }),
  falseAlarmRate: number,
  logEFamily: number,
  cause: z.enum(CRITERIA).optional(),
  noData,
  reason: text,
})

const actor = exactly<Actor>({ kind: z.enum(["human", "controller"]), id: z.string().max(256) })
const hold = exactly<Hold>({
  reason: z.enum(["paused", "breach", "no_data", "srm", "sample", "inconclusive", "approval", "releases", "fuse"]),
  since: time,
  note: text.optional(),
})
const approval = exactly<Approval>({ stage: index, by: z.string().max(256), reason: text, at: time })
const rampEntry = exactly<RampEntry>({ at: time, weightBp: basisPoints, stage: index })
/** Exported for lists of them. */
export const TRANSITION_SCHEMA = exactly<Transition>({
  event: z.string().regex(/^[a-z_]{1,32}$/),
  at: time,
  actor,
  reason: text,
  verdict: VERDICT_SCHEMA.optional(),
  record: contentHash.optional(),
  previous: contentHash.optional(),
  base: contentHash.optional(),
})

const stateShape = exactly<RolloutState>({
  format: z.literal("serin/state/1"),
  rollout: z.string().regex(ROLLOUT_NAME),
  revision: counter(1),
  // As packed evidence has it.
  generation: z.int().min(0).max(MAX_GENERATION, `is above ${MAX_GENERATION}, which nobody who counts has come to`),
  epoch: counter(0),
  assign: z.literal("murmur3-x86-32/1"),
  salt: z.string().min(1).max(256),
  spec: SPEC_SCHEMA,
  stable: version,
  canary: version.nullable(),
  digests: exactly<Digests>({ stable: digest.optional(), canary: digest.optional() }).optional(),
  ramp: z.array(rampEntry).max(64),
  holds: z.array(hold).max(16),
  approvals: z.array(approval).max(64),
  kill: z.enum(["off", "stable", "deny"]),
  ended: z.strictObject({ kind: z.enum(["promoted", "rolled_back", "contained"]), at: time }).nullable(),
  last: TRANSITION_SCHEMA,
})

/** The document and its rules: whatever passes is a state that some history of events could have led to. */
export const STATE_SCHEMA = stateShape.superRefine((state, context) => {
  const fail = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message })
  const { spec, ramp, canary } = state
  if (state.rollout !== spec.rollout) fail(["rollout"], `is not the spec's, ${spec.rollout}`)
  if (state.stable !== spec.stable) fail(["stable"], `is not the spec's, ${spec.stable}`)
  if (canary !== null && canary !== spec.canary) fail(["canary"], `is not the spec's, ${spec.canary}`)
  if ((canary === null) !== (state.generation === 0)) fail(["canary"], "is null exactly before the first generation")
  if ((canary === null) !== (ramp.length === 0)) fail(["ramp"], "is empty exactly before the first generation")
  if (canary === null && state.digests?.canary !== undefined) fail(["digests", "canary"], "is of no canary")
  if (canary === null && state.ended !== null) fail(["ended"], "what never began cannot have ended")
  if (state.ended?.kind === "promoted" && ramp.at(-1)?.weightBp !== 10_000) fail(["ended"], "is promoted below 100 %")
  for (const [i, { at, weightBp, stage }] of ramp.entries()) {
    if (spec.stages[stage]?.weightBp !== weightBp) fail(["ramp", i, "weightBp"], "is not that of its stage")
    if (at < (ramp[i - 1]?.at ?? at)) fail(["ramp", i, "at"], "must not be before the entry before it")
  }
  for (const i of firstNotAbove(ramp.map((entry) => entry.stage))) {
    fail(["ramp", i, "stage"], "must be above the entry before it")
  }
  if (new Set(state.holds.map(({ reason }) => reason)).size < state.holds.length)
    fail(["holds"], "names a reason twice")
  for (const [i, { stage }] of state.approvals.entries()) {
    if (stage >= spec.stages.length) fail(["approvals", i, "stage"], "is no stage of the spec")
  }
}) satisfies z.ZodType<RolloutState>

/** Indices of numbers that are not above the one before them. */
function firstNotAbove(numbers: readonly number[]): readonly number[] {
  return numbers.flatMap((value, i) => (value > (numbers[i - 1] ?? Number.NEGATIVE_INFINITY) ? [] : [i]))
}
