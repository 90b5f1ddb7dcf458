import { isSerinError } from "../../errors.js"
import type { Clock } from "../../model/clock.js"
import { reasonOf } from "../../model/error-text.js"
import { GIVEN_UP, within } from "../../model/within.js"
import { parseAnswer } from "./answer.js"
import type { Answer } from "./answer.js"
import { unavailable } from "./unavailable.js"

export interface Server {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly maxBytes: number
  readonly fetch: typeof fetch
  readonly clock: Clock
}

export interface Asked {
  readonly promql: string
  /** Seconds since the epoch by the server's clock; absent: now. */
  readonly at?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Put one question to the query API. Rejects with `EVIDENCE_UNAVAILABLE`, whatever comes. */
export async function ask(server: Server, { promql, at, signal }: Asked): Promise<Answer> {
  const { url, headers, timeoutMs, clock } = server
  async function exchange(own: AbortSignal): Promise<string> {
    const response = await server.fetch(new URL("api/v1/query", url), {
      method: "POST",
      headers: { accept: "application/json", ...headers, "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ query: promql, ...(at !== undefined && { time: at.toFixed(3) }) }).toString(),
      // Attack: a redirect that makes us hand a token to somebody else.
      redirect: "error",
      signal: own,
    })
    const body = await readBody(response, server.maxBytes)
    if (!response.ok) throw unavailable(`answers with status ${response.status}${told(body)}`)
    return body
  }
  const text = await within({ clock, ms: timeoutMs, stop: signal, keepAlive: true }, exchange).catch(
    (cause: unknown) => {
      throw isSerinError(cause) ? cause : unavailable(`cannot be asked: ${reasonOf(cause)}`, cause)
    },
  )
  if (text === GIVEN_UP) throw unavailable(`does not answer within ${timeoutMs} ms`)
  return parseAnswer(text)
}

/** Attack: a body without end. */
async function readBody(response: Response, maxBytes: number): Promise<string> {
  const reader = response.body?.getReader()
  if (reader === undefined) return ""
  const chunks: Uint8Array[] = []
  let bytes = 0
  for (;;) {
    const { done, value } = (await reader.read()) as { done: boolean; value?: Uint8Array }
    if (done || value === undefined) break
    bytes += value.byteLength
    if (bytes > maxBytes) {
      await reader.cancel().catch(() => {})
      throw unavailable(`answers with more than ${maxBytes} bytes`)
    }
    chunks.push(value)
  }
  return Buffer.concat(chunks).toString("utf8")
}

/** What a server that refuses says about it, as far as it is text of Prometheus. */
function told(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: unknown }
    return typeof error === "string" ? `: ${error.slice(0, 200)}` : ""
  } catch {
    return ""
  }
}
