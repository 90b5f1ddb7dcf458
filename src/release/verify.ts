import { verify } from "node:crypto"
import { SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import { clip } from "./document.js"
import { parseEnvelope, preAuthenticationEncoding } from "./envelope.js"
import type { Envelope } from "./envelope.js"
import { parseStatement, STATEMENT_TYPE } from "./statement.js"
import type { Statement } from "./statement.js"
import { SIGNATURES } from "./tree.js"
import type { ReleaseFiles } from "./tree.js"
import type { Trust } from "./trust.js"

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

  // 2. They are signatures at all. Nothing that is inside is believed yet.
  const envelope = parseEnvelope(file.text)
  if (typeof envelope === "string") throw untrusted(from, `${SIGNATURES} ${envelope}`, SIGN_IT)

  // 3. They are about a release. Attack: type confusion: what was signed as something else, a state say, passed off as a release.
  if (envelope.payloadType !== STATEMENT_TYPE) {
    throw untrusted(
      from,
      `what was signed must be ${STATEMENT_TYPE}, got ${JSON.stringify(clip(envelope.payloadType))}`,
    )
  }

  // 4. Enough different trusted keys made them. Attacks: a forged signature; a signature of a key that is no longer trusted;
  //    one stolen key where two are asked for, its signature copied to make two.
  const signers = signersOf(envelope, trust)
  if (signers.length < trust.threshold) {
    const wanted = `${trust.threshold} of the ${trust.keys.length} trusted keys must have signed`
    const got = `${signers.length} did (${envelope.signatures.length} signatures are there)`
    throw untrusted(from, `${wanted}, ${got}`, SIGN_IT)
  }

  // 5. What they signed can be understood. Only now is it parsed.
  const statement = parseStatement(envelope.payload)
  if (statement === null) throw untrusted(from, "what was signed is no statement that this version of serin knows")

  checkStatement(from, statement, expected)
  return signers
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

/** Keys that signed, each once. `keyid` is not asked: nobody signed it. */
export function signersOf(
  { payloadType, payload, signatures }: Envelope,
  { keys }: Pick<Trust, "keys">,
): readonly string[] {
  const signed = preAuthenticationEncoding(payloadType, payload)
  const by = keys.filter(({ key }) => signatures.some(({ sig }) => verify(null, signed, key, sig)))
  return by.map(({ id }) => id)
}

const SIGN_IT = "`serin release sign` signs it, with the private half of a trusted key"

function untrusted({ place }: ReleaseFiles, message: string, fix?: string): SerinError {
  const problems = [{ where: place, message, ...(fix !== undefined && { fix }) }]
  return new SerinError("RELEASE_UNTRUSTED", `the release in ${place} is not trusted: ${message}`, { problems })
}
