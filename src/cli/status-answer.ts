import { z } from "zod"
import { REPORT_SCHEMA } from "../operate/stored-report.js"
import { STATE_SCHEMA } from "../rollout/state-schema.js"
import { answers, OUTLOOK, PHASE } from "./answer.js"

/** Where a rollout stands; of `watch`, also that it cannot be read. */
export const STATUS = answers(
  "serin/status/1",
  z.object({
    rollout: z.string(),
    state: STATE_SCHEMA,
    phase: PHASE,
    report: REPORT_SCHEMA.nullable(),
    /** Since the report was written, ms; null without one. */
    reportAgeMs: z.number().nullable(),
    /** Why there is a report that cannot be shown. */
    reportProblem: z.string().nullable(),
    /** False: the rollout is under way, and no process is judging it. */
    judged: z.boolean(),
    outlook: z.array(OUTLOOK),
    exitCode: z.int(),
  }),
  z.object({
    rollout: z.string(),
    state: z.null(),
    phase: z.null(),
    report: z.null(),
    outlook: z.array(OUTLOOK).max(0),
    exitCode: z.int(),
  }),
  z.object({ rollout: z.string(), problem: z.string() }),
)
