import { SerinError } from "../errors.js"
import type { EvidenceSink } from "../evidence/sink.js"
import { refuseUnknown } from "../model/options.js"
import { refused } from "./http-answer.js"
import { addressOf, connect, HTTP_OPTIONS, type HttpOptions } from "./http-connection.js"

/** A sink of evidence that ends with its connections. */
export interface HttpSink extends EvidenceSink {
  close(): void
}

/** An error in words is the longest that a server says to evidence. */
const MAX_REPLY_BYTES = 65_536

/**
 * Publish evidence through `serin serve`. Evidence that is older than what is there already counts as arrived. Rejects with
 * `STORE_UNAUTHORIZED`, with `STORE_CONFLICT` where another process publishes under the same key, and with `STORE_UNAVAILABLE` for all
 * else: then it may have arrived, and what is put next says all of it again.
 */
export function httpSink(options: HttpOptions): HttpSink {
  refuseUnknown("httpSink", options, HTTP_OPTIONS)
  const { timeoutMs = 2000 } = options
  const { base, client } = connect(options)

  return {
    async put(key, text, { signal } = {}) {
      const url = addressOf(base, key)
      const headers = { "content-type": "application/json" }
      const asked = { method: "PUT", headers, body: text, timeoutMs, signal, maxBytes: MAX_REPLY_BYTES } as const
      const answer = await client.ask(url, { ...asked, keepAlive: false })
      if (answer.status === 204 || (answer.status === 409 && errorCode(answer.body) === "OLDER")) return
      if (answer.status === 409) {
        throw new SerinError(
          "STORE_CONFLICT",
          `${url} holds other evidence of the same sequence; give each process a name of its own`,
        )
      }
      throw refused(url, answer)
    },
    close: () => client.close(),
  }
}

function errorCode(body: Buffer): unknown {
  try {
    return (JSON.parse(body.toString("utf8")) as { readonly error?: { readonly code?: unknown } }).error?.code
  } catch {
    return undefined
  }
}
