import { describe, expect, it } from "vitest"
import type { Publication } from "../../src/evidence/publication.js"
import { firstColumn, readPage } from "./pages.js"

const FIELDS: Record<keyof Publication, true> = {
  format: true,
  rollout: true,
  publisher: true,
  sequence: true,
  generation: true,
  salt: true,
  since: true,
  at: true,
  evidence: true,
  diffs: true,
  releases: true,
  fuse: true,
}

describe("docs/reference/controller.md", () => {
  it("has a row for every field of a publication", () => {
    const rows = firstColumn(readPage("reference/controller.md")).flatMap((row) => row.split(/[`, ]+/))
    expect(Object.keys(FIELDS).filter((name) => !rows.includes(name))).toEqual([])
  })
})
