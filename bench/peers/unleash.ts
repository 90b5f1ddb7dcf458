import { once } from "node:events"
import type { EventEmitter } from "node:events"
import type { Arm } from "serin"
import { recordedPolicies } from "../hand-written.js"
import { importPeer, policy } from "./app.js"
import type { Metrics } from "./app.js"
import type { Side } from "./side.js"

interface Client extends EventEmitter {
  isEnabled(flag: string, context: { sessionId: string }): boolean
  destroy(): void
}
interface Sdk {
  readonly Unleash: new (options: Readonly<Record<string, unknown>>) => Client
  readonly InMemStorageProvider: new () => object
}

const FLAGS = [
  {
    name: "canary",
    type: "release",
    enabled: true,
    stale: false,
    impressionData: false,
    variants: [],
    strategies: [
      {
        name: "flexibleRollout",
        parameters: { rollout: "5", stickiness: "sessionId", groupId: "canary" },
        constraints: [],
      },
    ],
  },
]

/** Unleash with flags that it is started with: it neither asks a server nor reports to one, nor counts what it would report. */
export async function openUnleash({ meter }: Metrics): Promise<Side> {
  const { Unleash, InMemStorageProvider } = (await importPeer("unleash-client")) as Sdk
  const clients: Client[] = []
  const open = async (): Promise<Client> => {
    const client = new Unleash({
      appName: "bench",
      url: "http://127.0.0.1:1/", // required, and never asked: there is no interval
      refreshInterval: 0,
      disableMetrics: true,
      skipInstanceCountWarning: true,
      storageProvider: new InMemStorageProvider(),
      bootstrap: { data: FLAGS },
    })
    clients.push(client)
    await once(client, "ready")
    return client
  }
  const client = await open()
  const decide = recordedPolicies(meter, policy, policy)
  const armOf = (id: string): Arm => (client.isEnabled("canary", { sessionId: id }) ? "canary" : "stable")
  return {
    session: (id) => (call) => decide(armOf(id), call),
    armOf,
    counted: { metric: "app.evaluations", arm: "app.arm" },
    another: open,
    close: () => clients.forEach((one) => one.destroy()),
  }
}
