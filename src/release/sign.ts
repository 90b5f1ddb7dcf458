import type { KeyObject } from "node:crypto"
import { parseEnvelope, serializeEnvelope, signEnvelope } from "../signing/envelope.js"
import type { Envelope } from "../signing/envelope.js"
import { STATEMENT_TYPE, writeStatement } from "./statement.js"
import type { Statement } from "./statement.js"
import { keyId } from "../signing/trust.js"

/** What became of the signatures of a release. */
export interface AddedSignature {
  /** The text of `release.dsse.json`. */
  readonly text: string
  readonly keyid: string
  /** How many are in it now. */
  readonly signatures: number
  /** How many were dropped, because they were about other files or another version. */
  readonly dropped: number
}

/** Add a signature to those that a release has. Signatures of anything else are void, and dropped. */
export function addSignature(
  existing: string | null,
  release: Pick<Statement, "version" | "digest">,
  key: KeyObject,
): AddedSignature {
  const fresh: Envelope = { payloadType: STATEMENT_TYPE, payload: writeStatement(release), signatures: [] }
  const before = existing === null ? null : parseEnvelope(existing)
  const isEnvelope = before !== null && typeof before !== "string"
  const isSame = isEnvelope && before.payloadType === fresh.payloadType && before.payload.equals(fresh.payload)
  const sig = signEnvelope(fresh, key)
  const keyid = keyId(key)
  // Ed25519 gives one signature for one message, so signing twice leaves it there once.
  const kept = isSame ? before.signatures.filter((one) => !one.sig.equals(sig)) : []
  const signatures = [...kept, { keyid, sig }]
  const dropped = isEnvelope && !isSame ? before.signatures.length : 0
  return { text: serializeEnvelope({ ...fresh, signatures }), keyid, signatures: signatures.length, dropped }
}
