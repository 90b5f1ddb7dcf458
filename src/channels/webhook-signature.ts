import { createHmac } from "node:crypto"

/** Bytes of a key that Standard Webhooks asks for. */
const KEY_BYTES = { from: 24, to: 64 } as const
const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/

/** Read the keys in `whsec_…` secrets: the first is the one in use, others are on their way out. Throws `TypeError`, and shows nothing of them. */
export function webhookKeys(secrets: string | readonly string[]): readonly Buffer[] {
  const list = typeof secrets === "string" ? [secrets] : secrets
  const fix = 'make one: `echo "whsec_$(openssl rand -base64 32)"`'
  if (!Array.isArray(list) || list.length === 0 || list.length > 4) {
    throw new TypeError(`secret must be one secret or a list of up to 4, while they are changed; ${fix}`)
  }
  return list.map((secret: unknown) => {
    const [, base64 = ""] = SECRET.exec(typeof secret === "string" ? secret : "") ?? []
    const key = Buffer.from(base64, "base64")
    if (key.length >= KEY_BYTES.from && key.length <= KEY_BYTES.to) return key
    throw new TypeError(
      `secret must be "whsec_" and base64 of ${KEY_BYTES.from} to ${KEY_BYTES.to} bytes, got something else; ${fix}`,
    )
  })
}

/**
 * Make the headers that say who sent a body and when: one signature for each key. `now` is ms since the epoch.
 * Source: Standard Webhooks 1.0.0, "Webhook Headers" and "Signature scheme".
 */
export function signatureHeaders(
  keys: readonly Buffer[],
  id: string,
  now: number,
  body: string,
): Readonly<Record<string, string>> {
  const timestamp = `${Math.floor(now / 1000)}`
  const content = `${id}.${timestamp}.${body}`
  const signatures = keys.map((key) => `v1,${createHmac("sha256", key).update(content).digest("base64")}`)
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") }
}
