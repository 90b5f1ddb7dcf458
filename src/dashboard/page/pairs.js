import { fill, h, table } from "./dom.js"
import { count } from "./words.js"

const OUTCOMES = ["allow", "deny", "escalate", "error"]

/** What both releases said of the same calls. */
export function pairsPanel() {
  const body = h("div", {})
  const element = h(
    "section",
    { "aria-labelledby": "pairs-title", hidden: true },
    h("h2", { id: "pairs-title" }, "Judged by both"),
    body,
  )
  return {
    element,
    /** @param {any} doc */
    update(doc) {
      /** @type {number[][] | undefined} */
      const pairs = doc.report?.figures?.pairs
      const all = pairs?.flat().reduce((sum, calls) => sum + calls, 0) ?? 0
      element.hidden = all === 0
      if (pairs === undefined || all === 0) return
      const same = pairs.reduce((sum, row, i) => sum + (row[i] ?? 0), 0)
      const rows = OUTCOMES.map((outcome, i) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, `stable ${outcome}`),
          ...OUTCOMES.map((_, j) => cell(pairs[i]?.[j] ?? 0, i === j)),
        ),
      )
      const after = doc.report.figures.pairsAfter
      fill(
        body,
        h(
          "p",
          {},
          `${count(all)} calls; the releases agreed on ${count(same)} and disagreed on ${count(all - same)} (≠).`,
        ),
        table(
          "Calls by what each release said",
          rows,
          "stable ↓ canary →",
          ...OUTCOMES.map((outcome) => `canary ${outcome}`),
        ),
        after === 0
          ? null
          : h(
              "p",
              { class: "quiet" },
              `${count(after)} more after a disagreement that the canary's session acted on: shown, and not judged by.`,
            ),
      )
    },
  }
}

/**
 * @param {number} calls
 * @param {boolean} isSame
 */
function cell(calls, isSame) {
  const differs = !isSame && calls > 0
  return h(
    "td",
    { class: isSame ? "number same" : differs ? "number bad" : "number" },
    differs ? `≠ ${count(calls)}` : count(calls),
  )
}
