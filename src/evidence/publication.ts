import { z } from "zod"
import { SerinError, describeProblems, type Problem } from "../errors.js"
import { errorText } from "../model/error-text.js"
import { OUTCOMES } from "../model/decision.js"
import { exactly, parseDocument } from "../rollout/json-document.js"
import { ROLLOUT_NAME } from "../model/names.js"
import type { Diff } from "./diffs.js"
import { readPacked } from "./packed.js"
import type { PackedEvidence } from "./packed.js"

/** In the first one, generations were told apart by their numbers alone. */
export const PUBLICATION_FORMAT = "serin/evidence/2"

/** What one process says in its document: all that it has counted, and whether it can serve the canary. Each takes the place of the one before. */
export interface Publication {
  readonly format: typeof PUBLICATION_FORMAT
  readonly rollout: string
  /** This process in this one run, and the last part of the document's key: nobody else writes there. */
  readonly publisher: string
  /** Grows with each; what is late or comes twice is known by it. */
  readonly sequence: number
  readonly generation: number
  /** Of the state that was counted under; empty before there was one. Numbers of generations come again when a store goes back. */
  readonly salt: string
  /** When this process began to count, and when it wrote this, ms since the epoch by its own clock. For people. */
  readonly since: number
  readonly at: number
  /** As `packEvidence` has it, in base64. */
  readonly evidence: string
  /** The most frequent ones. */
  readonly diffs: readonly Diff[]
  /** `missing`: it has not loaded the canary. */
  readonly releases: "ready" | "missing"
  /** Why its fuse is blown. */
  readonly fuse: string | null
}

/** A publication whose evidence has been looked at to its end. */
export interface ReadPublication extends Publication {
  readonly packed: PackedEvidence
}

/** Documents of the evidence that processes publish lie below this key, one of each process. */
export const evidenceKey = (rollout: string): string => `${rollout}/evidence`

/** Groups of disagreements that a publication carries. */
export const PUBLISHED_DIFFS = 20
/** What is larger is refused before it is parsed: evidence in every cohort of every stage has some hundred kilobytes. UTF-8 bytes. */
export const MAX_PUBLICATION_BYTES = 4 * 1024 * 1024
/** As keys have it. */
const PUBLISHER = /^(?!\.)[A-Za-z0-9._-]{1,128}$/

const time = z.number().min(-8.64e15).max(8.64e15)
const side = z.strictObject({ outcome: z.enum(OUTCOMES), rule: z.string().max(256).optional() })
const PUBLICATION = exactly<Publication>({
  format: z.literal(PUBLICATION_FORMAT),
  rollout: z.string().regex(ROLLOUT_NAME),
  publisher: z.string().regex(PUBLISHER),
  sequence: z.int().min(1),
  generation: z.int().min(0),
  salt: z.string().max(256),
  since: time,
  at: time,
  evidence: z.base64(),
  diffs: z
    .array(
      exactly<Diff>({
        action: z.string().max(1024),
        stable: side,
        canary: side,
        calls: z.number().min(0),
        sessions: z.number().min(0).optional(),
      }),
    )
    .max(PUBLISHED_DIFFS),
  releases: z.enum(["ready", "missing"]),
  fuse: z.string().max(4000).nullable(),
})

/** Throw a `RangeError` for what cannot be a part of a key. */
export function requirePublisher(publisher: string): void {
  if (PUBLISHER.test(publisher)) return
  const rule = "1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', not beginning with '.'"
  throw new RangeError(`publisher must be ${rule}, got ${JSON.stringify(publisher)}`)
}

/** Read what a process published, from a world that may be hostile. Throws `EVIDENCE_INVALID`, also for counts that fit nowhere. */
export function parsePublication(text: string): ReadPublication {
  const publication = parseDocument(text, {
    noun: "publication",
    maxBytes: MAX_PUBLICATION_BYTES,
    schema: PUBLICATION,
    invalid,
  })
  try {
    const packed = readPacked(Buffer.from(publication.evidence, "base64"))
    if (packed.generation === publication.generation) return { ...publication, packed }
    throw new RangeError(`it is of generation ${packed.generation}, and said to be of ${publication.generation}`)
  } catch (cause) {
    throw invalid([{ where: "evidence", message: errorText(cause) }], cause)
  }
}

function invalid(problems: readonly Problem[], cause?: unknown): SerinError {
  const message = `Published evidence is invalid\n${describeProblems(problems)}`
  return new SerinError("EVIDENCE_INVALID", message, { problems, cause })
}
