import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { once } from "node:events"
import type { Server } from "node:http"
import { connect, type Socket } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { listen, listenWithin, type Limits, type Listening } from "../../src/serve/listen.js"

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const GENEROUS: Limits = {
  maxConnections: 100,
  headersMs: 20_000,
  requestMs: 20_000,
  silentMs: 20_000,
  keepAliveMs: 20_000,
  checkEveryMs: 10,
}
const hello = async (): Promise<Response> => new Response("hello", { headers: { "content-length": "5" } })

/** A server within limits of which some are short. */
async function serving(
  limits: Partial<Limits> = {},
  handler: (request: Request) => Promise<Response> = hello,
): Promise<Listening> {
  const server = await listenWithin({ ...GENEROUS, ...limits }, handler, { port: 0 })
  ends.push(() => server.close())
  return server
}

async function open({ port }: Listening) {
  const socket: Socket = connect(port, "127.0.0.1")
  ends.push(() => socket.destroy())
  let heard = ""
  socket.on("data", (chunk: Buffer) => (heard += chunk.toString()))
  socket.on("error", () => {})
  // Not once(): it rejects when a reset comes before the close, and a reset is an end of a connection like any other.
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()))
  await once(socket, "connect")
  return { socket, closed, heard: () => heard }
}

const GET = "GET / HTTP/1.1\r\nhost: x\r\n\r\n"

describe("the server of listen()", () => {
  it("takes as many connections as it may, closes those that are over at once, and takes others when some have gone", async () => {
    const server = await serving({ maxConnections: 2 })
    const [one, two] = [await open(server), await open(server)]
    // Answered: so it has been taken.
    for (const { socket } of [one, two]) {
      socket.write(GET)
      await once(socket, "data")
    }
    const three = await open(server)
    await three.closed
    expect(three.heard()).toBe("")
    one.socket.destroy()
    await one.closed
    await expect
      .poll(() =>
        fetch(server.url).then(
          (answer) => answer.text(),
          () => "refused",
        ),
      )
      .toBe("hello")
    two.socket.write(GET)
    await expect.poll(() => two.heard().split("hello").length).toBe(3)
  })

  it.each([
    ["says nothing", ""],
    ["sends its head byte by byte", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "],
  ])("ends the connection of a client that %s", async (_, head) => {
    const server = await serving({ headersMs: 100 })
    const { socket, closed, heard } = await open(server)
    socket.write(head)
    const drip = setInterval(() => head !== "" && socket.writable && socket.write("a"), 20)
    ends.push(() => clearInterval(drip))
    await closed
    expect(heard()).toMatch(/^(HTTP\/1\.1 408 Request Timeout|$)/)
  })

  it("ends the connection of a client that sends its body byte by byte, whatever the handler waits for", async () => {
    const server = await serving(
      { headersMs: 100, requestMs: 150 },
      async (request) => new Response(await request.text()),
    )
    const { socket, closed } = await open(server)
    socket.write("PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
    const drip = setInterval(() => socket.writable && socket.write("a"), 20)
    ends.push(() => clearInterval(drip))
    await closed
  })

  it("ends a connection on which nothing moves, and one that waits for another request too long", async () => {
    const silent = await serving({ silentMs: 50 }, () => new Promise(() => {}))
    const waiting = await open(silent)
    waiting.socket.write(GET)
    await waiting.closed
    const idle = await open(await serving({ keepAliveMs: 50 }))
    idle.socket.write(GET)
    await idle.closed
    expect(idle.heard()).toMatch(/hello$/)
  })

  it("goes on when a connection fails as it comes", async () => {
    const server = await serving()
    let its: Server | undefined
    const hear = (message: unknown): void => void (its = (message as { readonly server: Server }).server)
    subscribe("http.server.request.start", hear)
    const { socket, heard } = await open(server)
    const request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    socket.write(request)
    await expect.poll(() => heard().split("hello").length).toBe(2)
    unsubscribe("http.server.request.start", hear)
    expect(its?.emit("error", new Error("accept EPERM"))).toBe(true)
    socket.write(request)
    await expect.poll(() => heard().split("hello").length).toBe(3)
  })

  it("refuses what is no option and no number of connections", async () => {
    await expect(listen(hello, { port: 0, maxConnection: 5 } as never)).rejects.toThrow(/listen .*maxConnection\b/)
    for (const maxConnections of [0, 1.5, Number.NaN]) {
      await expect(listen(hello, { port: 0, maxConnections })).rejects.toThrow(
        `maxConnections must be a whole number from 1 on, got ${maxConnections}`,
      )
    }
  })
})
