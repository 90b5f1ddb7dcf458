import { openMetrics } from "./app.js"
import type { Metrics } from "./app.js"
import { openByHand } from "./by-hand.js"
import { openGrowthBook } from "./growthbook.js"
import { openLaunchDarkly } from "./launchdarkly.js"
import { openOpenFeature } from "./openfeature.js"
import { openSerin } from "./serin.js"
import type { SerinWay } from "./serin.js"
import type { Side } from "./side.js"
import { openUnleash } from "./unleash.js"

export interface OpenSide {
  readonly side: Side
  readonly metrics: Metrics
}

export interface SideInfo {
  readonly name: string
  /** `ours` is held against every peer; the others are there to be read. */
  readonly is: "ours" | "peer" | "other"
  /** What an application imports for it. Empty: nothing of its own, or what the side before it has. */
  readonly imports: readonly string[]
  /** What an application installs for it, as packages of this folder; `serin` itself is not one. */
  readonly packages: readonly string[]
  open(): Promise<OpenSide>
}

export const SIDES: readonly SideInfo[] = [
  serin("serin", "ours", { kept: false, metrics: "api", shadow: false }, { imports: ["../../dist/index.js"] }),
  serin("serin, session kept", "other", { kept: true, metrics: "api", shadow: false }),
  serin("serin, metric-producer", "ours", { kept: false, metrics: "producer", shadow: false }),
  serin("serin, metric-producer, session kept", "other", { kept: true, metrics: "producer", shadow: false }),
  serin("serin, metric-producer, each call judged by both releases", "other", {
    kept: false,
    metrics: "producer",
    shadow: true,
  }),
  peer("OpenFeature + flagd + MetricsHook", openOpenFeature, [
    "@openfeature/server-sdk",
    "@openfeature/flagd-provider",
    "@openfeature/open-telemetry-hooks",
  ]),
  peer("LaunchDarkly", openLaunchDarkly, ["@launchdarkly/node-server-sdk"]),
  peer("Unleash", openUnleash, ["unleash-client"]),
  peer("GrowthBook", openGrowthBook, ["@growthbook/growthbook"]),
  { ...peer("by hand, arm kept", openByHand, []), is: "other" },
]

function serin(name: string, is: "ours" | "other", way: SerinWay, more: Partial<SideInfo> = {}): SideInfo {
  return { name, is, imports: [], packages: [], open: () => openSerin(way), ...more }
}

function peer(name: string, open: (metrics: Metrics) => Side | Promise<Side>, packages: readonly string[]): SideInfo {
  return {
    name,
    is: "peer",
    imports: packages,
    packages,
    async open() {
      const metrics = await openMetrics()
      return { side: await open(metrics), metrics }
    },
  }
}
