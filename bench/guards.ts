import {
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics"
import { createGuard } from "serin"
import type { Call, GuardOptions, Release, StateReader } from "serin"
import { metricProducer } from "serin/metric-producer"
import { initialState, parseSpec } from "serin/rollout"
import type { Batch } from "./measure.js"
import { standingState } from "./standing-rollout.js"

/** An exporter that keeps nothing. */
export const nowhere = (temporality: AggregationTemporality): PushMetricExporter => ({
  export: (_, done) => done({ code: 0 }),
  selectAggregationTemporality: () => temporality,
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
})

/** A provider as an application has one: a reader that collects now and then. */
export function provider(): MeterProvider {
  const exporter = nowhere(AggregationTemporality.DELTA)
  return new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000 })] })
}

/** A rollout at 5 % that stays where it is. */
export function standing(shadowSampleBp: number): StateReader {
  const state = standingState({ initialState, parseSpec }, shadowSampleBp)
  return { current: () => state, onChange: () => () => {} }
}

export const release = (version: string, evaluate = (): "allow" => "allow"): Release => ({
  version,
  policy: { evaluate },
})
export const releases = new Map([
  ["1", release("1")],
  ["2", release("2")],
])
export const call = { action: "refund", input: { amount: 5 } }

/** A guard over releases that answer at once. `path`: how durations become metrics. */
export function guardFor(
  shadowSampleBp: number,
  path: "api" | "producer" = "api",
  more: Partial<GuardOptions<Call, "sync">> = {},
) {
  const metrics = path === "producer" ? { metrics: metricProducer() } : { meterProvider: provider() }
  return createGuard({ rollout: "bench", state: standing(shadowSampleBp), releases, ...metrics, ...more })
}

/** A guard whose releases do some work, and which compares every call. */
export function comparing(judge: () => "allow", shadow?: GuardOptions<Call, "sync">["shadow"]) {
  const both = new Map(["1", "2"].map((version) => [version, release(version, judge)]))
  return guardFor(10_000, "producer", { releases: both, shadow })
}

export const IDS = Array.from({ length: 1024 }, (_, i) => `session-${i}`)

/** Decisions of 1,024 sessions that are at hand. */
export function guarded(guard: ReturnType<typeof guardFor>): Batch {
  const sessions = IDS.map((id) => guard.session(id))
  return (n) => {
    for (let i = 0; i < n; i++) if (sessions[i & 1023]!.evaluate(call).outcome === "allow") kept++
  }
}

let kept = 0
/** Keep a result, so that no compiler leaves out what made it. */
export const keep = (result: unknown): void => void (result === "allow" && kept++)
/** Throw when nothing that was timed has answered as it should. */
export function requireKept(): void {
  if (kept === 0) throw new Error("nothing was decided")
}
