import { mkdirSync } from "node:fs"
import { once } from "node:events"
import { connect } from "node:net"
import { startServer, type TestServer } from "./server.js"

/** Start a Redis server that loses nothing it acknowledged. */
export function startRedis(...more: readonly string[]): Promise<TestServer> {
  return startServer({
    program: "redis-server",
    args(dir, [port]) {
      mkdirSync(dir, { recursive: true })
      const durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
      return ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, ...durable, ...more]
    },
    isReady: async (port) => /^(\+PONG|-NOAUTH)/.test(await ask(port, "PING")),
  })
}

/** Send one command as a person would type it, on a connection of its own. */
export async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1")
  try {
    await once(socket, "connect")
    socket.write(`${command}\r\n`)
    const [answer] = (await once(socket, "data")) as [Buffer]
    return answer.toString()
  } finally {
    socket.destroy()
  }
}
