import { packEvidence } from "../../src/evidence/packed.js"
import { PUBLICATION_FORMAT } from "../../src/evidence/publication.js"
import type { Publication } from "../../src/evidence/publication.js"
import type { Stratum } from "../../src/model/evidence.js"

export type Said = Partial<{ [K in keyof Publication]: unknown }> & { readonly strata?: readonly Stratum[] }

/** What a process publishes that has counted `strata` in generation 1, but for what a test says otherwise, be it nonsense. */
export function publicationOf({ strata = [], ...more }: Said = {}): string {
  const generation = typeof more.generation === "number" ? more.generation : 1
  const publication: Publication = {
    format: PUBLICATION_FORMAT,
    rollout: "demo",
    publisher: "one",
    sequence: 1,
    generation,
    salt: "salt",
    since: 0,
    at: 0,
    evidence: Buffer.from(packEvidence({ generation, strata }).bytes).toString("base64"),
    diffs: [],
    releases: "ready",
    fuse: null,
  }
  return JSON.stringify({ ...publication, ...more })
}
