import { setMaxListeners } from "node:events"
import * as http from "node:http"
import * as https from "node:https"
import type { SecureContextOptions } from "node:tls"
import { SerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { reasonOf } from "../model/error-text.js"

/** Whom to trust, and who one is, where a server asks for certificates. As `node:tls` takes it. */
export type HttpTls = Pick<SecureContextOptions, "ca" | "cert" | "key">

export interface HttpClientOptions {
  /** Sent with each request. */
  readonly headers: () => Readonly<Record<string, string>>
  readonly tls: HttpTls
  readonly clock: Clock
}

export interface Ask {
  readonly method: "GET" | "HEAD" | "PUT"
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** For everything, from the name's look-up to the last byte. Ms. */
  readonly timeoutMs: number
  /** What is longer is cut off. */
  readonly maxBytes: number
  readonly signal?: AbortSignal | undefined
  /** Whether the request keeps the process alive. */
  readonly keepAlive: boolean
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

export interface OpenStream {
  readonly headers: Readonly<Record<string, string>>
  /** For the head of the answer, ms. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export interface HttpClient {
  /** Ask, and read the whole answer. Rejects with `STORE_UNAVAILABLE`. */
  ask(url: string, ask: Ask): Promise<Answer>
  /**
   * Ask on a connection of its own, for an answer that goes on: it lives until the signal aborts. Null: nobody answered in time. Rejects
   * with `STORE_UNAVAILABLE`.
   */
  stream(url: string, open: OpenStream): Promise<http.IncomingMessage | null>
  close(): void
}

/**
 * Requests that do not outlive their deadline. `fetch` cannot do this: it hands the connection of a request that was given up to the next
 * one, which then waits for the same silence; and its pool cannot be had without a dependency.
 */
export function createHttpClient(secure: boolean, { headers, tls, clock }: HttpClientOptions): HttpClient {
  const { Agent, request } = secure ? https : http
  const agent: http.Agent = new Agent({ keepAlive: true, maxSockets: 16, ...tls })
  const lifetime = new AbortController()
  setMaxListeners(0, lifetime.signal)

  /** What one silent connection tells of the others that lie idle: they lead to the same place. */
  function dropIdle(): void {
    for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  function ask(url: string, asked: Ask, again = true): Promise<Answer> {
    const { method, body, timeoutMs, maxBytes, signal, keepAlive } = asked
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, agent, headers: { ...base(), ...asked.headers, ...lengthOf(body) } })
      const cancel = clock.schedule(
        () => {
          dropIdle()
          fail(unavailable(url, `did not answer within ${timeoutMs} ms`))
        },
        timeoutMs,
        { keepAlive },
      )
      let settled = false
      const giveUp = (): void => fail(unavailable(url, "was not waited for any longer", signal?.reason))
      const end = (): void => fail(closed(url))

      /** A request that is destroyed takes its connection with it: nothing is put back that may be dead. */
      function fail(error: unknown): void {
        settle()
        sent.destroy()
        reject(error)
      }
      function settle(): void {
        settled = true
        cancel()
        signal?.removeEventListener("abort", giveUp)
        lifetime.signal.removeEventListener("abort", end)
      }

      signal?.addEventListener("abort", giveUp, { once: true })
      lifetime.signal.addEventListener("abort", end, { once: true })
      sent.on("socket", (socket) => void (keepAlive || socket.unref()))
      sent.on("error", (cause) => {
        if (settled) return
        // The server closed a connection that lay idle, just as it was used: that says nothing of the server.
        if (again && sent.reusedSocket && signal?.aborted !== true && !lifetime.signal.aborted) {
          settle()
          ask(url, asked, false).then(resolve, reject)
        } else fail(unavailable(url, `cannot be reached: ${reasonOf(cause)}`, cause))
      })
      sent.on("response", (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        // Attack: a body without end.
        const tooLarge = (): void => fail(unavailable(url, `answered with more than ${maxBytes} bytes`))
        if (method !== "HEAD" && Number(response.headers["content-length"] ?? 0) > maxBytes) return tooLarge()
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > maxBytes) return tooLarge()
          chunks.push(chunk)
        })
        response.on("error", (cause) => fail(unavailable(url, `broke off: ${reasonOf(cause)}`, cause)))
        response.on("end", () => {
          settle()
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
        })
      })
      if (lifetime.signal.aborted) return end()
      if (signal?.aborted === true) return giveUp()
      sent.end(body)
    })
  }

  function base(): Record<string, string> {
    // Not compressed: a small body that unpacks to a large one has nothing to unpack.
    return { "accept-encoding": "identity", "cache-control": "no-cache", ...headers() }
  }

  return {
    ask: (url, asked) => ask(url, asked),

    stream(url, { headers: own, timeoutMs, signal }) {
      return new Promise((resolve, reject) => {
        // Not of the pool: it is never given back.
        const sent = request(url, { agent: new Agent({ maxSockets: 1, ...tls }), headers: { ...base(), ...own } })
        const cancel = clock.schedule(() => {
          resolve(null)
          end(unavailable(url, `did not answer within ${timeoutMs} ms`))
        }, timeoutMs)
        const stop = (): void => end(closed(url))

        function end(error: unknown): void {
          cancel()
          sent.destroy()
          signal.removeEventListener("abort", stop)
          reject(error)
        }

        signal.addEventListener("abort", stop, { once: true })
        sent.on("socket", (socket) => void socket.unref())
        sent.on("error", (cause) => end(unavailable(url, `cannot be reached: ${reasonOf(cause)}`, cause)))
        sent.on("close", () => signal.removeEventListener("abort", stop))
        sent.on("response", (response) => {
          cancel()
          // Told of by "close": an event stream has no answer that could be half.
          response.on("error", () => {})
          resolve(response)
        })
        if (signal.aborted) return stop()
        sent.end()
      })
    },

    close() {
      lifetime.abort()
      agent.destroy()
    },
  }
}

const lengthOf = (body: string | undefined): Record<string, string> =>
  body === undefined ? {} : { "content-length": `${Buffer.byteLength(body)}` }

/** Say what is wrong with an address. */
export function unavailable(url: string, what: string, cause?: unknown): SerinError {
  return new SerinError("STORE_UNAVAILABLE", `${url} ${what}`, { cause })
}

const closed = (url: string): SerinError => unavailable(url, "is not asked any more: the store was closed")
