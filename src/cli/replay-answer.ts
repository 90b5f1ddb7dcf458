import { z } from "zod"
import { ARMS, OUTCOMES, SCAN_RESULTS } from "../model/decision.js"
import { CRITERIA } from "../model/verdict.js"
import { answers } from "./answer.js"

const outcome = z.enum(OUTCOMES)
const result = z.enum(SCAN_RESULTS)
const errorType = z.enum(["timeout", "throw", "invalid", "unavailable"])
const quantiles = z.object({ p50Ms: z.number(), p90Ms: z.number(), p99Ms: z.number() }).nullable()
const release = z.object({ version: z.string(), digest: z.string().nullable(), latency: quantiles })
const side = z.object({ outcome, rule: z.string().optional(), errorType: errorType.optional() })
const scanSide = z.object({ result, scanner: z.string().optional(), category: z.string().optional() })

const groups = <K extends z.ZodType>(of: K) =>
  z.array(
    z.object({
      of,
      calls: z.number(),
      sessions: z.number(),
      examples: z.array(
        z.object({
          session: z.string(),
          call: z.number(),
          input: z.string(),
          stable: z.string().optional(),
          canary: z.string().optional(),
        }),
      ),
    }),
  )

/** The report of `replayCalls`, as it is. */
export const REPLAY = answers(
  "serin/replay/1",
  z.object({
    stable: release,
    canary: release,
    calls: z.number(),
    sessions: z.number(),
    differing: z.number(),
    /** By stable's outcome, then by the canary's. */
    outcomes: z.record(outcome, z.record(outcome, z.number())),
    differences: groups(z.object({ tool: z.string(), stable: side, canary: side })),
    failures: groups(
      z.object({ arm: z.enum(ARMS), of: z.enum(["policy", "scanners"]), errorType, rule: z.string().optional() }),
    ),
    scans: z
      .object({
        texts: z.number(),
        differing: z.number(),
        results: z.record(result, z.record(result, z.number())),
        differences: groups(z.object({ tool: z.string(), stable: scanSide, canary: scanSide })),
        latency: z.object({ stable: quantiles, canary: quantiles }),
      })
      .nullable(),
    budgets: z.array(
      z.object({
        criterion: z.enum(CRITERIA),
        mode: z.enum(["enforce", "notify"]),
        unit: z.enum(["rate", "ms"]),
        max: z.number(),
        measured: z.number().nullable(),
        atMost: z.number().nullable(),
        result: z.enum(["within", "over", "no_data"]),
      }),
    ),
    result: z.enum(["within", "over", "no_data"]).nullable(),
    notes: z.array(z.string()),
    durationMs: z.number(),
  }),
)
