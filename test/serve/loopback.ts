import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Socket } from "node:net"
import { listen, type Listening } from "../../src/serve/listen.js"

type Handler = (request: Request) => Promise<Response>

/** Serve a handler on this machine until the test is over. */
export const onLoopback = (handler: Handler, port = 0): Promise<Listening> => listen(handler, { port })

/** A connection between a client and a server that can go bad in the ways that networks do. */
export interface Relay {
  readonly port: number
  /** Connections that are open now fall silent, and stay open; later ones work. */
  stall(): void
  /** Every connection falls silent, later ones as well. */
  stallAll(stalled: boolean): void
  /** Connections that are open now break. */
  cut(): void
  /** Connections so far. */
  connections(): number
  close(): Promise<void>
}

export async function relayTo(port: number): Promise<Relay> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let all = false
  let connections = 0
  const freeze = ([client, server]: readonly [Socket, Socket]): void => {
    client.unpipe(server).pause()
    server.unpipe(client).pause()
  }
  const relay = createServer((client) => {
    connections++
    const server = connect(port, "127.0.0.1")
    const pair = [client, server] as const
    pairs.add(pair)
    const end = (): void => {
      pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of pair) socket.on("error", end).on("close", end)
    client.pipe(server)
    server.pipe(client)
    if (all) freeze(pair)
  })
  relay.listen(0, "127.0.0.1")
  await once(relay, "listening")
  return {
    port: (relay.address() as AddressInfo).port,
    stall: () => pairs.forEach(freeze),
    stallAll(stalled) {
      all = stalled
      if (stalled) pairs.forEach(freeze)
    },
    cut: () => pairs.forEach(([client]) => client.resetAndDestroy()),
    connections: () => connections,
    async close() {
      for (const [client] of pairs) client.destroy()
      relay.close()
      await once(relay, "close")
    },
  }
}

/** A server that sends these bytes to whoever connects and asks; null: it never says anything. `then` is what becomes of the connection. */
export async function rawServer(
  answer: (asked: string, nth: number) => string | Buffer | null,
  then: "close" | "keep" = "close",
): Promise<{ readonly url: string; connections(): number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  let connections = 0
  let asked = 0
  const server = createServer((socket) => {
    connections++
    sockets.add(socket)
    socket.on("error", () => {}).on("close", () => sockets.delete(socket))
    socket.on("data", (data) => {
      const text = answer(data.toString(), ++asked)
      if (text === null) return
      if (then === "close") socket.end(text)
      else socket.write(text)
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    connections: () => connections,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, "close")
    },
  }
}
