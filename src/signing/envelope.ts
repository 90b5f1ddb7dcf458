import { sign } from "node:crypto"
import type { KeyObject } from "node:crypto"
import { z } from "zod"

/**
 * The envelope of DSSE, Dead Simple Signing Envelope 1.0.2 (github.com/secure-systems-lab/dsse, protocol.md and envelope.md).
 * What is signed is bytes, and what was received is what is verified: nothing is ever written in a canonical form first.
 */
export interface Envelope {
  readonly payloadType: string
  readonly payload: Buffer
  readonly signatures: readonly EnvelopeSignature[]
}

export interface EnvelopeSignature {
  /** A hint for people. Nobody signed it, so nothing is decided by it. */
  readonly keyid: string
  readonly sig: Buffer
}

/** Far above any sane number of signers: each costs a verification for each key. */
const MAX_SIGNATURES = 16

// Both alphabets are allowed by envelope.md. `Buffer.from` would skip what belongs to neither.
const base64 = z
  .string()
  .regex(/^[A-Za-z0-9+/_-]*={0,2}$/, "is no base64")
  .transform((text) => Buffer.from(text, "base64"))

// Unknown fields are ignored, as envelope.md asks for.
const envelopeSchema = z.object({
  payloadType: z.string().max(256),
  payload: base64,
  signatures: z
    .array(
      z.object({
        keyid: z.string().max(256).default(""),
        sig: base64.refine((sig) => sig.length === 64, "is no Ed25519 signature of 64 bytes"),
      }),
    )
    .max(MAX_SIGNATURES),
})

/** Read an envelope; a text says why it is none. */
export function parseEnvelope(text: string): Envelope | string {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return "is no JSON"
  }
  const { data, error } = envelopeSchema.safeParse(json)
  if (data !== undefined) return data
  const [issue] = error.issues
  return `is no DSSE envelope: ${issue?.path.join(".") || "the document"}: ${issue?.message ?? ""}`
}

/** Write an envelope as it is stored. */
export function serializeEnvelope({ payloadType, payload, signatures }: Envelope): string {
  const written = signatures.map(({ keyid, sig }) => ({ keyid, sig: sig.toString("base64") }))
  return `${JSON.stringify({ payload: payload.toString("base64"), payloadType, signatures: written }, null, 2)}\n`
}

/**
 * The bytes that a signature is over. The lengths tell type and body apart, so that no document of another type can be
 * passed off as this one. Source: protocol.md, PAE.
 */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType)
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `), payload])
}

/** Sign with an Ed25519 private key. */
export function signEnvelope({ payloadType, payload }: Envelope, key: KeyObject): Buffer {
  return sign(null, preAuthenticationEncoding(payloadType, payload), key)
}
