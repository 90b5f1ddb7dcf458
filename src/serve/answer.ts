import type { Versioned } from "../rollout/store.js"

/** What an error of this protocol is called, beside its status. */
export type Refusal =
  | "BAD_REQUEST"
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "NOT_ACCEPTABLE"
  | "TIMEOUT"
  | "OLDER"
  | "DIFFERENT"
  | "TOO_LARGE"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "INVALID"
  | "TOO_MANY"
  | "FAILED"
  | "UNAVAILABLE"

type Headers = Readonly<Record<string, string>>

/** No proxy may answer for the store: what it kept would hide a kill. */
const EVERY = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  vary: "accept, authorization",
} as const

/** Stands for a document that was never written. */
const NOTHING = "0"

/** Name what was found as HTTP does. A token may hold what an ETag may not. */
export const etagOf = (found: Versioned | null): string =>
  `"${found === null ? NOTHING : encodeURIComponent(found.token)}"`

/** Answer with a document as it is, or with what stands for one that was never written. */
export function documentAnswer(found: Versioned | null, headOnly: boolean, more: Headers): Response {
  const headers = { ...EVERY, etag: etagOf(found), "serin-revision": `${found?.revision ?? 0}`, ...more }
  if (found === null) return refusal(404, "NOT_FOUND", "this document was never written", headers, headOnly)
  const bytes = new TextEncoder().encode(found.envelope)
  return new Response(headOnly ? null : bytes, {
    headers: { ...headers, "content-type": "application/json; charset=utf-8", "content-length": `${bytes.length}` },
  })
}

export function unchanged(found: Versioned | null, more: Headers): Response {
  const headers = { ...EVERY, etag: etagOf(found), "serin-revision": `${found?.revision ?? 0}`, ...more }
  return new Response(null, { status: 304, headers })
}

export const done = (): Response => new Response(null, { status: 204, headers: EVERY })

export function streamAnswer(body: ReadableStream<Uint8Array> | null): Response {
  return new Response(body, {
    // nginx reads the last one: it would keep events until its buffer is full.
    headers: { ...EVERY, "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" },
  })
}

/** Say no. The message is for people, and tells nothing of the machine. */
export function refusal(
  status: number,
  code: Refusal,
  message: string,
  more: Headers = {},
  headOnly = false,
): Response {
  const text = `${JSON.stringify({ error: { code, message } })}\n`
  const headers = { ...EVERY, ...more, "content-type": "application/json; charset=utf-8" }
  return new Response(headOnly ? null : text, { status, headers })
}

/** Whether a request asks for a type, or says nothing of it: RFC 9110, 12.5.1. */
export function accepts(request: Request, type: string): boolean {
  const header = request.headers.get("accept")
  if (header === null || header.trim() === "") return true
  const family = `${type.split("/")[0]}/*`
  return header.split(",").some((range) => {
    const [name = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase())
    return [type, family, "*/*"].includes(name) && !parameters.some((one) => /^q=0(\.0*)?$/.test(one))
  })
}

/** Whether the client has what is there: RFC 9110, 13.1.2. A proxy that compresses makes a tag weak, and means the same. */
export function hasAlready(request: Request, found: Versioned | null): boolean {
  const header = request.headers.get("if-none-match")
  if (header === null) return false
  if (header.trim() === "*") return found !== null
  return header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etagOf(found))
}
