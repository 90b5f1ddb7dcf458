import { mkdirSync } from "node:fs"
import { once } from "node:events"
import { connect } from "node:net"
import { startServer, type TestServer } from "./server.js"

/** Start a Redis server that loses nothing it acknowledged. */
export const startRedis = (...more: readonly string[]): Promise<TestServer> => start(() => more)

/** Start a server of a Redis Cluster that has no other, and these slots of it. */
export async function startRedisCluster(slots: string): Promise<TestServer> {
  const server = await start((busPort) => {
    return ["--cluster-enabled", "yes", "--cluster-port", String(busPort), "--cluster-require-full-coverage", "no"]
  })
  await ask(server.port, `CLUSTER ADDSLOTSRANGE ${slots}`)
  // A primary that has just begun waits for two seconds whether there is another.
  while (!(await ask(server.port, "CLUSTER INFO")).includes("cluster_state:ok")) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return server
}

function start(more: (busPort: number) => readonly string[]): Promise<TestServer> {
  return startServer({
    program: "redis-server",
    morePorts: 1,
    args(dir, [port, busPort = 0]) {
      mkdirSync(dir, { recursive: true })
      const durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
      return ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, ...durable, ...more(busPort)]
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
