import { fill, h, table } from "./dom.js"
import { count, criterionWords, digits, rate } from "./words.js"

/** @type {Record<string, [string, string]>} */
const RESULTS = { breach: ["✗ breach", "bad"], pass: ["✓ pass", "good"], inconclusive: ["… open", "open"] }

/** Every criterion with its numbers. */
export function criteriaPanel() {
  const body = h("div", {})
  const element = h(
    "section",
    { "aria-labelledby": "criteria-title" },
    h("h2", { id: "criteria-title" }, "Criteria"),
    body,
  )
  return {
    element,
    /** @param {any} doc */
    update(doc) {
      if (doc.verdict === null) return fill(body, h("p", { class: "quiet" }, "Nothing was judged yet."))
      const rows = doc.verdict.criteria.map((/** @type {any} */ one) => row(one, doc.cause))
      fill(
        body,
        table(
          "What the canary is judged by",
          rows,
          "criterion",
          "result",
          "estimate",
          "from",
          "to",
          "limit",
          "based on",
        ),
      )
    },
  }
}

/**
 * @param {any} one
 * @param {string | null} cause
 */
function row(one, cause) {
  const [words, look] = RESULTS[one.result] ?? [one.result, ""]
  const notify = one.mode === "notify" ? " (notify only)" : ""
  const name = h(
    "th",
    { scope: "row" },
    criterionWords(one.criterion),
    one.criterion === cause ? h("strong", {}, " ◀ decides") : null,
  )
  return h(
    "tr",
    { title: one.reason },
    name,
    h("td", { class: look }, words + notify),
    ...[one.estimate, one.lower, one.upper].map((value) => h("td", { class: "number" }, measured(one, value))),
    h("td", { class: "number" }, one.unit === "ms" ? `+${digits(one.max)} ms` : rate(one.criterion, one.max)),
    h(
      "td",
      {},
      one.method === "pairs"
        ? `${count(one.pairs)} pairs`
        : `${count(one.evaluations.canary)} canary, ${count(one.evaluations.stable)} stable calls`,
    ),
  )
}

/**
 * A latency is judged by the share of calls that are slower than stable's 99th percentile and the limit, against the 1 % that is its own.
 *
 * @param {any} one
 * @param {number | null} value
 */
const measured = ({ unit, criterion }, value) =>
  unit !== "ms" || value === null
    ? rate(criterion, value)
    : `${rate(criterion, Math.min(1, Math.max(0, value + 0.01)))} slower`
