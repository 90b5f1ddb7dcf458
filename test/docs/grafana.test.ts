import { describe, expect, it } from "vitest"
import { codeWords, readPage, tableRows } from "./pages.js"
import { expressions, grafana, panels, text } from "./grafana-panels.js"

const twice = (values: readonly unknown[]): unknown[] => values.filter((value, i) => values.indexOf(value) < i)

describe("the dashboard for Grafana", () => {
  it("has panels with an id and a title of their own, that say what they show, in which unit, and of which series", () => {
    expect(twice(grafana.panels.map(({ id }) => id))).toEqual([])
    expect(twice(panels.map(({ title }) => title))).toEqual([])
    for (const { title, description, fieldConfig, targets = [] } of panels) {
      expect(description, title).toMatch(/^[A-Z].{20,}\.$/)
      expect(fieldConfig?.defaults.unit, title).toMatch(/^(none|short|percentunit|reqps|cps|s)$/)
      expect(targets.length, title).toBeGreaterThan(0)
      expect(twice(targets.map(({ refId }) => refId)), title).toEqual([])
      expect(
        targets.filter(({ legendFormat }) => legendFormat === ""),
        title,
      ).toEqual([])
    }
  })

  it("is tied to no data source and to no rollout", () => {
    const sources = [...text.matchAll(/"uid": "([^"]*)"/g)].map(([, uid]) => uid)
    expect([...new Set(sources)].toSorted()).toEqual(["${datasource}", "serin-rollout"])
    expect(grafana.templating.list.map(({ name, type }) => [name, type])).toEqual([
      ["datasource", "datasource"],
      ["rollout", "query"],
    ])
    for (const { panel, expr } of expressions) {
      const selectors = expr.match(/serin_\w+[^{}\s]*\{|\{__name__/g) ?? []
      expect(selectors.length, panel).toBeGreaterThan(0)
      expect(expr.match(/serin_rollout="\$rollout"/g) ?? [], panel).toHaveLength(selectors.length)
    }
  })

  it("lays no panel over another, and each within the 24 columns", () => {
    const cells = grafana.panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24)
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`)
    })
    expect(new Set(cells).size).toBe(cells.length)
  })

  it("asks for metrics and labels that the reference has", () => {
    const rows = tableRows(readPage("reference/metrics.md"))
    const underscored = (name: string): string => name.replaceAll(".", "_")
    const metrics = rows.filter(([, kind = ""]) => /^(counter|histogram|gauge)$/.test(kind)).map(([name = ""]) => name)
    const labels = rows
      .flatMap((row) => row.flatMap((cell) => codeWords(cell)))
      .filter((word) => word.startsWith("serin."))
    const known = new Set([...metrics.flatMap((name) => codeWords(name)), ...labels, "serin.rollout"].map(underscored))
    const asked = expressions.flatMap(({ expr }) => [...expr.matchAll(/\bserin_\w+/g)].map(([name]) => name))
    expect(metrics.length).toBeGreaterThan(20)
    expect(asked.length).toBeGreaterThan(60)
    expect(asked.filter((name) => !known.has(name.replace(/_total$/, "")))).toEqual([])
  })

  it("is explained, panel by panel", () => {
    const named = tableRows(readPage("reference/sources/prometheus.md")).map(([first = ""]) => first)
    expect(panels.map(({ title }) => title).filter((title) => !named.includes(title))).toEqual([])
  })
})
