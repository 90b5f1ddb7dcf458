import { once } from "node:events"
import { connect } from "node:net"
import { startServer, type TestServer } from "./server.js"

/** Start a cluster of one etcd server. */
export function startEtcd(
  options: { readonly tls?: { readonly cert: string; readonly key: string } } = {},
): Promise<TestServer> {
  const { tls } = options
  const scheme = tls === undefined ? "http" : "https"
  return startServer({
    program: "etcd",
    morePorts: 1,
    args(dir, [port, peerPort]) {
      const client = `${scheme}://127.0.0.1:${port}`
      const peer = `http://127.0.0.1:${peerPort}`
      const settings = {
        name: "one",
        "data-dir": dir,
        "initial-cluster": `one=${peer}`,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        // A cluster of one has nobody to wait for.
        "heartbeat-interval": "10",
        "election-timeout": "100",
      }
      const secure = tls === undefined ? {} : { "cert-file": tls.cert, "key-file": tls.key }
      return Object.entries({ ...settings, ...secure }).flatMap(([name, value]) => [`--${name}`, value])
    },
    async isReady(port) {
      if (tls !== undefined) return accepts(port)
      const health = (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as { readonly health?: unknown }
      return health.health === "true"
    },
  })
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1")
  try {
    await once(socket, "connect")
    return true
  } finally {
    socket.destroy()
  }
}

/** Ask its JSON gateway. */
export async function post(port: number, path: string, message: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body: JSON.stringify(message) })
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  return response.json()
}

/** Have it forget all revisions of its own but the newest. */
export async function compact(port: number): Promise<void> {
  const found = await post(port, "/v3/kv/range", { key: "AA==" })
  const { header } = found as { readonly header: { readonly revision: string } }
  await post(port, "/v3/kv/compaction", { revision: header.revision, physical: true })
}
