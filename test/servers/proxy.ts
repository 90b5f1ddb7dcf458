import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"

/** What lies between a client and a server on loopback, and fails when a test says so. */
export interface Proxy {
  readonly port: number
  /** End all established connections; new ones get through. */
  cut(): void
  /** Lose every packet, of established connections and of new ones, and tell nobody. */
  stall(): void
  /** Let through again. What was sent meanwhile arrives now, as TCP sends again, unless its sender reset the connection. */
  heal(): void
  /** Hold back everything for so long, ms. */
  delay(ms: number): void
  close(): Promise<void>
}

interface Way {
  readonly deliver: () => void
}

/**
 * Stand before the port of a server. A stall is what a network does that loses everything: connections are accepted and nothing is ever
 * answered. It tells a connection that was closed (its last bytes are sent again when the network is back) from one that was reset.
 */
export async function startProxy(target: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const ways = new Set<Way>()
  let stalled = false
  let delayMs = 0

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true })
    const pair = [client, upstream]
    for (const socket of pair) {
      sockets.add(socket.setNoDelay(true))
      socket.on("close", () => sockets.delete(socket))
    }
    const there = oneWay(client, upstream)
    const back = oneWay(upstream, client)
    for (const socket of pair) {
      socket.on("error", () => {
        ways.delete(there)
        ways.delete(back)
        for (const side of pair) side.destroy()
      })
    }
  })

  function oneWay(from: Socket, to: Socket): Way {
    const held: (Buffer | null)[] = []
    const way: Way = {
      deliver() {
        if (stalled || to.destroyed) return
        for (const chunk of held.splice(0)) {
          if (chunk === null) to.end()
          else to.write(chunk)
        }
      },
    }
    const take = (chunk: Buffer | null): void => {
      held.push(chunk)
      if (delayMs > 0) setTimeout(way.deliver, delayMs)
      else way.deliver()
    }
    from.on("data", take)
    from.on("end", () => take(null))
    from.on("close", () => held.length === 0 && ways.delete(way))
    ways.add(way)
    return way
  }

  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the proxy has no port")

  return {
    port: address.port,
    cut() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    stall: () => void (stalled = true),
    heal() {
      stalled = false
      for (const way of ways) way.deliver()
    },
    delay: (ms) => void (delayMs = ms),
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
