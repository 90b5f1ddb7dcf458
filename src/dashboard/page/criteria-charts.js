import { ask } from "./api.js"
import { bandChart } from "./charts.js"
import { h } from "./dom.js"
import { criterionWords, rate } from "./words.js"

/** Looks that the page keeps beyond those that the server has, until it asks again. */
const MOST_MORE = 120

/** How each criterion closes in on its limit: a chart each. */
export function criteriaCharts() {
  const grid = h("div", { class: "charts" })
  const element = h(
    "section",
    { "aria-labelledby": "course-title" },
    h("h2", { id: "course-title" }, "How they got there"),
    grid,
  )
  /** @type {Map<string, ReturnType<typeof oneChart>>} */
  const charts = new Map()
  /** @type {{ generation: number, at: number[], criteria: Record<string, ([number, number | null, number | null] | null)[]> } | null} */
  let course = null
  let asked = ""
  let more = 0

  return {
    element,
    /** @param {any} doc */
    async update(doc) {
      const key = `${doc.rollout} ${doc.state.generation}`
      if (asked !== key || more > MOST_MORE) {
        asked = key
        more = 0
        course = null
        try {
          const read = (await (await ask(`${doc.rollout}/course`)).json()).course
          if (asked === key) course = read?.generation === doc.state.generation ? read : null
        } catch {
          asked = ""
        }
      }
      const { verdict } = doc
      if (verdict !== null && verdict.generation === doc.state.generation) append(verdict)
      for (const [name, one] of charts) if (course === null || !(name in course.criteria)) remove(name, one)
      if (course === null) return
      for (const name of Object.keys(course.criteria)) draw(name, doc)
    },
  }

  /** @param {any} verdict */
  function append({ at, generation, criteria }) {
    course ??= { generation, at: [], criteria: {} }
    if (at <= (course.at.at(-1) ?? 0)) return
    more++
    for (const { criterion, estimate, lower, upper } of criteria) {
      const points = (course.criteria[criterion] ??= course.at.map(() => null))
      points.push(estimate === null ? null : [estimate, lower, upper])
    }
    course.at.push(at)
  }

  /**
   * @param {string} name
   * @param {any} doc
   */
  function draw(name, doc) {
    let one = charts.get(name)
    if (one === undefined) {
      one = oneChart(name)
      charts.set(name, one)
      grid.append(one.element)
    }
    const verdict = doc.verdict?.criteria.find((/** @type {any} */ criterion) => criterion.criterion === name)
    one.update(course?.at ?? [], course?.criteria[name] ?? [], verdict, momentsOf(doc.state))
  }

  /**
   * @param {string} name
   * @param {ReturnType<typeof oneChart>} one
   */
  function remove(name, one) {
    one.element.remove()
    charts.delete(name)
  }
}

/**
 * When the rollout moved: the entries of the ramp, and what ended it.
 *
 * @param {any} state
 */
function momentsOf(state) {
  const stages = state.ramp.map((/** @type {any} */ { at, weightBp }) => ({
    at,
    word: weightBp === 0 ? "shadow" : `${weightBp / 100} %`,
  }))
  const ended = state.ended === null ? [] : [{ at: state.ended.at, word: state.ended.kind.replaceAll("_", " ") }]
  const killed = state.kill === "off" ? [] : [{ at: state.last.at, word: "killed" }]
  return [...stages, ...ended, ...killed]
}

/** @param {string} name */
function oneChart(name) {
  let limit = 0
  let isLatency = false
  /** @type {readonly { at: number, word: string }[]} */
  let moments = []
  // A latency is judged by the share of calls that are over the limit: beyond 1 % of them, the 99th percentile is.
  const value = (/** @type {number} */ y) => rate(name, isLatency ? y + 0.01 : y)
  const plot = bandChart(() => ({ limit: isLatency ? 0 : limit, label: name, moments, value }))
  const caption = h("figcaption", {})
  return {
    element: h("figure", {}, h("h3", {}, criterionWords(name)), plot.element, caption),
    /**
     * @param {readonly number[]} at
     * @param {readonly ([number, number | null, number | null] | null)[]} points
     * @param {any} verdict
     * @param {readonly { at: number, word: string }[]} next
     */
    update(at, points, verdict, next) {
      limit = verdict?.max ?? limit
      isLatency = verdict?.unit === "ms"
      moments = next
      const words = verdict?.reason ?? "There is no number yet."
      caption.textContent = words
      // A share of calls is from 0 to 1, whatever the bound of a difference is.
      const shown = (/** @type {number} */ y) => (isLatency ? Math.min(0.99, Math.max(-0.01, y)) : y)
      const column = (/** @type {0 | 1 | 2} */ i) => {
        return points.map((point) => (point?.[i] == null ? null : shown(/** @type {number} */ (point[i]))))
      }
      const describe = `${criterionWords(name)} over time, ${at.length} looks, with its band and its limit. ${words}`
      plot.update(
        [at.map((ms) => ms / 1000), column(1), column(0), column(2)],
        describe,
        JSON.stringify([limit, isLatency, next]),
      )
    },
  }
}
