import { systemClock } from "../model/clock.js"
import { refuseUnknown, type KeysOf } from "../model/options.js"
import type { ReadStore } from "../rollout/store.js"
import { keySegments, MAX_DOCUMENT_BYTES } from "./document.js"
import { readAnswer, type Known } from "./http-answer.js"
import { addressOf, connect, HTTP_OPTIONS, requirePositive, type HttpOptions } from "./http-connection.js"
import { watchRollout, type RolloutWatch } from "./http-watch.js"

export type { HttpTls } from "./http-client.js"
export type { HttpOptions } from "./http-connection.js"
export { httpSink, type HttpSink } from "./http-sink.js"

/** Options of `httpStore()`. */
export interface HttpStoreOptions extends HttpOptions {
  /** Time between the server's heartbeats, ms: a stream that is silent for 2.5 of them is dropped. Default 2,000, as the server's. */
  readonly heartbeatMs?: number | undefined
  /** What is longer is refused while it comes. Default 8 MiB. */
  readonly maxBytes?: number | undefined
}

/** A store that ends with its connections. */
export interface HttpStore extends ReadStore {
  /** End all requests and watches; what is asked afterwards is `STORE_UNAVAILABLE`. */
  close(): void
}

const STORE: KeysOf<HttpStoreOptions> = { ...HTTP_OPTIONS, heartbeatMs: true, maxBytes: true }

/**
 * Read a store through `serin serve`, or from wherever its documents are served as plain files. Changes are heard of by server-sent
 * events, else by long polls, else not at all: a follower reads every few seconds in any case. Failures are `STORE_UNAVAILABLE`, and
 * `STORE_UNAUTHORIZED` where the server says 401 or 403. Nothing keeps the process alive but a read under way. Throws `TypeError` and
 * `RangeError` for options that cannot be meant.
 */
export function httpStore(options: HttpStoreOptions): HttpStore {
  refuseUnknown("httpStore", options, STORE)
  const { clock = systemClock, timeoutMs = 2000, heartbeatMs = 2000, maxBytes = MAX_DOCUMENT_BYTES } = options
  requirePositive("heartbeatMs", heartbeatMs)
  requirePositive("maxBytes", maxBytes)
  const { base, client } = connect(options)
  const known = new Map<string, Known>()
  const watches = new Map<string, RolloutWatch>()

  return {
    // Whether what a proxy has is the newest, nobody can say: the follower and the beats do.
    caps: { push: true, linearizable: false, ack: "async", maxBytes },

    async get(key, { signal } = {}) {
      const url = addressOf(base, key)
      const before = known.get(key)
      const answer = await client.ask(url, {
        method: "GET",
        headers: { accept: "application/json", ...(before?.etag !== undefined && { "if-none-match": before.etag }) },
        timeoutMs,
        maxBytes,
        signal,
        keepAlive: true,
      })
      // What is asked next is asked without a condition, unless this was understood.
      known.delete(key)
      const now = readAnswer(url, answer, before)
      if (now.found !== null) known.set(key, now)
      return now.found
    },

    watch(key, hint, { signal }) {
      const [rollout = "", document, ...more] = keySegments(key)
      // A server tells of the documents of rollouts, and there are no others.
      if (document === undefined || more.length > 0) return
      const url = addressOf(base, rollout)
      const watch = watches.get(rollout) ?? watchRollout({ client, url, clock, heartbeatMs, timeoutMs })
      watches.set(rollout, watch)
      watch.add(document, hint, signal)
    },

    close() {
      for (const watch of watches.values()) watch.close()
      client.close()
    },
  }
}
