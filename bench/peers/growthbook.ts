import type { Arm } from "serin"
import { recordedPolicies } from "../hand-written.js"
import { importPeer, policy } from "./app.js"
import type { Metrics } from "./app.js"
import type { Side } from "./side.js"

interface Client {
  initSync(options: { payload: object }): Client
  getFeatureValue(flag: string, fallback: Arm, user: { attributes: { id: string } }): Arm
  destroy(): void
}

const PAYLOAD = {
  features: {
    release: { defaultValue: "stable", rules: [{ force: "canary", coverage: 0.05, hashAttribute: "id" }] },
  },
}

/** GrowthBook's client for servers, with its flags handed in. */
export async function openGrowthBook({ meter }: Metrics): Promise<Side> {
  const { GrowthBookClient } = (await importPeer("@growthbook/growthbook")) as { GrowthBookClient: new () => Client }
  const open = (): Client => new GrowthBookClient().initSync({ payload: PAYLOAD })
  const client = open()
  const decide = recordedPolicies(meter, policy, policy)
  const armOf = (id: string): Arm => client.getFeatureValue("release", "stable", { attributes: { id } })
  return {
    session: (id) => (call) => decide(armOf(id), call),
    armOf,
    counted: { metric: "app.evaluations", arm: "app.arm" },
    another: open,
    close: () => client.destroy(),
  }
}
