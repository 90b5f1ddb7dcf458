import { ask } from "./api.js"
import { rampChart } from "./charts.js"
import { fill, h, table } from "./dom.js"
import { share, timeOf } from "./words.js"

/** The ramp over time, and every transition. */
export function rampPanel() {
  const body = h("div", { class: "history" })
  const plot = rampChart()
  plot.element.classList.add("low")
  const element = h(
    "section",
    { "aria-labelledby": "ramp-title" },
    h("h2", { id: "ramp-title" }, "History"),
    plot.element,
    body,
  )
  let shown = ""
  return {
    element,
    /** @param {any} doc */
    async update(doc) {
      const key = `${doc.rollout} ${doc.state.revision}`
      if (key === shown) return
      shown = key
      try {
        const { transitions } = await (await ask(`${doc.rollout}/history`)).json()
        if (key !== shown) return
        plot.element.hidden = transitions.length === 0
        const oldest = transitions.toReversed()
        const points = [...oldest, { ...oldest.at(-1), at: Math.max(doc.now, oldest.at(-1)?.at ?? 0) }]
        plot.update(
          [points.map(({ at }) => at / 1000), points.map(({ weightBp }) => weightBp / 100)],
          `The canary's share over time, now ${share(oldest.at(-1)?.weightBp ?? 0)}; the table below has every transition.`,
        )
        if (transitions.length === 0) return fill(body, h("p", { class: "quiet" }, "This store keeps no history."))
        fill(
          body,
          table(
            "Every transition, newest first",
            transitions.map(row),
            "when",
            "what",
            "who",
            "canary's share",
            "then",
            "why",
          ),
        )
      } catch {
        shown = ""
      }
    },
  }
}

/** @param {any} one */
function row(one) {
  const held = one.held.length === 0 ? "" : `, held by ${one.held.join(", ")}`
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, timeOf(one.at)),
    h("td", {}, one.event),
    h("td", {}, one.by === "human" ? one.actor : `${one.actor} (${one.by})`),
    h("td", { class: "number" }, share(one.weightBp)),
    h("td", {}, one.words + held),
    h("td", {}, one.reason),
  )
}
