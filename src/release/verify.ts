import { SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import { clip } from "./problems.js"
import { openEnvelope } from "../signing/open.js"
import { parseStatement, STATEMENT_TYPE } from "./statement.js"
import type { Statement } from "./statement.js"
import { SIGNATURES } from "./tree.js"
import type { ReleaseFiles } from "./tree.js"
import type { Trust } from "../signing/trust.js"

/** What a signature must be about. */
export interface Signed {
  /** The version that was asked for; undefined: any. */
  readonly version: string | undefined
  /** Tree digest of the files that were read. */
  readonly digest: string
}

/** Sixteen signatures are 3 KiB. Attack: a document without end. */
const MAX_BYTES = 64 * 1024

/**
 * Verify that enough trusted keys signed what was read, and answer the ids of those that did. Each step names the attack that it stops.
 * Rejects with `RELEASE_UNTRUSTED`, which says what was expected and what was received.
 */
export async function verifySignatures(from: ReleaseFiles, trust: Trust, expected: Signed): Promise<readonly string[]> {
  // 1. There are signatures. Attack: a release that nobody signed, put where releases are read from.
  const missing: Problem[] = []
  const file = await from.read(SIGNATURES, MAX_BYTES, missing)
  if (file === null) {
    const [problem] = missing
    const isGone = problem?.message === "is missing"
    throw untrusted(from, isGone ? "is not signed" : `${SIGNATURES} ${problem?.message ?? "cannot be read"}`, SIGN_IT)
  }

  // 2. to 4. They are an envelope, about a release, and enough trusted keys made them: each step is told with its attack there.
  const opened = openEnvelope(file.text, { name: SIGNATURES, type: STATEMENT_TYPE, trust })
  if (typeof opened === "string") throw untrusted(from, opened, SIGN_IT)

  // 5. What they signed can be understood. Only now is it parsed.
  const statement = parseStatement(opened.payload)
  if (statement === null) throw untrusted(from, "what was signed is no statement that this version of serin knows")

  checkStatement(from, statement, expected)
  return opened.signers
}

function checkStatement(from: ReleaseFiles, statement: Statement, { version, digest }: Signed): void {
  // 6. They signed this version. Attack: replay: an old release, well signed, with a known hole, served under a new name.
  if (version !== undefined && statement.version !== version) {
    throw untrusted(from, `the version signed must be ${version}, got ${clip(statement.version)}`)
  }
  // 7. They signed these files. Attack: tampering: one rule changed, one file swapped, the signatures left as they were.
  if (statement.digest !== digest) {
    throw untrusted(
      from,
      `the files are ${digest}, but ${statement.digest} was signed`,
      "put the files back, or sign it again",
    )
  }
}

const SIGN_IT = "`serin release sign` signs it, with the private half of a trusted key"

function untrusted({ place }: ReleaseFiles, message: string, fix?: string): SerinError {
  const problems = [{ where: place, message, ...(fix !== undefined && { fix }) }]
  return new SerinError("RELEASE_UNTRUSTED", `the release in ${place} is not trusted: ${message}`, { problems })
}
