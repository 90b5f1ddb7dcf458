import { isSerinError } from "../errors.js"

type Headers = Readonly<Record<string, string>>

/** Answer with a value as JSON. */
export const json = (value: unknown, status = 200, more: Headers = {}): Response =>
  new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: { ...more, "content-type": "application/json; charset=utf-8" },
  })

/** Say no. The message is for people; `more` goes beside code and message. */
export const refuse = (
  status: number,
  code: string,
  message: string,
  headers: Headers = {},
  more: Readonly<Record<string, unknown>> = {},
): Response => json({ error: { code, message, ...more } }, status, headers)

/** A route throws it to say no. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly more: Readonly<Record<string, unknown>> = {},
  ) {
    super(message)
  }
}

/** What was asked for cannot be understood. */
export const invalid = (message: string): Refusal => new Refusal(422, "INVALID", message)

/** It would have to be written down, and cannot be. */
export const readOnly = (): Refusal => new Refusal(405, "READ_ONLY", "this store can only be read")

/** Say what went wrong, as far as it concerns whoever asked; null: it does not. */
export function answerOf(error: unknown): Response | null {
  if (error instanceof Refusal) return refuse(error.status, error.code, error.message, {}, error.more)
  if (!isSerinError(error)) return null
  switch (error.code) {
    case "TRANSITION_REFUSED":
    case "STORE_CONFLICT":
      return refuse(409, error.code, error.message)
    case "LABELS_INVALID":
    case "STATE_INVALID":
    case "STATE_UNTRUSTED":
      return refuse(500, error.code, error.message)
    case "DECISION_LOG_UNAVAILABLE":
      return refuse(503, error.code, "the decision log cannot be read here")
    case "STORE_AMBIGUOUS":
      return refuse(503, error.code, "the store did not answer in time: it may have been written, or not; look again")
    case "STORE_UNAVAILABLE":
    case "STORE_UNAUTHORIZED":
      return refuse(503, error.code, "the store behind this server does not answer", { "retry-after": "1" })
    default:
      return null
  }
}

/**
 * What every answer bears. Attacks: a text of the store that is taken for a script; a page that frames this one, so that a click means a
 * kill; an answer that a proxy or a browser keeps; an address that is told to others.
 */
const EVERY = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "cache-control": "no-store",
  vary: "authorization, cookie",
} as const

/** Bear what every answer does; what an answer says of itself stays. */
export function hardened(response: Response): Response {
  for (const [name, value] of Object.entries(EVERY)) {
    if (!response.headers.has(name)) response.headers.set(name, value)
  }
  return response
}
