import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { setTimeout } from "node:timers/promises"
import { resetSocket } from "../../src/stores/socket.js"

/** What lies between a client and a server on loopback, and fails when a test says so. */
export interface Proxy {
  readonly port: number
  /** End all established connections; new ones get through. */
  cut(): void
  /** Lose every packet, and tell nobody: of the connections that there are, or of new ones as well. */
  stall(which: "established" | "all"): void
  /** Lose every packet of the connection that next sends this text, from then on. */
  stallOn(text: string): void
  /** Resolves when this text has been sent on. */
  delivered(text: string): Promise<void>
  /**
   * Let through again: new connections at once, and what was lost later, as TCP sends it again, unless its sender reset the connection.
   * Resolves then.
   */
  heal(): Promise<void>
  close(): Promise<void>
}

interface Pair {
  readonly sockets: readonly Socket[]
  stalled: boolean
  /** What arrived and is not sent on yet; null is the end. */
  readonly held: { readonly chunk: Buffer | null; readonly to: Socket }[]
}

/**
 * Longest wait for resets that are on their way when the network is back, ms. One is late where another thread starts a program meanwhile,
 * which has a copy of the connection until the program runs: by 1.4 s on a busy machine of two cores.
 */
const RESET_MS = 5000
/**
 * Of the event loop, before what was lost is sent again: one in which a connection that was made is accepted, one in which what it sent and its
 * reset are read, and one to spare.
 */
const TURNS = 3

const holdsRequest = ({ held, sockets: [client] }: Pair): boolean => held.some(({ to }) => to !== client)

/**
 * Stand before the port of a server. A stall is what a network does that loses everything: connections are accepted and nothing is ever
 * answered. It tells a connection that was closed (its last bytes are sent again when the network is back) from one that was reset.
 */
export async function startProxy(
  target: number,
  options: {
    /** It is a middle box, which sends on what it has taken whatever became of the sender. */
    readonly keeps?: boolean
    /** Longest wait for resets, ms, before what was lost is sent again. */
    readonly resetMs?: number
  } = {},
): Promise<Proxy> {
  const { keeps = false, resetMs = RESET_MS } = options
  const pairs = new Set<Pair>()
  let trap: string | null = null
  let awaited: { readonly text: string; readonly resolve: () => void } | null = null
  let losesNew = false
  /** Of what was said of stalls, the last counts. */
  let stalls = 0

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true })
    const pair: Pair = { sockets: [client, upstream], stalled: losesNew, held: [] }
    pairs.add(pair)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      const take = (chunk: Buffer | null): void => {
        if (trap !== null && chunk?.includes(trap) === true) {
          trap = null
          pair.stalled = true
        }
        pair.held.push({ chunk, to })
        deliver(pair)
      }
      from.setNoDelay(true)
      from.on("data", take)
      from.on("end", () => {
        take(null)
        // Where data and a reset come at once, libuv tells of an end, and only a write tells of the reset.
        if (pair.stalled) from.write("")
      })
      from.on("error", () => void (keeps && pair.stalled ? from.destroy() : end(pair)))
      from.on("close", () => pair.sockets.every((socket) => socket.destroyed) && pairs.delete(pair))
    }
  })

  function deliver({ stalled, held }: Pair): void {
    if (stalled) return
    for (const { chunk, to } of held.splice(0)) {
      if (to.destroyed) continue
      if (chunk === null) to.end()
      else {
        to.write(chunk)
        if (awaited !== null && chunk.includes(awaited.text)) awaited.resolve()
      }
    }
  }

  function end(pair: Pair): void {
    pair.held.length = 0
    for (const socket of pair.sockets) socket.destroy()
  }

  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the proxy has no port")

  return {
    port: address.port,
    cut() {
      for (const { sockets } of pairs) sockets.forEach(resetSocket)
    },
    stall(which) {
      stalls++
      losesNew = which === "all"
      for (const pair of pairs) pair.stalled = true
    },
    stallOn: (text) => void (trap = text),
    delivered: (text) => new Promise((resolve) => (awaited = { text, resolve })),
    async heal() {
      const own = ++stalls
      losesNew = false
      const endAt = performance.now() + resetMs
      const isOver = (): boolean => own !== stalls
      const waits = (): boolean => !isOver() && performance.now() < endAt && [...pairs].some(holdsRequest)
      for (let turn = 0; turn < TURNS || waits(); turn++) await setTimeout(1)
      if (isOver()) return
      for (const pair of pairs) {
        pair.stalled = false
        deliver(pair)
      }
    },
    async close() {
      for (const pair of pairs) end(pair)
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
