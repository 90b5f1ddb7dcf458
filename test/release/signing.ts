import { createHash, generateKeyPairSync, sign } from "node:crypto"
import type { KeyObject } from "node:crypto"

// Written from the specification of DSSE and from docs/reference/release.md, with nothing of the sources: the format is a promise.

export interface KeyPair {
  readonly privateKey: KeyObject
  /** PEM. */
  readonly publicPem: string
  readonly privatePem: string
}

export function keyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  return {
    privateKey,
    publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    privatePem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  }
}

export type Content = Readonly<Record<string, string | Uint8Array>>

/** The digest of a release's files, by path. */
export function digestOf(files: Content): string {
  const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex")
  const lines = Object.keys(files)
    .filter((name) => name !== "release.dsse.json")
    .sort()
    .map((name) => `${sha256(files[name] ?? "")}  ${name}\n`)
  return `sha256:${sha256(lines.join(""))}`
}

export interface Forgery {
  readonly payloadType?: string
  /** What is signed. */
  readonly payload?: string | Uint8Array
  /** What is stored as signed. */
  readonly stored?: string
}

/** The `release.dsse.json` of a release, signed by some. */
export function envelope(statement: object, keys: readonly KeyPair[], forgery: Forgery = {}): string {
  const payload = Buffer.from(forgery.payload ?? JSON.stringify({ format: "serin/release/1", ...statement }))
  const payloadType = forgery.payloadType ?? "application/vnd.serin.release+json"
  const header = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `
  const signed = Buffer.concat([Buffer.from(header), payload])
  return JSON.stringify({
    payload: (forgery.stored === undefined ? payload : Buffer.from(forgery.stored)).toString("base64"),
    payloadType,
    signatures: keys.map(({ privateKey }) => ({ sig: sign(null, signed, privateKey).toString("base64") })),
  })
}

/** The same files with signatures for them. */
export function signed(version: string, files: Content, keys: readonly KeyPair[], forgery?: Forgery): Content {
  return { ...files, "release.dsse.json": envelope({ version, digest: digestOf(files) }, keys, forgery) }
}
