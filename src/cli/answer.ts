import { z } from "zod"
import { CRITERIA } from "../model/verdict.js"
import { OUTCOMES } from "../model/decision.js"
import { STATE_SCHEMA } from "../rollout/state-schema.js"

/** A document that commands write with `--json`. Its schema is what they answer by, and what is published. */
export interface Answers<T = unknown> {
  /** `serin/status/1`: the number goes up when a field goes away or comes to mean something else; a new field leaves it. */
  readonly format: string
  readonly schema: z.ZodType
  /** For the types alone. */
  readonly told?: Told<T>
}

/** The same, for writing only. */
export type Told<T> = T extends object ? { readonly [K in keyof T]: Told<T[K]> } : T

/** What is answered by a document. */
export type AnswerOf<D> = D extends Answers<infer T> ? T : never

/** Say what a command answers: one of these shapes, each of which begins with the format. */
export function answers<const V extends readonly [z.ZodObject, ...z.ZodObject[]]>(
  format: string,
  ...variants: V
): Answers<z.input<V[number]>> {
  const [first, ...others] = variants.map((shape) => z.object({ format: z.literal(format), ...shape.shape }))
  return { format, schema: others.length === 0 ? first! : z.union([first!, ...others]) }
}

/** When, ms since the epoch. */
export const time = z.number()
const stage = z.int()

export const PHASE = z.union([
  z.object({ phase: z.literal("idle") }),
  z.object({ phase: z.literal("canary"), since: time, stage, weightBp: z.int() }),
  z.object({ phase: z.enum(["shadow", "baking"]), since: time, stage }),
  z.object({ phase: z.enum(["promoted", "rolled_back", "contained"]), at: time }),
  z.object({ phase: z.literal("killed"), at: time, position: z.enum(["stable", "deny"]) }),
])

const side = z.object({ outcome: z.enum(OUTCOMES), rule: z.string().optional() })
/** Calls that the releases answered otherwise. */
export const DIFF = z.object({ action: z.string(), stable: side, canary: side, calls: z.number() })

const criterion = z.enum(CRITERIA)
/** When a criterion that is not settled will be. */
export const OUTLOOK = z.union([
  z.object({ criterion, heading: z.enum(["pass", "breach"]), sessions: z.number(), ms: z.number() }),
  z.object({ criterion, heading: z.enum(["at_limit", "not_here", "no_rate"]) }),
])

/** What a command that changes a rollout did. */
export const CHANGE = answers(
  "serin/change/1",
  z.object({
    /** False: there was nothing to change. */
    changed: z.boolean(),
    rollout: z.string(),
    revision: z.int(),
    phase: PHASE,
    state: STATE_SCHEMA,
    /** The command that takes it back; null: nothing was changed. */
    undo: z.string().nullable(),
  }),
)

/** What went wrong, of any command. */
export const FAILURE = answers(
  "serin/error/1",
  z.object({
    error: z.object({
      code: z.string(),
      message: z.string(),
      problems: z.array(z.object({ where: z.string(), message: z.string(), fix: z.string().optional() })),
    }),
  }),
)

/** What made a key pair. */
export const KEY_PAIR = answers(
  "serin/key-pair/1",
  z.object({ privateKey: z.string(), publicKey: z.string(), keyid: z.string(), encrypted: z.boolean() }),
)
