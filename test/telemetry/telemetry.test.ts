import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { metrics } from "@opentelemetry/api"
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics"
import type { MetricReader } from "@opentelemetry/sdk-metrics"
import { afterEach, describe, expect, it } from "vitest"
import { metricProducer } from "../../src/telemetry/producer.js"
import { createTelemetry, DURATION_BOUNDARIES } from "../../src/telemetry/telemetry.js"
import type { Telemetry } from "../../src/telemetry/telemetry.js"
import { fakeClock } from "../../src/testing/fake-clock.js"

const gauges = () => ({
  weightBp: 500,
  phase: "canary",
  revision: 7,
  kill: "off",
  stateAgeMs: 1500,
  shadowCoverage: 0.5,
  fuseBlown: false,
  problems: [],
})

/** A reader that collects only when asked. */
class ManualReader extends PeriodicExportingMetricReader {
  constructor() {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    super({ exporter, exportIntervalMillis: 2 ** 31 - 1, exportTimeoutMillis: 1000 })
  }
}

interface HistogramValue {
  readonly buckets: { readonly boundaries: number[]; readonly counts: number[] }
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
}

type Point = { attributes: Record<string, unknown>; value: unknown }

async function points(reader: MetricReader, name: string): Promise<Point[]> {
  const { resourceMetrics, errors } = await reader.collect()
  expect(errors).toEqual([])
  return resourceMetrics.scopeMetrics
    .flatMap((scope) => scope.metrics)
    .filter((metric) => metric.descriptor.name === name)
    .flatMap((metric) => metric.dataPoints as Point[])
}

async function sum(reader: MetricReader, name: string, attributes: Record<string, unknown> = {}): Promise<number> {
  return (await points(reader, name))
    .filter((p) => Object.entries(attributes).every(([key, value]) => p.attributes[key] === value))
    .reduce((total, p) => total + (p.value as number), 0)
}

const open: { close(): void }[] = []
const providers: MeterProvider[] = []
function track<T extends { close(): void }>(thing: T): T {
  open.push(thing)
  return thing
}
function provider(reader: MetricReader): MeterProvider {
  const made = new MeterProvider({ readers: [reader] })
  providers.push(made)
  return made
}
afterEach(async () => {
  for (const thing of open.splice(0)) thing.close()
  metrics.disable()
  for (const made of providers.splice(0)) await made.shutdown()
})

function make(clock = fakeClock()): { telemetry: Telemetry; clock: ReturnType<typeof fakeClock> } {
  return { telemetry: track(createTelemetry({ rollout: "demo", clock, gauges })), clock }
}

describe("metrics by arm", () => {
  it("are right with a provider registered before", async () => {
    const reader = new ManualReader()
    metrics.setGlobalMeterProvider(provider(reader))
    const { telemetry } = make()
    telemetry.session(1)
    telemetry.evaluation(1, 0, 2)
    telemetry.evaluation(1, 1, 2)
    telemetry.evaluation(0, 3, 2, "timeout")
    telemetry.comparison(0, 1)
    telemetry.fallback("throw")
    telemetry.shadow("dropped")
    telemetry.sessionless()
    telemetry.transition("start")
    const canary = { "serin.rollout": "demo", "serin.arm": "canary" }
    expect(await sum(reader, "serin.evaluations", { ...canary, "serin.outcome": "allow" })).toBe(1)
    expect(await sum(reader, "serin.evaluations", canary)).toBe(2)
    expect(await sum(reader, "serin.evaluations", { "serin.outcome": "error", "error.type": "timeout" })).toBe(1)
    expect(await sum(reader, "serin.sessions", canary)).toBe(1)
    const pair = { "serin.stable.outcome": "allow", "serin.canary.outcome": "deny" }
    expect(await sum(reader, "serin.comparisons", pair)).toBe(1)
    expect(await sum(reader, "serin.fallbacks", { "serin.fallback.reason": "throw" })).toBe(1)
    expect(await sum(reader, "serin.shadow", { "serin.shadow.result": "dropped" })).toBe(1)
    expect(await sum(reader, "serin.sessionless")).toBe(1)
    expect(await sum(reader, "serin.rollout.transitions", { "serin.trigger": "start" })).toBe(1)
    expect(await sum(reader, "serin.rollout.weight")).toBe(0.05)
    expect(await sum(reader, "serin.rollout.phase", { "serin.phase": "canary" })).toBe(1)
    expect(await sum(reader, "serin.rollout.state.age")).toBe(1.5)
    const durations = await points(reader, "serin.evaluation.duration")
    expect(durations.map((p) => (p.value as { buckets: { boundaries: number[] } }).buckets.boundaries)).toEqual([
      DURATION_BOUNDARIES,
      DURATION_BOUNDARIES,
    ])
  })

  it("count from the first call on when the provider is registered after, and do not count twice when read twice", async () => {
    const { telemetry, clock } = make()
    telemetry.evaluation(0, 0, 1)
    const reader = new ManualReader()
    metrics.setGlobalMeterProvider(provider(reader))
    clock.advance(1000)
    telemetry.evaluation(0, 0, 1)
    expect(await sum(reader, "serin.evaluations")).toBe(2)
    expect(await sum(reader, "serin.evaluations")).toBe(2)
    telemetry.evaluation(0, 0, 1)
    expect(await sum(reader, "serin.evaluations")).toBe(3)
  })

  it("move to a provider that replaces the first, each getting what was counted in its time", async () => {
    const first = new ManualReader()
    metrics.setGlobalMeterProvider(provider(first))
    const { telemetry, clock } = make()
    telemetry.evaluation(0, 0, 1)
    expect(await sum(first, "serin.evaluations")).toBe(1)
    metrics.disable()
    const second = new ManualReader()
    metrics.setGlobalMeterProvider(provider(second))
    clock.advance(1000)
    telemetry.evaluation(0, 0, 1)
    telemetry.evaluation(0, 0, 1)
    expect(await sum(second, "serin.evaluations")).toBe(2)
    expect(await sum(first, "serin.evaluations")).toBe(1)
  })

  it("leave with the first provider what was not yet collected when it is replaced, durations too", async () => {
    const [first, second] = [new ManualReader(), new ManualReader()]
    metrics.setGlobalMeterProvider(provider(first))
    const { telemetry, clock } = make()
    telemetry.evaluation(0, 0, 1)
    telemetry.evaluation(0, 0, 1)
    metrics.disable()
    metrics.setGlobalMeterProvider(provider(second))
    clock.advance(1000)
    telemetry.evaluation(0, 0, 1)
    for (const [reader, expected] of [
      [second, 1],
      [first, 2],
    ] as const) {
      expect(await sum(reader, "serin.evaluations")).toBe(expected)
      const durations = await points(reader, "serin.evaluation.duration")
      expect(durations.map(({ value }) => (value as HistogramValue).count)).toEqual([expected])
    }
    expect(await sum(first, "serin.rollout.weight")).toBe(0)
  })

  it("keep what is counted between two providers for the second", async () => {
    const [first, second] = [new ManualReader(), new ManualReader()]
    metrics.setGlobalMeterProvider(provider(first))
    const { telemetry, clock } = make()
    telemetry.evaluation(0, 0, 1)
    metrics.disable()
    clock.advance(1000)
    telemetry.evaluation(0, 0, 1)
    telemetry.evaluation(0, 0, 1)
    metrics.setGlobalMeterProvider(provider(second))
    clock.advance(1000)
    expect(await sum(second, "serin.evaluations")).toBe(2)
    expect(await sum(first, "serin.evaluations")).toBe(1)
  })

  it("are right for each of two readers", async () => {
    const [a, b] = [new ManualReader(), new ManualReader()]
    const both = new MeterProvider({ readers: [a, b] })
    providers.push(both)
    const telemetry = track(createTelemetry({ rollout: "demo", clock: fakeClock(), gauges, meterProvider: both }))
    telemetry.evaluation(0, 0, 1)
    expect(await sum(a, "serin.evaluations")).toBe(1)
    telemetry.evaluation(0, 0, 1)
    expect(await sum(b, "serin.evaluations")).toBe(2)
    expect(await sum(a, "serin.evaluations")).toBe(2)
  })

  it("hand over what was counted when closed", async () => {
    const reader = new ManualReader()
    metrics.setGlobalMeterProvider(provider(reader))
    const { telemetry } = make()
    telemetry.evaluation(0, 2, 1)
    telemetry.close()
    expect(await sum(reader, "serin.evaluations")).toBe(1)
  })

  it("keep label sets closed: unknown categories are other, and scanners past the bound share one name", async () => {
    const reader = new ManualReader()
    metrics.setGlobalMeterProvider(provider(reader))
    const { telemetry } = make()
    for (let i = 0; i < 100; i++) {
      telemetry.scan(1, `scanner-${i}`, "flagged", 1)
      telemetry.findings(1, [{ scanner: `scanner-${i}`, category: `category-${i}` }])
    }
    telemetry.findings(1, [{ scanner: "scanner-0", category: "pii" }])
    expect(await sum(reader, "serin.scans")).toBe(100)
    expect(await sum(reader, "serin.scans", { "serin.scanner": "other" })).toBe(68)
    const categories = (await points(reader, "serin.findings")).map((p) => p.attributes["serin.finding.category"])
    expect(new Set(categories)).toEqual(new Set(["other", "pii"]))
  })

  it("never pass NaN, infinite or negative durations to an instrument", async () => {
    const reader = new ManualReader()
    metrics.setGlobalMeterProvider(provider(reader))
    const { telemetry } = make()
    for (const ms of [Number.NaN, Infinity, -1]) telemetry.evaluation(0, 0, ms)
    expect(await points(reader, "serin.evaluation.duration")).toEqual([])
    expect(await sum(reader, "serin.evaluations")).toBe(3)
  })

  it("can be scraped by Prometheus over HTTP", async () => {
    const exporter = new PrometheusExporter({ preventServerStart: true })
    metrics.setGlobalMeterProvider(provider(exporter))
    const { telemetry } = make()
    telemetry.evaluation(1, 1, 2)
    telemetry.comparison(0, 1)
    const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    try {
      const { port } = server.address() as AddressInfo
      const scrape = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      const text = await scrape()
      const labels = 'serin_arm="canary",serin_rollout="demo"'
      expect(text).toMatch(new RegExp(`serin_evaluations_total\\{${labels},serin_outcome="deny"[^}]*\\} 1\n`))
      expect(text).toMatch(
        /serin_comparisons_total\{[^}]*serin_stable_outcome="allow"[^}]*serin_canary_outcome="deny"[^}]*\} 1\n/,
      )
      expect(text).toMatch(new RegExp(`serin_evaluation_duration_count\\{${labels}[^}]*\\} 1\n`))
      expect(text).toContain(`serin_evaluation_duration_bucket{${labels}`)
      telemetry.evaluation(1, 1, 2)
      expect(await scrape()).toMatch(/serin_evaluations_total\{[^}]*serin_outcome="deny"[^}]*\} 2\n/)
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })

  describe("through a metric producer", () => {
    function produced() {
      const producer = metricProducer()
      const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
      const reader = new PeriodicExportingMetricReader({
        exporter,
        exportIntervalMillis: 2 ** 31 - 1,
        exportTimeoutMillis: 1000,
        metricProducers: [producer],
      })
      provider(reader)
      const add = (rollout = "demo") =>
        track(createTelemetry({ rollout, clock: fakeClock(), gauges, metrics: producer }))
      return { reader, producer, add }
    }

    it("are the same as through the API, value for value", async () => {
      const { reader, add } = produced()
      const apiReader = new ManualReader()
      const api = track(
        createTelemetry({ rollout: "demo", clock: fakeClock(), gauges, meterProvider: provider(apiReader) }),
      )
      for (const telemetry of [add(), api]) {
        for (let i = 0; i < 1000; i++) telemetry.evaluation((i % 2) as 0 | 1, i % 4, 1.07 ** (i % 300) / 1000, "throw")
        for (const exact of DURATION_BOUNDARIES) telemetry.evaluation(0, 0, exact * 1000)
        telemetry.scan(1, "pii", "flagged", 3)
        telemetry.findings(1, [{ scanner: "pii", category: "pii" }])
      }
      const strip = (list: Point[]) =>
        list
          .map(({ attributes, value }) => ({ attributes, value }))
          .sort((a, b) => JSON.stringify(a.attributes).localeCompare(JSON.stringify(b.attributes)))
      for (const name of [
        "serin.evaluations",
        "serin.scans",
        "serin.findings",
        "serin.rollout.weight",
        "serin.rollout.phase",
      ]) {
        expect(strip(await points(reader, name)), name).toEqual(strip(await points(apiReader, name)))
      }
      for (const name of ["serin.evaluation.duration", "serin.scan.duration"]) {
        const [ours, theirs] = [strip(await points(reader, name)), strip(await points(apiReader, name))]
        expect(ours.map((p) => p.attributes)).toEqual(theirs.map((p) => p.attributes))
        for (const [i, { value }] of ours.entries()) {
          const [a, b] = [value as HistogramValue, theirs[i]!.value as HistogramValue]
          expect(a.buckets).toEqual(b.buckets)
          expect([a.count, a.min, a.max]).toEqual([b.count, b.min, b.max])
          expect(a.sum).toBeCloseTo(b.sum, 9)
        }
      }
    })

    it("add up over guards of one rollout, and stay when a guard is closed", async () => {
      const { reader, add } = produced()
      const [a, b] = [add(), add()]
      a.evaluation(0, 0, 1)
      b.evaluation(0, 0, 4)
      add("other").evaluation(0, 0, 1)
      expect(await sum(reader, "serin.evaluations", { "serin.rollout": "demo" })).toBe(2)
      a.close()
      expect(await sum(reader, "serin.evaluations", { "serin.rollout": "demo" })).toBe(2)
      const [duration] = await points(reader, "serin.evaluation.duration")
      expect(duration?.value).toMatchObject({ count: 2, sum: 0.005, min: 0.001, max: 0.004 })
    })

    it("add up over guards that are closed, each once, and let them go", async () => {
      const { reader, producer } = produced()
      setFlagsFromString("--expose-gc")
      const collectGarbage = runInNewContext("gc") as () => void

      /** A guard of 8 KB that is closed, twice. */
      function closedGuard(): WeakRef<object> {
        const held = Array.from({ length: 1000 }, () => 0)
        const telemetry = createTelemetry({
          rollout: "demo",
          clock: fakeClock(),
          gauges: () => ({
            weightBp: held.length,
            phase: "canary",
            revision: 7,
            kill: "off",
            stateAgeMs: 0,
            problems: [],
            shadowCoverage: 0.5,
            fuseBlown: false,
          }),
          metrics: producer,
        })
        telemetry.evaluation(1, 0, 2)
        telemetry.close()
        telemetry.close()
        return new WeakRef(held)
      }
      const closed = Array.from({ length: 300 }, closedGuard)
      const open = track(createTelemetry({ rollout: "demo", clock: fakeClock(), gauges, metrics: producer }))
      open.evaluation(1, 0, 4)
      // A WeakRef holds what it refers to until the end of the turn in which it was made.
      await new Promise((resolve) => setImmediate(resolve))
      collectGarbage()
      expect(closed.filter((guard) => guard.deref() !== undefined)).toHaveLength(0)
      expect(await sum(reader, "serin.evaluations")).toBe(301)
      const [duration, ...others] = await points(reader, "serin.evaluation.duration")
      expect(others).toEqual([])
      expect(duration?.value).toMatchObject({ count: 301, min: 0.002, max: 0.004 })
      expect(await sum(reader, "serin.rollout.weight")).toBe(0.05)
    })
  })
})
