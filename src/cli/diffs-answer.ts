import { z } from "zod"
import { CHANGES } from "../disagreements/group.js"
import { SAYS } from "../disagreements/labels.js"
import { OUTCOMES, SCAN_RESULTS } from "../model/decision.js"
import { answers, time } from "./answer.js"

const outcome = z.enum(OUTCOMES)
const side = z.object({ outcome, rule: z.string().optional() })
const group = { tool: z.string(), stable: side, canary: side, change: z.enum(CHANGES) }
const example = z.object({
  ...group,
  /** Of the decision in the log. */
  id: z.string(),
  /** Of its group. */
  group: z.string(),
  session: z.string(),
  at: time,
  input: z.string().nullable(),
  redacted: z.boolean(),
  reasons: z.object({ stable: z.string().nullable(), canary: z.string().nullable() }),
})
const label = z.object({
  group: z.string(),
  /** Null: of the group as a whole. */
  example: z.string().nullable(),
  says: z.enum(SAYS),
  by: z.string(),
  at: time,
  note: z.string().optional(),
})
const wrongRate = z.object({
  scope: z.string(),
  drawn: z.number(),
  labelled: z.number(),
  wrong: z.number(),
  disputed: z.number(),
  atMost: z.number(),
  atLeast: z.number(),
})

/** Where the releases disagree. */
export const DISAGREEMENTS = answers(
  "serin/disagreements/1",
  z.object({
    rollout: z.string(),
    generation: z.int(),
    at: time,
    sessions: z.number().nullable(),
    notes: z.array(z.string()),
    unit: z.literal("session"),
    tolerated: z.number(),
    falseDiscoveryRate: z.number(),
    groups: z.array(
      z.object({
        ...group,
        id: z.string(),
        calls: z.number(),
        sessions: z.number().nullable(),
        evidence: z
          .object({
            events: z.number(),
            trials: z.number(),
            logE: z.number(),
            weighed: z.number(),
            found: z.boolean(),
            lower: z.number(),
          })
          .nullable(),
        examples: z.array(example),
        labels: z.array(label),
      }),
    ),
    wrongRates: z.array(wrongRate),
  }),
)

const replayed = z.object({
  release: z.string(),
  digest: z.string().nullable(),
  outcome,
  rule: z.string().nullable(),
  reason: z.string().nullable(),
  errorType: z.string().nullable(),
  durationMs: z.number(),
  scan: z
    .object({
      result: z.enum(SCAN_RESULTS),
      findings: z.array(z.object({ scanner: z.string(), category: z.string(), message: z.string().optional() })),
    })
    .nullable(),
  logged: z.object({ release: z.string(), outcome, rule: z.string().optional() }).nullable(),
})

/** What both releases make of one call. */
export const CALL_REPLAY = answers(
  "serin/call-replay/1",
  z.object({
    id: z.string(),
    session: z.string().nullable(),
    at: time,
    fidelity: z.enum(["exact", "redacted", "none"]),
    replayed: z.object({ stable: replayed, canary: replayed }).nullable(),
    repeats: z.boolean().nullable(),
    notes: z.array(z.string()),
  }),
)

/** What was drawn and labelled, and that there is no state. */
export const DIFFS = answers(
  "serin/diffs/1",
  z.object({ rollout: z.string(), disagreements: z.null() }),
  z.object({
    rollout: z.string(),
    draw: z
      .object({
        scope: z.string(),
        place: z.string(),
        example: z.string(),
        group: z.string(),
        by: z.string(),
        at: time,
      })
      .nullable(),
    example: example.nullable(),
  }),
  z.object({ rollout: z.string(), label, wrongRates: z.array(wrongRate) }),
)
