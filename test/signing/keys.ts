import { sign } from "node:crypto"
import { keyPair, type KeyPair } from "../release/signing.js"

export { keyPair, type KeyPair }

/** What documents are signed as: docs/reference/security.md. */
export const typeOf = (key: string): string => `application/vnd.serin.document+json;key=${key}`

/** A signed document, made from the specification of DSSE with nothing of the sources. */
export function sealed(key: string, content: string | Uint8Array, by: readonly KeyPair[], type = typeOf(key)): string {
  const payload = Buffer.from(content)
  const header = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `
  const signed = Buffer.concat([Buffer.from(header), payload])
  return JSON.stringify({
    payloadType: type,
    payload: payload.toString("base64"),
    signatures: by.map(({ privateKey }) => ({ keyid: "", sig: sign(null, signed, privateKey).toString("base64") })),
  })
}

export const trusting = (...keys: readonly KeyPair[]) => ({ keys: keys.map(({ publicPem }) => publicPem) })
