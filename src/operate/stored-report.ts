import { z } from "zod"
import { errorText } from "../model/error-text.js"
import { reportKey } from "../controller/keys.js"
import { COURSE_SCHEMA, FIGURES_SCHEMA } from "../controller/report-parts.js"
import type { Report } from "../controller/report.js"
import { OUTCOMES } from "../model/decision.js"
import { VERDICT_SCHEMA } from "../rollout/state-schema.js"
import type { ReadStore } from "../rollout/store.js"

/** The last report, or why there is none to show. */
export interface StoredReport {
  readonly report: Report | null
  readonly problem?: string
}

const side = z.object({ outcome: z.enum(OUTCOMES), rule: z.string().max(256).optional() })
/** Exported for what tells of a report. */
export const REPORT_SCHEMA = z.object({
  format: z.literal("serin/report/1"),
  rollout: z.string(),
  revision: z.int().min(0),
  generation: z.int().min(0),
  by: z.string().max(1024).optional(),
  at: z.number().min(-8.64e15).max(8.64e15),
  since: z.number().min(-8.64e15).max(8.64e15).optional(),
  verdict: VERDICT_SCHEMA.nullable(),
  diffs: z
    .array(
      z.object({
        action: z.string(),
        stable: side,
        canary: side,
        calls: z.number().min(0),
        sessions: z.number().min(0).optional(),
      }),
    )
    .max(1000),
  // Of what is only drawn, what cannot be read is left out.
  course: COURSE_SCHEMA.optional().catch(undefined),
  figures: FIGURES_SCHEMA.optional().catch(undefined),
  problem: z.string().optional(),
}) satisfies z.ZodType<Report>

/** Read the report that the judging process left. What is wrong with it is told, and stops nothing: only display depends on it. */
export async function readReport(store: Pick<ReadStore, "get">, rollout: string): Promise<StoredReport> {
  try {
    const found = await store.get(reportKey(rollout))
    if (found === null) return { report: null }
    const parsed = REPORT_SCHEMA.safeParse(JSON.parse(found.envelope))
    if (parsed.success) return { report: parsed.data }
    const [issue] = parsed.error.issues
    return { report: null, problem: `${issue?.path.join(".") || "report"}: ${issue?.message ?? "invalid"}` }
  } catch (error) {
    return { report: null, problem: errorText(error) }
  }
}
