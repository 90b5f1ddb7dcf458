import { z } from "zod"
import type { Traffic } from "../analysis/workload.js"
import { CRITERIA } from "../model/verdict.js"
import { answers, type AnswerOf } from "./answer.js"

const criterion = z.enum(CRITERIA)
/** Null: it never comes to pass. */
const span = z.object({ sessions: z.number().nullable(), ms: z.number().nullable() })
/** Half of all rollouts, and four of five. */
const duration = z.object({ typical: span, likely: span })
const from = z.string().optional()
const sources = {
  sessionsPerMinute: from,
  callsPerSession: from,
  kish: from,
  rates: from,
  churn: from,
  correlation: from,
  slowShare: from,
} as const satisfies Record<keyof Traffic, unknown>

export const PLAN = answers(
  "serin/plan/1",
  z.object({
    rollout: z.string(),
    traffic: z.object({
      sessionsPerMinute: z.number(),
      callsPerSession: z.number(),
      kish: z.number(),
      rates: z.object({
        allow: z.number(),
        deny: z.number(),
        escalate: z.number(),
        error: z.number(),
        flagged: z.number(),
        alerts: z.number(),
      }),
      churn: z.number(),
      correlation: z.number(),
      slowShare: z.number(),
    }),
    /** Where each of these is known from; what is not named is a guess. */
    trafficFrom: z.object(sources),
    stages: z.array(
      z.object({
        weightBp: z.int(),
        periodMs: z.number(),
        criteria: z.array(
          z.object({
            criterion,
            mode: z.enum(["enforce", "notify"]),
            max: z.number(),
            source: z.enum(["arms", "pairs"]),
            pass: duration.nullable(),
            detect: z.array(
              z.object({ effect: z.number(), exposed: z.number().nullable(), typical: span, likely: span }),
            ),
          }),
        ),
        leave: duration,
        last: z.enum([...CRITERIA, "min_sessions", "period"]),
      }),
    ),
    typicalMs: z.number().nullable(),
    likelyMs: z.number().nullable(),
    warnings: z.array(
      z.object({
        stage: z.int(),
        criterion,
        needsMs: z.number().nullable(),
        periodMs: z.number(),
        overdue: z.boolean(),
        fixes: z.array(z.object({ change: z.enum(["limit", "share", "sample", "period"]), to: z.number() })),
      }),
    ),
  }),
)
export type PlanAnswer = AnswerOf<typeof PLAN>
