import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { nodeListener } from "./node.js"

export interface ListenOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** Address to listen on. Default `127.0.0.1`: this machine alone. */
  readonly host?: string | undefined
}

export interface Listening {
  /** `http://127.0.0.1:8321`. */
  readonly url: string
  readonly port: number
  /** Take no more requests, and wait for those under way; what is left after two seconds is cut. */
  close(): Promise<void>
}

/** Time for the head of a request, ms. */
const HEADERS_MS = 10_000
/** Time for a whole request, ms: its body as well. */
const REQUEST_MS = 30_000
/** A connection on which nothing moves, not even a heartbeat that was written, is given up, ms. */
const SILENT_MS = 60_000
/** Longer than followers wait between two looks, so that they find their connection as they left it, ms. */
const KEEP_ALIVE_MS = 30_000
const GRACE_MS = 2000

/** Serve a web handler with `node:http`. Rejects with the system's error when the address cannot be had: `EADDRINUSE`, `EACCES`. */
export async function listen(
  handler: (request: Request) => Promise<Response>,
  { port, host = "127.0.0.1" }: ListenOptions,
): Promise<Listening> {
  const server = createServer({
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  })
  server.on("request", nodeListener(handler))
  // No listener: the socket is destroyed.
  server.setTimeout(SILENT_MS)
  server.listen(port, host)
  await once(server, "listening")
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
