import { createHash } from "node:crypto"
import { SerinError } from "../errors.js"
import { textIn } from "../model/utf8.js"
import type { Versioned } from "../rollout/store.js"
import { unavailable, type Answer } from "./http-client.js"

/** A document, and the name by which its server knows it. */
export interface Known {
  readonly found: Versioned | null
  /** As it was received, to be sent back; undefined: the server gave none. */
  readonly etag: string | undefined
}

const MAX_ETAG = 1024
/** What a server calls JSON, and what those call it that serve files. A page of text says that this is another server. */
const TYPES =
  /^(application\/json|application\/[\w.-]+\+json|text\/json|text\/plain|(application|binary)\/octet-stream)$/

/** Read what a server said of a document. `known` is what was asked about. Throws `STORE_UNAVAILABLE` and `STORE_UNAUTHORIZED`. */
export function readAnswer(url: string, answer: Answer, known: Known | undefined): Known {
  const { status, headers } = answer
  const etag = etagIn(headers.etag)
  switch (status) {
    case 200:
      return readDocument(url, answer, etag)
    case 304:
      if (known === undefined || known.etag === undefined)
        throw unavailable(url, "says that nothing changed, and was not asked")
      // Attack, or a proxy that mixes documents up: an answer about something else.
      if (etag !== undefined && opaque(etag) !== opaque(known.etag)) {
        throw unavailable(url, "says that nothing changed, and means something else")
      }
      return known
    case 404:
      // A wrong address is as loud as a server that is away: only who knows the documents can say that there is none.
      if (headers["serin-revision"] === "0") return { found: null, etag }
      throw unavailable(url, "is not there (404); is the address right? That of `serin serve` ends in /v1")
    default:
      throw refused(url, answer)
  }
}

/** What a server says that neither has nor lacks the document. */
export function refused(url: string, { status, headers, body }: Answer): SerinError {
  if (status === 401 || status === 403) {
    const fix = status === 401 ? "pass the token that it wants" : "this token may not; ask for one that may"
    return new SerinError("STORE_UNAUTHORIZED", `${url} lets nobody in without leave (${status}); ${fix}`)
  }
  if (status >= 300 && status < 400) {
    // Attack: a redirect that makes us hand a token to somebody else, or follow the state of another rollout.
    return unavailable(
      url,
      `redirects (${status}) to ${shown(headers.location)}, and redirects are not followed; name the last address`,
    )
  }
  return unavailable(url, `answered with status ${status}${messageIn(body)}`)
}

function readDocument(url: string, { headers, body }: Answer, etag: string | undefined): Known {
  const type = (headers["content-type"] ?? "application/octet-stream").split(";")[0]?.trim().toLowerCase() ?? ""
  if (!TYPES.test(type)) throw unavailable(url, `answered with ${shown(type)}, and a document is application/json`)
  const encoding = headers["content-encoding"] ?? "identity"
  if (encoding !== "identity") {
    throw unavailable(url, `answered with what is ${shown(encoding)}, which was not asked for; serve it without`)
  }
  const envelope = decode(url, body)
  const revision = revisionOf(url, headers["serin-revision"], envelope)
  const token = etag === undefined ? createHash("sha256").update(body).digest("hex").slice(0, 32) : opaque(etag)
  return { found: { revision, token, envelope }, etag }
}

function decode(url: string, body: Buffer): string {
  try {
    return textIn(body)
  } catch (cause) {
    throw unavailable(url, "answered with what is not UTF-8", cause)
  }
}

/** From the server, else from the document: a state bears its revision, also inside a signed envelope. */
function revisionOf(url: string, header: string | string[] | undefined, envelope: string): number {
  if (header !== undefined) {
    const revision = typeof header === "string" && /^\d{1,16}$/.test(header) ? Number(header) : 0
    if (isRevision(revision)) return revision
    throw unavailable(url, `says that this is revision ${shown(String(header))}`)
  }
  const document = objectIn(envelope)
  const found = document?.["revision"] ?? objectIn(payloadOf(document))?.["revision"]
  if (isRevision(found)) return found
  throw unavailable(url, "has neither a serin-revision header nor a document with a revision")
}

const isRevision = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0

function objectIn(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    return undefined
  }
}

/** What a DSSE envelope holds. Whether it is signed is for the reader to say. */
function payloadOf(document: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const payload = document?.["payload"]
  return typeof payload === "string" ? Buffer.from(payload, "base64").toString("utf8") : undefined
}

/** An ETag that can be sent back: RFC 9110, 8.8.3. */
function etagIn(header: string | undefined): string | undefined {
  return header !== undefined && header.length <= MAX_ETAG && /^(W\/)?"[\x21\x23-\x7e]*"$/.test(header)
    ? header
    : undefined
}

/** Weak or not, it names the same document: proxies that compress make it weak. */
const opaque = (etag: string): string => etag.replace(/^W\//, "").slice(1, -1)

/** What a server of ours says beside a status. */
function messageIn(body: Buffer): string {
  const error = body.length <= 4096 ? objectIn(body.toString("utf8"))?.["error"] : undefined
  const message = typeof error === "object" && error !== null && "message" in error ? error.message : undefined
  return typeof message === "string" ? `: ${message.slice(0, 300)}` : ""
}

const shown = (text: string | undefined): string => JSON.stringify((text ?? "").slice(0, 100))
