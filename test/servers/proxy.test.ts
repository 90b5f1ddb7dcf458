import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Socket } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { startProxy } from "./proxy.js"

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** A server that remembers what it was sent, behind a network. */
async function setting(options?: { readonly resetMs: number }) {
  let received = ""
  const server = createServer((socket) => {
    socket.on("data", (chunk: Buffer) => (received += chunk.toString()))
    socket.on("error", () => {})
    socket.on("end", () => socket.end())
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  ends.push(() => server.close())
  const network = await startProxy((server.address() as AddressInfo).port, options)
  ends.push(() => network.close())
  return {
    network,
    received: () => received,
    async open(): Promise<Socket> {
      const socket = connect(network.port, "127.0.0.1")
      await once(socket, "connect")
      return socket
    },
    /** When what was sent has had every chance to arrive. */
    async arrives(): Promise<void> {
      const late = connect(network.port, "127.0.0.1")
      late.end("|")
      await once(late.resume(), "close")
    },
  }
}

describe("a network that is stalled", () => {
  it.each<[string, (turn: () => Promise<unknown>) => Promise<unknown>]>([
    ["at once with what it had sent", async () => {}],
    ["after it", (turn) => turn()],
  ])("never delivers what was sent on a connection that was reset %s, however soon it is back", async (_, between) => {
    async function oneGhost(): Promise<string> {
      const { network, received, open, arrives } = await setting()
      network.stall("all")
      const socket = await open()
      socket.write("ghost")
      await between(() => new Promise((resolve) => setImmediate(resolve)))
      socket.resetAndDestroy()
      await network.heal()
      await arrives()
      return received()
    }
    expect(await Promise.all(Array.from({ length: 10 }, oneGhost))).toEqual(Array(10).fill("|"))
  })

  it("waits for a reset that is late", async () => {
    const { network, received, open, arrives } = await setting()
    network.stall("all")
    const socket = await open()
    socket.write("ghost")
    const healed = network.heal()
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
    socket.resetAndDestroy()
    await healed
    await arrives()
    expect(received()).toBe("|")
  })

  it("delivers what was sent on a connection that was closed, when it is back", async () => {
    const { network, received, open } = await setting({ resetMs: 100 })
    network.stall("all")
    const socket = await open()
    socket.end("late")
    await new Promise((resolve) => setImmediate(resolve))
    expect(received()).toBe("")
    await network.heal()
    await once(socket.resume(), "close")
    expect(received()).toBe("late")
  })
})
