import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type * as OpenFeatureSdk from "@openfeature/server-sdk"
import type { Arm } from "serin"
import { recordedPolicies } from "../hand-written.js"
import { importPeer, policy } from "./app.js"
import type { Metrics } from "./app.js"
import type { Side } from "./side.js"

interface Flagd {
  readonly FlagdProvider: new (options: {
    resolverType: "in-process"
    offlineFlagSourcePath: string
  }) => OpenFeatureSdk.Provider
}

const FLAGS = {
  flags: {
    release: {
      state: "ENABLED",
      variants: { stable: "stable", canary: "canary" },
      defaultVariant: "stable",
      // Of the flag's name and the targeting key.
      targeting: {
        fractional: [
          ["stable", 95],
          ["canary", 5],
        ],
      },
    },
  },
}

/** OpenFeature's SDK, flagd's provider that evaluates in the process and has its flags from a file, and the hook that counts evaluations. */
export async function openOpenFeature({ meter }: Metrics): Promise<Side> {
  const { OpenFeature } = (await importPeer("@openfeature/server-sdk")) as typeof OpenFeatureSdk
  const { FlagdProvider } = (await importPeer("@openfeature/flagd-provider")) as Flagd
  const { MetricsHook } = (await importPeer("@openfeature/open-telemetry-hooks")) as {
    MetricsHook: new () => OpenFeatureSdk.Hook
  }

  const folder = mkdtempSync(join(tmpdir(), "serin-peers-"))
  const file = join(folder, "flags.json")
  writeFileSync(file, JSON.stringify(FLAGS))
  const newProvider = () => new FlagdProvider({ resolverType: "in-process", offlineFlagSourcePath: file })

  await OpenFeature.setProviderAndWait(newProvider())
  OpenFeature.addHooks(new MetricsHook())
  const client = OpenFeature.getClient()
  const decide = recordedPolicies(meter, policy, policy)
  const armOf = (id: string) => client.getStringValue("release", "stable", { targetingKey: id }) as Promise<Arm>
  let others = 0
  return {
    session: (id) => async (call) => decide(await armOf(id), call),
    armOf,
    counted: { metric: "app.evaluations", arm: "app.arm" },
    alsoCounted: "feature_flag.evaluation_success_total",
    async another() {
      const domain = `other-${others++}`
      await OpenFeature.setProviderAndWait(domain, newProvider())
      return OpenFeature.getClient(domain)
    },
    async close() {
      await OpenFeature.close()
      rmSync(folder, { recursive: true })
    },
  }
}
