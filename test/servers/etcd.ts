import { startServer, type TestServer } from "./server.js"

/** Start a cluster of one etcd server. */
export function startEtcd(...more: readonly string[]): Promise<TestServer> {
  return startServer({
    program: "etcd",
    morePorts: 1,
    args(dir, [port, peerPort]) {
      const client = `http://127.0.0.1:${port}`
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
      return [...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]), ...more]
    },
    async isReady(port) {
      const health = (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as { readonly health?: unknown }
      return health.health === "true"
    },
  })
}

/** Have it forget all revisions of its own but the newest. */
export async function compact(port: number): Promise<void> {
  const post = async (path: string, message: object): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body: JSON.stringify(message) })
    if (!response.ok) throw new Error(await response.text())
    return response.json()
  }
  const { header } = (await post("/v3/kv/range", { key: "AA==" })) as { readonly header: { readonly revision: string } }
  await post("/v3/kv/compaction", { revision: header.revision, physical: true })
}
