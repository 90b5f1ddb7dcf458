import { z } from "zod"
import { answers } from "./answer.js"

const revisions = z.array(z.int())

/** What `history --verify` found. */
export const AUDIT = answers(
  "serin/audit/1",
  z.object({
    rollout: z.string(),
    result: z.enum(["whole", "broken", "unproven"]),
    /** To note down: it vouches for all before it. */
    head: z.string().nullable(),
    newest: z.int().nullable(),
    /** Oldest revision that the newest one vouches for, and why none before it. */
    from: z.int().nullable(),
    begins: z.enum(["first", "pruned", "unchained", "broken"]).nullable(),
    /** How many there are. */
    revisions: z.int(),
    newestBy: z.enum(["signature", "noted head"]).nullable(),
    unsigned: revisions,
    overwritten: revisions,
    headsHeld: z.int(),
    unproven: z.array(z.string()),
    records: z.object({ matched: z.int(), gone: z.int() }).nullable(),
    findings: z.array(z.object({ code: z.string(), revision: z.int(), message: z.string() })),
  }),
)
