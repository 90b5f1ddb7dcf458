import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics"
import type { MetricData } from "@opentelemetry/sdk-metrics"
import { beforeAll, describe, expect, it } from "vitest"
import { FOLLOWER_PROBLEMS } from "../../src/model/follower-problem.js"
import type { ErrorType } from "../../src/model/decision.js"
import { createTelemetry, FINDING_CATEGORIES } from "../../src/telemetry/telemetry.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { codeWords, readPage, tableRows } from "./pages.js"

const ERROR_TYPES = ["timeout", "throw", "invalid", "unavailable"] as const satisfies readonly ErrorType[]
const KINDS: Readonly<Partial<Record<DataPointType, string>>> = {
  [DataPointType.SUM]: "counter",
  [DataPointType.HISTOGRAM]: "histogram",
  [DataPointType.GAUGE]: "gauge",
}

/** Every metric that a guard can emit, with every label. */
async function emitted(): Promise<MetricData[]> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 31 - 1 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const gauges = () => ({
    weightBp: 500,
    phase: "canary",
    revision: 7,
    kill: "off",
    stateAgeMs: 1500,
    shadowCoverage: 0.5,
    fuseBlown: false,
    problems: [...FOLLOWER_PROBLEMS],
  })
  const telemetry = createTelemetry({ rollout: "demo", clock: fakeClock(), gauges, meterProvider })
  for (const arm of [0, 1] as const) {
    for (const outcome of [0, 1, 2]) telemetry.evaluation(arm, outcome, 1)
    for (const type of ERROR_TYPES) telemetry.evaluation(arm, 3, 1, type)
    telemetry.session(arm)
    telemetry.late(arm)
    for (const result of ["clean", "flagged", "blocked", "error"] as const) telemetry.scan(arm, "pii", result, 1)
    for (const category of [...FINDING_CATEGORIES, "unheard of"]) {
      telemetry.findings(arm, [{ scanner: "pii", category }])
      telemetry.alerts(arm, 1)
    }
  }
  telemetry.sessionless()
  for (const reason of [...ERROR_TYPES, "lockdown"] as const) telemetry.fallback(reason)
  for (const stable of [0, 1, 2, 3]) for (const canary of [0, 1, 2, 3]) telemetry.comparison(stable, canary)
  for (const stable of [0, 1, 2, 3]) for (const canary of [0, 1, 2, 3]) telemetry.scanComparison(stable, canary)
  for (const result of ["judged", "dropped", "failed"] as const) telemetry.shadow(result)
  for (const result of ["written", "dropped", "failed"] as const) telemetry.decisionLog(result, 1)
  for (const cause of ["errors", "timeouts", "newly_denied", "newly_allowed"] as const) telemetry.fuse(cause)
  telemetry.transition("start")
  const { resourceMetrics } = await reader.collect()
  telemetry.close()
  await meterProvider.shutdown()
  return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
}

describe("docs/reference/metrics.md", () => {
  const rows = tableRows(readPage("reference/metrics.md"))
  const common = "serin.rollout"
  let metrics: MetricData[] = []

  beforeAll(async () => {
    metrics = await emitted()
  })

  it("has every metric with its kind, unit and attributes, and no other", () => {
    const documented = rows
      .filter(([, kind]) => kind === "counter" || kind === "histogram" || kind === "gauge")
      .map(([name = "", kind, unit = "", attributes = ""]) => ({
        name: codeWords(name)[0],
        kind,
        unit: codeWords(unit)[0],
        attributes: codeWords(attributes)
          .filter((word) => word.includes("."))
          .toSorted(),
      }))
    const found = metrics.map(({ descriptor, dataPointType, dataPoints }) => ({
      name: descriptor.name,
      kind: KINDS[dataPointType],
      unit: descriptor.unit,
      attributes: [...new Set(dataPoints.flatMap(({ attributes }) => Object.keys(attributes)))]
        .filter((key) => key !== common)
        .toSorted(),
    }))
    const byName = (a: { name: string | undefined }, b: { name: string | undefined }): number =>
      (a.name ?? "") < (b.name ?? "") ? -1 : 1
    expect(documented.toSorted(byName)).toEqual(found.toSorted(byName))
  })

  it("names every value of every label that is closed", () => {
    const open = new Set([common, "serin.scanner", "serin.trigger", "serin.phase"])
    const missing = metrics.flatMap(({ dataPoints }) =>
      dataPoints.flatMap(({ attributes }) =>
        Object.entries(attributes)
          .filter(([key, value]) => !open.has(key) && !valuesOf(key).includes(String(value)))
          .map(([key, value]) => `${key}=${String(value)}`),
      ),
    )
    expect([...new Set(missing)]).toEqual([])
  })

  /** Values in the row of a label; "those of `x`" stands for the values of another. */
  function valuesOf(label: string): string[] {
    const [, values = ""] = rows.find(([labels = ""]) => codeWords(labels).includes(label)) ?? []
    const other = /those of `([^`]+)`/.exec(values)?.[1]
    return [...codeWords(values), ...(other === undefined ? [] : valuesOf(other))]
  }
})
