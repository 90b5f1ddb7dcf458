import { fill, h } from "./dom.js"
import { share, spanOf, timeOf } from "./words.js"

/** What is happening, why, and what comes next. */
export function nowPanel() {
  const phase = h("p", { class: "phase" })
  const why = h("p", { class: "why" })
  const facts = h("div", {})
  const live = h("div", { "aria-live": "polite" }, phase, why)
  const element = h(
    "section",
    { id: "now", tabindex: -1, "aria-labelledby": "now-title" },
    h("h2", { id: "now-title" }, "Now"),
    live,
    facts,
  )

  return {
    element,
    /** @param {any} doc */
    update(doc) {
      const { state, verdict } = doc
      const mark = MARKS[doc.phase.phase] ?? ["▲", ""]
      fill(phase, h("span", { class: mark[1] }, `${mark[0]} ${doc.words}`))
      fill(why, "Why: ", doc.why)
      const held = doc.phase.stage === undefined ? [] : state.holds
      fill(
        facts,
        h(
          "p",
          {},
          h("strong", {}, "Held by: "),
          held.length === 0
            ? "nothing"
            : held.map((/** @type {any} */ one) => `${one.reason} for ${spanOf(doc.now - one.since)}`).join(", "),
        ),
        stages(state, doc.phase.stage),
        h(
          "p",
          { class: "quiet" },
          `${state.stable} stable${state.canary === null ? "" : `, ${state.canary} canary`}; generation ${state.generation}, revision ${state.revision}. `,
          `Last: ${state.last.event} by ${state.last.actor.id}, ${timeOf(state.last.at)}: ${state.last.reason}`,
        ),
        h(
          "p",
          { class: doc.judged ? "quiet" : "bad" },
          doc.judged ? judgedWords(verdict) : "✗ No process is judging this rollout.",
        ),
        doc.report?.problem === undefined ? null : h("p", { class: "open" }, `! ${doc.report.problem}`),
        ...doc.next.map((/** @type {string} */ step) => h("p", {}, h("strong", {}, "Next: "), step)),
      )
    },
  }
}

/** @type {Record<string, [string, string]>} */
const MARKS = {
  idle: ["○", ""],
  shadow: ["◐", ""],
  canary: ["▲", ""],
  baking: ["▲", ""],
  promoted: ["✓", "good"],
  rolled_back: ["↩", "bad"],
  contained: ["⛨", "bad"],
  killed: ["■", "bad"],
}

/**
 * @param {any} verdict
 */
function judgedWords(verdict) {
  if (verdict === null) return "Not judged yet."
  const { canary, stable, paired } = verdict.sessions
  return `Last judged ${timeOf(verdict.at)}: ${verdict.result}. Sessions: ${canary} canary, ${stable} stable, ${paired} judged by both.`
}

/**
 * @param {any} state
 * @param {number | undefined} current
 */
function stages(state, current) {
  if (state.canary === null) return null
  const items = state.spec.stages.map((/** @type {any} */ stage, /** @type {number} */ i) =>
    h(
      "li",
      i === current ? { "aria-current": "step" } : {},
      stage.weightBp === 0 ? "shadow" : share(stage.weightBp),
      i === current ? " ◀ now" : "",
    ),
  )
  return h("ol", { class: "stages", "aria-label": "Stages" }, ...items)
}
