import { createHash, createPublicKey } from "node:crypto"
import type { KeyObject } from "node:crypto"
import { refuseUnknown } from "../model/options.js"

/** Whose signatures make a release, or the documents of a rollout, trusted. */
export interface TrustedKeys {
  /**
   * Ed25519 public keys in PEM (SPKI), as texts. To change a key, name the old and the new one until all that may still be read
   * is signed with the new one.
   */
  readonly keys: readonly string[]
  /** How many different keys must have signed. Default 1, at most the number of keys. */
  readonly threshold?: number | undefined
}

/** The same, parsed. */
export interface Trust {
  readonly keys: readonly TrustedKey[]
  readonly threshold: number
}

export interface TrustedKey {
  readonly id: string
  readonly key: KeyObject
}

const MAX_KEYS = 16
/** A block of PEM; its label is the first group. */
export const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g

/** Parse what the host wrote; null when it trusts no key in particular. Throws `TypeError` and `RangeError`. */
export function resolveTrust(trusted: TrustedKeys): Trust
export function resolveTrust(trusted: TrustedKeys | undefined): Trust | null
export function resolveTrust(trusted: TrustedKeys | undefined): Trust | null {
  if (trusted === undefined) return null
  if (typeof trusted !== "object" || trusted === null || Array.isArray(trusted)) {
    throw new TypeError("trustedKeys must be { keys, threshold? } with public keys in PEM; write { keys: [pem] }")
  }
  // A misspelt threshold would trust one key where two were meant.
  refuseUnknown("trustedKeys", trusted, { keys: true, threshold: true })
  const { keys: texts, threshold = 1 } = trusted
  // An empty list must not mean that everybody is trusted.
  if (!Array.isArray(texts) || texts.length === 0) {
    throw new TypeError(
      "trustedKeys.keys must be a list of public keys in PEM, got none; leave trustedKeys out to trust all",
    )
  }
  const keys = texts.flatMap((text: unknown, i) => readKeys(text, `trustedKeys.keys[${i}]`))
  const ids = keys.map(({ id }) => id)
  const twice = ids.find((id, i) => ids.indexOf(id) < i)
  if (twice !== undefined)
    throw new TypeError(`trustedKeys.keys must be different keys, got ${twice} twice; list it once`)
  if (keys.length > MAX_KEYS) throw new RangeError(`trustedKeys.keys must be at most ${MAX_KEYS}, got ${keys.length}`)
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > keys.length) {
    throw new RangeError(`trustedKeys.threshold must be a whole number from 1 to ${keys.length}, got ${threshold}`)
  }
  return { keys, threshold }
}

/** Read the public keys of a text: one PEM block or several, as a key ring has them. */
function readKeys(text: unknown, where: string): TrustedKey[] {
  if (typeof text !== "string") throw new TypeError(`${where} must be a text in PEM, got ${typeof text}`)
  const blocks = [...text.matchAll(PEM_BLOCK)]
  if (blocks.length === 0) {
    throw new TypeError(
      `${where} must hold \`-----BEGIN PUBLIC KEY-----\`, and does not; pass the text of the key's file`,
    )
  }
  return blocks.map(([block, label = ""]) => {
    // Not derived from a private key: that one has no business where releases are verified.
    if (label !== "PUBLIC KEY")
      throw new TypeError(`${where} must be a public key, got a ${label}; pass the other file`)
    return readKey(block, where)
  })
}

function readKey(block: string, where: string): TrustedKey {
  let key: KeyObject
  try {
    key = createPublicKey(block)
  } catch (cause) {
    throw new TypeError(`${where} cannot be read as a public key in PEM; copy the file again`, { cause })
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new TypeError(
      `${where} must be an Ed25519 key, got ${key.asymmetricKeyType}; \`serin release keygen\` makes one`,
    )
  }
  return { id: keyId(key), key }
}

/** Name a key for people: the first half of the sha-256 of its public part (SPKI, DER). */
export function keyId(key: KeyObject): string {
  const spki = (key.type === "private" ? createPublicKey(key) : key).export({ type: "spki", format: "der" })
  return createHash("sha256").update(spki).digest("hex").slice(0, 32)
}
