import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import { MeterProvider } from "@opentelemetry/sdk-metrics"
import { readFileSync } from "node:fs"
import type { ServerResponse } from "node:http"
import { describe, expect, it } from "vitest"
import { COUNTED, LABELS, SERIES, SERIES_PREFIX } from "../../src/evidence/series.js"
import { COHORTS } from "../../src/model/evidence.js"
import { harness, idOn, stateWith } from "../guard/harness.js"
import { codeWords, readPage, tableRows } from "./pages.js"

const rows = tableRows(readPage("reference/sources/prometheus.md"))

describe("docs/reference/sources/prometheus.md", () => {
  it("has every metric of the set with its unit, attributes and the most series there can be of it", () => {
    const documented = rows
      .filter(([name = ""]) => name.startsWith(`\`${SERIES_PREFIX}`))
      .map(([name = "", unit = "", attributes = "", , most = ""]) => [
        codeWords(name)[0],
        codeWords(unit)[0],
        codeWords(attributes),
        most.replace(",", ""),
      ])
    const defined = Object.entries(SERIES).map(([name, { unit, labels, cohorts, ranged }]) => {
      const series = labels.reduce((product, { values }) => product * values.length, cohorts ? COHORTS : 1)
      const names = labels.map((label) => label.name)
      const [first = [], rest = []] = names[0] === "serin.arm" ? [["serin.arm"], names.slice(1)] : [[], names]
      const attributes = [
        ...first,
        ...(cohorts ? [LABELS.cohort] : []),
        ...rest,
        ...(ranged === undefined ? [] : [LABELS.bins]),
      ]
      return [SERIES_PREFIX + name, unit, attributes, ranged === undefined ? String(series) : `${series} · R`]
    })
    expect(documented).toEqual([...defined, [COUNTED.name, COUNTED.unit, [], "1 in all"]])
  })
})

describe("the rules for Prometheus", () => {
  it("look at metrics that a guard exports by the Prometheus exporter, under the names that it gives them", async () => {
    const exporter = new PrometheusExporter({ preventServerStart: true })
    const meterProvider = new MeterProvider({ readers: [exporter] })
    const { guard, state } = harness({}, stateWith(), { meterProvider, evidenceMetrics: true })
    for (let call = 0; call < 5; call++) guard.session(idOn(guard, "canary", call)).evaluate({ action: "x" })
    for (let call = 0; call < 5; call++) guard.session(idOn(guard, "stable", call)).evaluate({ action: "x" })
    await guard.idle()
    const text = (await new Promise((resolve) => {
      const response = { setHeader: () => {}, end: resolve } as unknown as ServerResponse
      exporter.getMetricsRequestHandler({} as never, response)
    })) as string
    const exported = new Set(text.split("\n").map((line) => /^\w+/.exec(line)?.[0]))
    const rules = readFileSync(new URL("../../prometheus/serin.rules.yml", import.meta.url), "utf8")
    const expressions = rules.replaceAll(/^ *(#|summary:|description:).*$/gm, "")
    const labels = new Set(["serin_rollout", "serin_arm", "serin_outcome", "serin_phase"])
    const named = [...expressions.matchAll(/\bserin_\w+/g)]
      .map(([name]) => name)
      .filter((name) => !labels.has(name) && !/^serin_(stable|canary)_/.test(name))
    const wanted = [...new Set(named.map((name) => (name === "serin_evaluation_duration" ? `${name}_bucket` : name)))]
    expect(wanted.length).toBeGreaterThan(6)
    expect(wanted.filter((name) => !exported.has(name))).toEqual([])
    state.set(null)
    await guard.close()
    await meterProvider.shutdown()
  })
})
