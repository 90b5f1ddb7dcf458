import { isSerinError, SerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { isLoopback } from "../model/loopback.js"
import { reasonOf } from "../model/error-text.js"
import { SERIN_VERSION } from "../model/version.js"
import { GIVEN_UP, within } from "../model/within.js"

/** What every channel takes that posts to an address. */
export interface HttpOptions {
  /** Longest wait for the answer to one try, ms, 1 to 30,000. Default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Let messages cross the network in clear. Default false: http is for this machine alone. */
  readonly allowHttp?: boolean | undefined
  /** Default: the one of Node.js. */
  readonly fetch?: typeof fetch | undefined
  readonly clock?: Clock | undefined
}

export interface Post {
  readonly url: URL
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly fetch: typeof fetch
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Of an answer that says no, for people. */
const MAX_TOLD = 200

/**
 * Post a body once. Rejects with `CHANNEL_REFUSED` for an answer that will be the same next time (a redirect, and 4xx but 408 and 429), and
 * with `CHANNEL_UNAVAILABLE` for every other that is no success. Messages name the host alone: the path of an address may be a secret.
 */
export async function post({ url, body, headers, timeoutMs, fetch, clock, signal }: Post): Promise<void> {
  async function exchange(own: AbortSignal): Promise<void> {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": `serin/${SERIN_VERSION}`, ...headers },
      body,
      // Attack: a redirect to somebody inside, or to another who is then told.
      redirect: "manual",
      signal: own,
    })
    if (response.ok) return void response.body?.cancel().catch(() => {})
    throw refusedBy(url, response, await firstWords(response), clock.now())
  }
  const unavailable = (why: string, cause?: unknown): SerinError =>
    new SerinError("CHANNEL_UNAVAILABLE", `${url.host} ${why}`, { cause })
  const ended = await within({ clock, ms: timeoutMs, stop: signal }, exchange).catch((cause: unknown) => {
    throw isSerinError(cause) ? cause : unavailable(`cannot be reached: ${reasonOf(cause)}`, cause)
  })
  if (ended === GIVEN_UP) throw unavailable(`does not answer within ${timeoutMs} ms`)
}

/** Read the address of a channel. Throws `TypeError`, and shows nothing of it but its host. */
export function requireUrl(option: string, value: unknown, allowHttp: boolean): URL {
  const url = typeof value === "string" || value instanceof URL ? parseUrl(value) : null
  if (url === null) throw new TypeError(`${option} must be an address, got something else; write https://host/path`)
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`${option} must have no name and password, got both for ${url.host}; who sends it is signed`)
  }
  const isPlain = url.protocol === "http:"
  if (url.protocol !== "https:" && !isPlain) {
    throw new TypeError(`${option} must begin with https://, got ${url.protocol}//${url.host}`)
  }
  if (isPlain && !allowHttp && !isLoopback(url.hostname)) {
    throw new TypeError(
      `${option} must begin with https://, got http://${url.host}; \`allowHttp: true\` sends it in clear, for all to read on the way`,
    )
  }
  return url
}

/** Throw `RangeError` for a deadline that is none. */
export function requireTimeout(option: string, ms: number): number {
  if (ms > 0 && ms <= 30_000) return ms
  throw new RangeError(`${option} must be ms above 0 and up to 30,000, got ${String(ms)}; leave it out for 10,000`)
}

export const DEFAULT_TIMEOUT_MS = 10_000

function parseUrl(value: string | URL): URL | null {
  try {
    return new URL(value)
  } catch {
    return null
  }
}

function refusedBy({ host }: URL, { status, headers }: Response, told: string, now: number): SerinError {
  const redirects = status >= 300 && status < 400
  const isFinal = redirects || (status >= 400 && status < 500 && status !== 408 && status !== 429)
  const why = redirects ? ", a redirect, which is not followed: name the last address" : told === "" ? "" : `: ${told}`
  const retryAfterMs = isFinal ? undefined : retryAfter(headers.get("retry-after"), now)
  const code = isFinal ? "CHANNEL_REFUSED" : "CHANNEL_UNAVAILABLE"
  return new SerinError(code, `${host} answers ${status}${why}`, retryAfterMs === undefined ? {} : { retryAfterMs })
}

/** Seconds, or a date: RFC 9110, 10.2.3. */
function retryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined
  const ms = /^\d{1,9}$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now
  return ms >= 0 ? ms : undefined
}

/** Attack: a body without end, or with escapes of a terminal. */
async function firstWords(response: Response): Promise<string> {
  const reader = response.body?.getReader()
  if (reader === undefined) return ""
  const chunks: Uint8Array[] = []
  for (let bytes = 0; bytes < MAX_TOLD;) {
    const { done, value } = (await reader.read()) as { done: boolean; value?: Uint8Array }
    if (done || value === undefined) break
    bytes += value.byteLength
    chunks.push(value)
  }
  await reader.cancel().catch(() => {})
  const text = Buffer.concat(chunks).toString("utf8", 0, MAX_TOLD)
  return text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim()
}
