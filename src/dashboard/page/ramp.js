import { ask } from "./api.js"
import { fill, h, table } from "./dom.js"
import { share, timeOf } from "./words.js"

/** The ramp over time, and every transition. */
export function rampPanel() {
  const body = h("div", { class: "history" })
  const element = h("section", { "aria-labelledby": "ramp-title" }, h("h2", { id: "ramp-title" }, "History"), body)
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
