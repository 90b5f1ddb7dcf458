import { lookup } from "node:dns"
import { request } from "node:https"
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import type { LookupFunction } from "node:net"
import { SerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { GIVEN_UP, within } from "../model/within.js"
import { isPrivateAddress } from "./address.js"

export interface FetchOptions {
  readonly maxBytes: number
  /** For everything: names, connections, redirects, the last byte. Ms. */
  readonly timeoutMs: number
  readonly allowPrivateAddresses: boolean
  /** Certificates to trust instead of the machine's, PEM. */
  readonly ca: string | undefined
  /** Sent to the origin that was asked for, and to no other. */
  readonly headers: Readonly<Record<string, string>>
  readonly clock: Clock
}

export type Fetched =
  | { readonly status: "new"; readonly bytes: Buffer; readonly etag: string | null }
  /** What has the etag that was named. */
  | { readonly status: "unchanged" }
  | { readonly status: "missing" }

const MAX_REDIRECTS = 3
const MAX_ETAG = 1024

/** Fetch one file over https. Rejects with `RELEASE_UNAVAILABLE`, and with `RELEASE_INVALID` for one that is too large. */
export async function fetchFile(url: URL, etag: string | null, options: FetchOptions): Promise<Fetched> {
  const { clock, timeoutMs } = options
  // Attack: a server that sends a byte a minute.
  const fetched = await within({ clock, ms: timeoutMs, keepAlive: true }, (signal) =>
    follow(url, etag, options, signal),
  ).catch((cause: unknown) => {
    if (cause instanceof SerinError) throw cause
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)
    throw unavailable(url, `cannot be fetched: ${code}`, cause)
  })
  if (fetched === GIVEN_UP) throw unavailable(url, `did not come within ${timeoutMs} ms`)
  return fetched
}

async function follow(first: URL, etag: string | null, options: FetchOptions, signal: AbortSignal): Promise<Fetched> {
  let url = first
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await get(url, {
      options,
      signal,
      headers: {
        // Attack: a redirect that makes us hand a token to somebody else.
        ...(url.origin === first.origin && options.headers),
        accept: "application/gzip, application/octet-stream",
        ...(etag !== null && { "if-none-match": etag }),
      },
    })
    const { statusCode = 0, headers } = response
    if (statusCode === 200) return await readBody(first, response, options)
    response.destroy()
    if (statusCode === 304 && etag !== null) return { status: "unchanged" }
    if (statusCode === 404 || statusCode === 410) return { status: "missing" }
    const isRedirect = [301, 302, 303, 307, 308].includes(statusCode)
    if (!isRedirect || headers.location === undefined) {
      throw unavailable(first, `was answered with status ${statusCode}${url === first ? "" : ` by ${shownUrl(url)}`}`)
    }
    const next: URL | null = URL.canParse(headers.location, url.href) ? new URL(headers.location, url) : null
    // Attacks: from https down to http, where everybody writes along; to `file:`, to a name and password in the address.
    if (next?.protocol !== "https:" || next.username !== "" || next.password !== "") {
      throw unavailable(first, "is redirected to what is no plain https address")
    }
    url = next
  }
  throw unavailable(first, `is redirected more than ${MAX_REDIRECTS} times`)
}

interface Get {
  readonly options: FetchOptions
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

function get(url: URL, { options, headers, signal }: Get): Promise<IncomingMessage> {
  const { ca, allowPrivateAddresses } = options
  return new Promise((resolve, reject) => {
    // An address in the URL is connected to as it is; only names are looked up.
    const host = url.hostname.replace(/^\[|\]$/g, "")
    if (!allowPrivateAddresses && isIP(host) !== 0 && isPrivateAddress(host)) throw privateAddress(host)
    // No agent: a pooled connection may be one whose address nobody checked.
    const own = { agent: false, headers, signal, ...(ca !== undefined && { ca }) }
    const sent = request(url, allowPrivateAddresses ? own : { ...own, lookup: publicLookup }, resolve)
    sent.on("error", reject)
    sent.end()
  })
}

/**
 * Look a name up, and refuse it where any of its addresses is private. Attack: DNS rebinding: a name that is public when it is checked
 * and `127.0.0.1` when it is connected to. The addresses that this answers are those that `node:net` connects to.
 */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, options, (error, address, family) => {
    const found = Array.isArray(address) ? address.map((one) => one.address) : [address]
    const bad = error === null ? found.find(isPrivateAddress) : undefined
    callback(bad === undefined ? error : privateAddress(bad), address, family)
  })
}

async function readBody(url: URL, response: IncomingMessage, { maxBytes }: FetchOptions): Promise<Fetched> {
  const chunks: Buffer[] = []
  let bytes = 0
  // Attack: a body without end. What it says of its length is not believed, but saves the download.
  if (Number(response.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(url, maxBytes)
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw tooLarge(url, maxBytes)
    chunks.push(chunk)
  }
  const { etag } = response.headers
  return {
    status: "new",
    bytes: Buffer.concat(chunks),
    etag: etag !== undefined && etag.length <= MAX_ETAG ? etag : null,
  }
}

/** An address for messages: what may be a secret - a query, a name and password - is left out. */
export const shownUrl = (url: URL): string => `${url.origin}${url.pathname}`

function tooLarge(url: URL, maxBytes: number): SerinError {
  const message = `is larger than ${maxBytes} bytes`
  return new SerinError("RELEASE_INVALID", `${shownUrl(url)} ${message}`, {
    problems: [{ where: shownUrl(url), message, fix: "raise maxBytes if it should be" }],
  })
}

function privateAddress(address: string): SerinError {
  const message = `is at the private address ${address}`
  return new SerinError("RELEASE_UNAVAILABLE", `the release ${message}`, {
    problems: [{ where: address, message, fix: "set allowPrivateAddresses if it should be" }],
  })
}

function unavailable(url: URL, message: string, cause?: unknown): SerinError {
  const problems = [{ where: shownUrl(url), message }]
  return new SerinError("RELEASE_UNAVAILABLE", `${shownUrl(url)} ${message}`, { problems, cause })
}
