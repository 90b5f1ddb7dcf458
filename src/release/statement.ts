import { z } from "zod"

/** What somebody who signs a release says: this version is these files. */
export interface Statement {
  readonly format: typeof STATEMENT_FORMAT
  readonly version: string
  /** Tree digest of the release. */
  readonly digest: string
}

export const STATEMENT_TYPE = "application/vnd.serin.release+json"
const STATEMENT_FORMAT = "serin/release/1"

// Strict: a field that a later format adds may narrow what is said. It comes with another `format`.
const statementSchema = z.strictObject({
  format: z.literal(STATEMENT_FORMAT),
  version: z.string().max(128),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
})

/** Write the statement about a release as it is signed. */
export function writeStatement(release: Pick<Statement, "version" | "digest">): Buffer {
  const statement: Statement = { format: STATEMENT_FORMAT, version: release.version, digest: release.digest }
  return Buffer.from(JSON.stringify(statement))
}

/** Read a statement that was signed; null: it is none of this format. */
export function parseStatement(payload: Uint8Array): Statement | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(payload)
    return statementSchema.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}
