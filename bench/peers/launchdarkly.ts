import type { Arm } from "serin"
import { recordedPolicies } from "../hand-written.js"
import { importPeer, policy } from "./app.js"
import type { Metrics } from "./app.js"
import type { Side } from "./side.js"

interface Client {
  waitForInitialization(options: { timeout: number }): Promise<unknown>
  variation(flag: string, context: { kind: string; key: string }, fallback: Arm): Promise<Arm>
  close(): void
}
interface Sdk {
  init(key: string, options: Readonly<Record<string, unknown>>): Client
}
interface Integrations {
  readonly TestData: new () => { usePreconfiguredFlag(flag: object): Promise<void>; getFactory(): unknown }
}

const FLAG = {
  key: "release",
  version: 1,
  on: true,
  variations: ["stable", "canary"],
  offVariation: 0,
  salt: "salt",
  targets: [],
  rules: [],
  prerequisites: [],
  fallthrough: {
    rollout: {
      contextKind: "session",
      variations: [
        { variation: 0, weight: 95_000 },
        { variation: 1, weight: 5_000 },
      ],
    },
  },
}

/** LaunchDarkly's SDK for servers with its own source of test data: no connection, and no events, which its users have and which cost. */
export async function openLaunchDarkly({ meter }: Metrics): Promise<Side> {
  const { init } = (await importPeer("@launchdarkly/node-server-sdk")) as Sdk
  const { TestData } = (await importPeer("@launchdarkly/node-server-sdk/integrations")) as Integrations
  const data = new TestData()
  await data.usePreconfiguredFlag(FLAG)
  const silent = { error() {}, warn() {}, info() {}, debug() {} }
  const clients: Client[] = []
  const open = async (): Promise<Client> => {
    const client = init("sdk-key", {
      updateProcessor: data.getFactory(),
      sendEvents: false,
      diagnosticOptOut: true,
      logger: silent,
    })
    clients.push(client)
    await client.waitForInitialization({ timeout: 10 })
    return client
  }
  const client = await open()
  const decide = recordedPolicies(meter, policy, policy)
  const armOf = (id: string) => client.variation("release", { kind: "session", key: id }, "stable")
  return {
    session: (id) => async (call) => decide(await armOf(id), call),
    armOf,
    counted: { metric: "app.evaluations", arm: "app.arm" },
    another: open,
    close: () => clients.forEach((one) => one.close()),
  }
}
