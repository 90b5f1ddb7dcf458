import { Buffer } from "node:buffer"
import { createStratum } from "../src/evidence/cells.js"
import { packEvidence } from "../src/evidence/packed.js"
import { PUBLICATION_FORMAT, PUBLISHED_DIFFS, type Publication } from "../src/evidence/publication.js"
import { ARRAYS, type Evidence } from "../src/model/evidence.js"
import { serve } from "./evidence.js"

export const packed = (evidence: Evidence): string => Buffer.from(packEvidence(evidence).bytes).toString("base64")

/** What a process publishes, as it lies in the store. */
export function documentOf(
  about: Pick<Publication, "rollout" | "publisher" | "sequence" | "evidence"> & Partial<Publication>,
): string {
  const publication: Publication = {
    format: PUBLICATION_FORMAT,
    generation: 1,
    salt: "salt",
    since: 0,
    at: 0,
    diffs: [],
    releases: "ready",
    fuse: null,
    ...about,
  }
  return JSON.stringify(publication)
}

export interface Size {
  readonly evaluations: number
  readonly strata: number
  /** Of a document with as many disagreements as one may carry, bytes. */
  readonly document: number
  /** Of the arrays that count, outside of the heap, bytes. */
  readonly arrays: number
}

/** How large evidence is after about so many evaluations; the first stratum is from before the ramp, and so empty unless it is the only one. */
export function sizeOf(evaluations: number, strata: number): Size {
  const evidence: Evidence = { generation: 1, strata: Array.from({ length: strata }, createStratum) }
  const served = serve(evidence, evaluations, 1)
  const arrays = evidence.strata.reduce(
    (sum, stratum) => sum + ARRAYS.reduce((sum, name) => sum + stratum[name].byteLength, 0),
    0,
  )
  const text = packed(evidence)
  const diffs = Array.from({ length: PUBLISHED_DIFFS }, (_, i) => ({
    action: `action_${i}`,
    stable: { outcome: "allow", rule: "some-rule" } as const,
    canary: { outcome: "deny", rule: "another-rule" } as const,
    calls: served,
    sessions: served,
  }))
  const document = documentOf({ rollout: "bench", publisher: "process-1", sequence: 1, evidence: text, diffs })
  return { evaluations: served, strata, document: Buffer.byteLength(document), arrays }
}
