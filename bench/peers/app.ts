import type * as Api from "@opentelemetry/api"
import type * as Sdk from "@opentelemetry/sdk-metrics"
import type { Effect } from "serin"
import type { AppCall } from "./side.js"

/** A package of this folder: by a name that the compiler does not look up, for it is installed only where peers are measured. */
export const importPeer = (name: string): Promise<unknown> => import(name)

/** The library as it is published, or a file of it. */
export const importBuilt = (file: string): Promise<unknown> =>
  import(new URL(`../../dist/${file}`, import.meta.url).href)

/** The application's policy, the same in both releases. */
export const policy = ({ input }: AppCall): Effect =>
  input.amount > 100 ? "deny" : input.amount > 50 ? "escalate" : "allow"

export const CALLS: readonly AppCall[] = [5, 60, 20, 500, 1, 8, 30, 2].map((amount) => ({
  action: "refund",
  input: { amount },
}))

/** Metrics as an application has them: a global provider, and a reader that collects now and then. */
export async function openMetrics(producer?: Sdk.MetricProducer) {
  const { metrics } = (await importPeer("@opentelemetry/api")) as typeof Api
  const { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } =
    (await importPeer("@opentelemetry/sdk-metrics")) as typeof Sdk
  const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA)
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: 60_000,
    ...(producer === undefined ? {} : { metricProducers: [producer] }),
  })
  const provider = new MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(provider)

  return {
    meter: provider.getMeter("app"),
    /** Collect and export; the answer sums a metric of that export by one of its attributes. */
    async export(): Promise<(metric: string, attribute?: string) => ReadonlyMap<string, number>> {
      exporter.reset()
      await reader.forceFlush()
      const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
      exporter.reset()
      return (metric, attribute = "") => {
        const sums = new Map<string, number>()
        for (const { dataPoints } of all.filter(({ descriptor }) => descriptor.name === metric)) {
          for (const { attributes, value } of dataPoints) {
            const key = String(attributes[attribute] ?? "")
            sums.set(key, (sums.get(key) ?? 0) + Number(value))
          }
        }
        return sums
      }
    },
  }
}

export type Metrics = Awaited<ReturnType<typeof openMetrics>>
