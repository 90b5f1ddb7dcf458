import { verify } from "node:crypto"
import { parseEnvelope, preAuthenticationEncoding } from "./envelope.js"
import type { Envelope } from "./envelope.js"
import type { Trust } from "./trust.js"

export interface Opened {
  /** The bytes that were signed. */
  readonly payload: Buffer
  /** Ids of the keys that signed, each once. */
  readonly signers: readonly string[]
}

/** What an envelope must be. */
export interface Expected {
  /** What messages call it: `release.dsse.json`. */
  readonly name: string
  readonly type: string
  readonly trust: Trust
}

/**
 * Open an envelope of one type that enough trusted keys signed; a text says why it is not opened. Each step names the attack that it
 * stops. What is inside is not parsed here.
 */
export function openEnvelope(text: string, { name, type, trust }: Expected): Opened | string {
  // 1. It is an envelope. Attack: a document that nobody signed, put where signed ones are read from. Nothing inside is believed yet.
  const envelope = parseEnvelope(text)
  if (typeof envelope === "string") return `${name} ${envelope}`

  // 2. It is of the type that is asked for. Attack: type confusion: what was signed as something else passed off as this.
  if (envelope.payloadType !== type) return `what was signed must be ${type}, got ${quoted(envelope.payloadType)}`

  // 3. Enough different trusted keys signed it. Attacks: a forged signature; a signature of a key that is no longer trusted;
  //    one stolen key where two are asked for, its signature copied to make two.
  const signers = signersOf(envelope, trust)
  if (signers.length < trust.threshold) {
    const wanted = `${trust.threshold} of the ${trust.keys.length} trusted keys must have signed`
    return `${wanted}, ${signers.length} did (${envelope.signatures.length} signatures are there)`
  }
  return { payload: envelope.payload, signers }
}

/** Keys that signed, each once. `keyid` is not asked: nobody signed it. */
function signersOf({ payloadType, payload, signatures }: Envelope, { keys }: Pick<Trust, "keys">): readonly string[] {
  const signed = preAuthenticationEncoding(payloadType, payload)
  const by = keys.filter(({ key }) => signatures.some(({ sig }) => verify(null, signed, key, sig)))
  return by.map(({ id }) => id)
}

/** Shorten what a stranger wrote. */
const quoted = (type: string): string => JSON.stringify(type.length <= 80 ? type : `${type.slice(0, 79)}…`)
