import { createPrivateKey } from "node:crypto"
import type { KeyObject } from "node:crypto"
import { serializeEnvelope, signEnvelope } from "./envelope.js"
import { keyId, PEM_BLOCK } from "./trust.js"
import type { Trust, TrustedKey } from "./trust.js"

/** A private key, and how it is called. */
export type Signer = TrustedKey

/** Write an envelope of a text, signed with each of the keys. */
export function sealEnvelope(payloadType: string, text: string, signers: readonly Signer[]): string {
  const unsigned = { payloadType, payload: Buffer.from(text), signatures: [] }
  const signatures = signers.map(({ id, key }) => ({ keyid: id, sig: signEnvelope(unsigned, key) }))
  return serializeEnvelope({ ...unsigned, signatures })
}

/**
 * Parse private keys: PEM (PKCS #8), one block or several in a text. Throws `TypeError`, in which nothing of a key is quoted: errors
 * reach logs.
 */
export function resolveSigners(signWith: string | readonly string[]): readonly Signer[] {
  const texts: readonly unknown[] = Array.isArray(signWith) ? signWith : [signWith]
  const signers = texts.flatMap((text, i) => readSigners(text, Array.isArray(signWith) ? `signWith[${i}]` : "signWith"))
  if (signers.length === 0) throw new TypeError("signWith must be a private key in PEM or a list of them, got none")
  const ids = new Set(signers.map(({ id }) => id))
  if (ids.size < signers.length) throw new TypeError("signWith must be different keys, got one twice; list it once")
  return signers
}

/** Throw `TypeError` when what these keys sign is refused by those who trust so. */
export function requireEnough(signers: readonly Signer[], { keys, threshold }: Trust): void {
  const known = new Set(keys.map(({ id }) => id))
  const enough = signers.filter(({ id }) => known.has(id)).length
  if (enough >= threshold) return
  throw new TypeError(
    `signWith must have ${threshold} of the keys that are trusted, got ${enough}: nobody would read what it signs; add its public half to trustedKeys.keys`,
  )
}

function readSigners(text: unknown, where: string): Signer[] {
  if (typeof text !== "string") throw new TypeError(`${where} must be a text in PEM, got ${typeof text}`)
  const blocks = [...text.matchAll(PEM_BLOCK)]
  if (blocks.length === 0) {
    const fix = "pass the text of the key's file"
    throw new TypeError(`${where} must hold \`-----BEGIN PRIVATE KEY-----\`, and does not; ${fix}`)
  }
  return blocks.map(([block, label = ""]) => readSigner(block, label, where))
}

function readSigner(block: string, label: string, where: string): Signer {
  const fix = label.startsWith("ENCRYPTED") ? "decrypt it first" : "pass the other file"
  if (label !== "PRIVATE KEY") throw new TypeError(`${where} must be a private key, got ${article(label)}; ${fix}`)
  let key: KeyObject
  try {
    key = createPrivateKey(block)
  } catch {
    // The cause is dropped: nothing of a key may reach a log.
    throw new TypeError(`${where} cannot be read as a private key in PEM; copy the file again`)
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new TypeError(`${where} must be an Ed25519 key, got ${key.asymmetricKeyType}; \`serin keygen\` makes one`)
  }
  return { id: keyId(key), key }
}

const article = (label: string): string => `${/^[AEIO]/.test(label) ? "an" : "a"} ${label}`
