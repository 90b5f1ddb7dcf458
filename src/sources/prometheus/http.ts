import { isSerinError } from "../../errors.js"
import type { Clock } from "../../model/clock.js"
import { orGiveUp } from "../../model/or-give-up.js"
import { reasonOf } from "../../model/reason-of.js"
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
  const own = new AbortController()
  const abort = (): void => own.abort()
  // A timer and a listener of our own: `AbortSignal.any` forgets time-outs on Node.js 20.
  const cancel = clock.schedule(abort, timeoutMs, { keepAlive: true })
  signal?.addEventListener("abort", abort)
  if (signal?.aborted === true) abort()
  async function exchange(): Promise<string> {
    const response = await server.fetch(new URL("api/v1/query", url), {
      method: "POST",
      headers: { accept: "application/json", ...headers, "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ query: promql, ...(at !== undefined && { time: at.toFixed(3) }) }).toString(),
      // Attack: a redirect that makes us hand a token to somebody else.
      redirect: "error",
      signal: own.signal,
    })
    const body = await readBody(response, server.maxBytes)
    if (!response.ok) throw unavailable(`answers with status ${response.status}${told(body)}`)
    return body
  }
  try {
    const text = await orGiveUp(own.signal, exchange())
    return parseAnswer(text)
  } catch (cause) {
    if (isSerinError(cause)) throw cause
    const why = own.signal.aborted ? `does not answer within ${timeoutMs} ms` : `cannot be asked: ${reasonOf(cause)}`
    throw unavailable(why, cause)
  } finally {
    cancel()
    signal?.removeEventListener("abort", abort)
    own.abort() // a body that is still being read
  }
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
