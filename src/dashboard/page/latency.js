import { quantileChart } from "./charts.js"
import { fill, h, table } from "./dom.js"
import { digits } from "./words.js"

const NAMES = ["p50", "p75", "p90", "p95", "p99", "p99.9"]

/** Durations of both arms. */
export function latencyPanel() {
  const plot = quantileChart(NAMES)
  const numbers = h("div", {})
  const note = h("p", { class: "quiet" })
  const element = h(
    "section",
    { "aria-labelledby": "latency-title", hidden: true },
    h("h2", { id: "latency-title" }, "Latency"),
    note,
    plot.element,
    numbers,
  )
  return {
    element,
    /** @param {any} doc */
    update(doc) {
      const latency = doc.report?.figures?.latency ?? null
      element.hidden = latency === null
      if (latency === null) return
      const { stable, canary } = latency
      fill(
        note,
        `${latency.of === "pairs" ? "Of calls that both releases judged." : "Of the calls that each arm served."} Stable: full line; canary: dashed.`,
      )
      plot.update(
        [NAMES.map((_, i) => i), stable, canary],
        `Durations: ${NAMES.map((name, i) => `${name} stable ${digits(stable[i])} ms, canary ${digits(canary[i])} ms`).join("; ")}`,
      )
      const row = (/** @type {string} */ name, /** @type {number[]} */ values) =>
        h("tr", {}, h("th", { scope: "row" }, name), ...values.map((ms) => h("td", { class: "number" }, digits(ms))))
      fill(numbers, table("Milliseconds", [row("stable", stable), row("canary", canary)], "arm", ...NAMES))
    },
  }
}
