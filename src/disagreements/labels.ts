import { z } from "zod"
import { describeProblems, SerinError, type Problem } from "../errors.js"
import { exactly, parseDocument } from "../rollout/json-document.js"
import { ROLLOUT_NAME } from "../model/names.js"

/** Whether the canary is right to answer otherwise. */
export const SAYS = ["right", "wrong"] as const
export type Says = (typeof SAYS)[number]

/** A disagreement that was drawn at random, to be labelled. It is written down before anybody has seen it. */
export interface Draw {
  /** What it was drawn from: `all` disagreements, or those of a group, by its id. */
  readonly scope: string
  /** The session's place in the draw, 16 hexadecimals; the session itself is not told. */
  readonly place: string
  /** Id of the decision in the log. */
  readonly example: string
  /** Id of its group. */
  readonly group: string
  readonly by: string
  /** Ms since the epoch. */
  readonly at: number
}

/** What one person says of an example, or of a whole group. */
export interface Label {
  readonly group: string
  /** Null: of the group as a whole. */
  readonly example: string | null
  readonly says: Says
  readonly by: string
  /** Ms since the epoch. */
  readonly at: number
  readonly note?: string | undefined
}

/** What people said of the disagreements of one generation: the document `<rollout>/labels`. */
export interface Labels {
  readonly format: "serin/labels/1"
  readonly rollout: string
  readonly generation: number
  readonly draws: readonly Draw[]
  readonly labels: readonly Label[]
}

export const MOST_DRAWS = 2000
export const MOST_LABELS = 4000
export const MAX_NOTE = 500
const MAX_NAME = 200
const MAX_EXAMPLE = 128
/** All of them, each as large as it may be, with JSON's escapes. UTF-8 bytes. */
const MAX_LABELS_BYTES = 8 * 1024 * 1024

export const GROUP_ID = /^[0-9a-f]{10}$/

const time = z.number().min(-8.64e15).max(8.64e15)
const name = z.string().min(1).max(MAX_NAME)
const group = z.string().regex(GROUP_ID)
const example = z.string().min(1).max(MAX_EXAMPLE)
const LABEL = exactly<Label>({
  group,
  example: example.nullable(),
  says: z.enum(SAYS),
  by: name,
  at: time,
  note: z.string().max(MAX_NOTE).optional(),
})
const DRAW = exactly<Draw>({
  scope: z.union([z.literal("all"), group]),
  place: z.string().regex(/^[0-9a-f]{16}$/),
  example,
  group,
  by: name,
  at: time,
})
const LABELS = exactly<Labels>({
  format: z.literal("serin/labels/1"),
  rollout: z.string().regex(ROLLOUT_NAME),
  generation: z.int().min(0),
  draws: z.array(DRAW).max(MOST_DRAWS),
  labels: z.array(LABEL).max(MOST_LABELS),
})

/** Read labels, from a world that may be hostile. Throws `LABELS_INVALID`. */
export function parseLabels(text: string): Labels {
  return parseDocument(text, { noun: "labels", maxBytes: MAX_LABELS_BYTES, schema: LABELS, invalid })
}

/** Check a label before it is kept. Throws `LABELS_INVALID`, which names the field. */
export function checkLabel(label: Label): Label {
  return parseDocument(JSON.stringify(label), { noun: "label", maxBytes: 16_384, schema: LABEL, invalid })
}

const invalid = (problems: readonly Problem[], cause?: unknown): SerinError =>
  new SerinError("LABELS_INVALID", `Labels are invalid\n${describeProblems(problems)}`, { problems, cause })

/** What there is before anybody has said anything. */
export const noLabels = (rollout: string, generation: number): Labels => ({
  format: "serin/labels/1",
  rollout,
  generation,
  draws: [],
  labels: [],
})
