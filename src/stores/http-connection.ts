import { SerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"
import { requireClock, systemClock, type Clock } from "../model/clock.js"
import type { KeysOf } from "../model/options.js"
import { keySegments } from "./document.js"
import { createHttpClient, type HttpClient, type HttpTls } from "./http-client.js"

/** How a server of documents is reached. */
export interface HttpOptions {
  /** Below it lie the documents: `https://controller.example/v1` has `/refund-agent/state`. */
  readonly url: string | URL
  /** Sent as `Authorization: Bearer …`; a function is asked at each request, for tokens that change. */
  readonly token?: string | (() => string) | undefined
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly tls?: HttpTls | undefined
  /** Longest wait for one answer, ms. Default 2,000. */
  readonly timeoutMs?: number | undefined
  readonly clock?: Clock | undefined
}

export const HTTP_OPTIONS: KeysOf<HttpOptions> = {
  url: true,
  token: true,
  headers: true,
  tls: true,
  timeoutMs: true,
  clock: true,
}
/** Token characters of RFC 6750, 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/
/** Read what says where a server is and who asks, and make what asks it. Throws `TypeError` and `RangeError`. */
export function connect({ url, token, headers = {}, tls = {}, timeoutMs = 2000, clock = systemClock }: HttpOptions): {
  readonly base: string
  readonly client: HttpClient
} {
  requireClock(clock)
  requirePositive("timeoutMs", timeoutMs)
  const base = parseBase(url)
  if (typeof token === "string") requireToken(token)
  const authorization = (): Readonly<Record<string, string>> =>
    token === undefined ? {} : { authorization: `Bearer ${typeof token === "string" ? token : currentToken(token)}` }
  const client = createHttpClient(base.protocol === "https:", {
    headers: () => ({ ...headers, ...authorization() }),
    tls,
    clock,
  })
  return { base: base.href.replace(/\/+$/, ""), client }
}

function parseBase(given: string | URL): URL {
  const url = URL.canParse(String(given)) ? new URL(String(given)) : null
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new TypeError(
      `url must be an address that begins with http:// or https://, got ${JSON.stringify(String(given))}`,
    )
  }
  if (url.username !== "" || url.password !== "")
    throw new TypeError("url must be without name and password; pass token")
  if (url.search !== "" || url.hash !== "")
    throw new TypeError("url must be without query and hash: the names of documents are added to it")
  return url
}

function requireToken(token: string): void {
  if (!TOKEN.test(token))
    throw new TypeError("token may have A-Z, a-z, 0-9 and - . _ ~ + /, then =, and must not be empty")
}

function currentToken(token: () => string): string {
  try {
    const current = token()
    requireToken(current)
    return current
  } catch (cause) {
    const reason = errorText(cause)
    throw new SerinError("STORE_UNAUTHORIZED", `token() gave none that can be sent: ${reason}`, { cause })
  }
}

export function requirePositive(option: string, value: number): void {
  if (!Number.isFinite(value) || value <= 0) throw new RangeError(`${option} must be a number > 0, got ${value}`)
}

export const addressOf = (base: string, key: string): string => `${base}/${keySegments(key).join("/")}`
