import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { refuseUnknown, type KeysOf } from "../model/options.js"
import { nodeListener } from "./node.js"

/** Options of `listen()`. */
export interface ListenOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** Address to listen on. Default `127.0.0.1`: this machine alone. */
  readonly host?: string | undefined
  /** Connections at once; what is over is closed as it comes. Default 4,000: a process that follows takes two. */
  readonly maxConnections?: number | undefined
}

/** A server that listens. */
export interface Listening {
  /** `http://127.0.0.1:8321`. */
  readonly url: string
  readonly port: number
  /** Take no more requests, and wait for those under way; what is left after two seconds is cut. */
  close(): Promise<void>
}

/** What a client may take, and how long. */
export interface Limits {
  readonly maxConnections: number
  /** Time for the head of a request, ms, from the connection on for the first. */
  readonly headersMs: number
  /** Time for a whole request, ms: its body as well. */
  readonly requestMs: number
  /** A connection on which nothing moves, not even a heartbeat that was written, is given up, ms. */
  readonly silentMs: number
  /** Longer than followers wait between two looks, so that they find their connection as they left it, ms. */
  readonly keepAliveMs: number
  /** Time between two looks at who is too slow, ms. */
  readonly checkEveryMs: number
}

const LIMITS: Limits = {
  maxConnections: 4000,
  headersMs: 10_000,
  requestMs: 30_000,
  silentMs: 60_000,
  keepAliveMs: 30_000,
  // Node.js looks every 30 s: three times as long as a head may take.
  checkEveryMs: 1000,
}
const GRACE_MS = 2000

const OPTIONS: KeysOf<ListenOptions> = { port: true, host: true, maxConnections: true }

/**
 * Serve a web handler with `node:http`, with limits on what clients take. Rejects with the system's error when the address cannot be had: `EADDRINUSE`,
 * `EACCES`. Throws `TypeError` and `RangeError` for options that there are not.
 */
export async function listen(
  handler: (request: Request) => Promise<Response>,
  options: ListenOptions,
): Promise<Listening> {
  refuseUnknown("listen", options, OPTIONS)
  const { maxConnections = LIMITS.maxConnections } = options
  if (!(Number.isSafeInteger(maxConnections) && maxConnections >= 1)) {
    throw new RangeError(`maxConnections must be a whole number from 1 on, got ${maxConnections}`)
  }
  return listenWithin({ ...LIMITS, maxConnections }, handler, options)
}

/** As {@link listen}, within other limits: for tests, which have no time. */
export async function listenWithin(
  limits: Limits,
  handler: (request: Request) => Promise<Response>,
  { port, host = "127.0.0.1" }: Pick<ListenOptions, "port" | "host">,
): Promise<Listening> {
  const server = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.checkEveryMs,
  })
  // Attack: connections that are opened until no file is left to this process. What is over is closed as it comes.
  server.maxConnections = limits.maxConnections
  server.on("request", nodeListener(handler))
  // No listener: the socket is destroyed.
  server.setTimeout(limits.silentMs)
  server.listen(port, host)
  await once(server, "listening")
  // What one connection fails of as it comes, a rule of a firewall or no memory left, must not end this process.
  server.on("error", () => {})
  const address = server.address() as AddressInfo
  const name = address.family === "IPv6" ? `[${address.address}]` : address.address
  return {
    url: `http://${name}:${address.port}`,
    port: address.port,
    async close() {
      const closed = once(server, "close")
      server.close()
      server.closeIdleConnections()
      const cut = setTimeout(() => server.closeAllConnections(), GRACE_MS)
      await closed
      clearTimeout(cut)
    },
  }
}
