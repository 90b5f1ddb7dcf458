import { ask, post, Refused } from "./api.js"
import { fill, h, table } from "./dom.js"
import { count, digits, timeOf } from "./words.js"

/** @type {Record<string, [string, string]>} */
const CHANGES = {
  newly_allowed: ["⚠ newly allowed", "bad"],
  failed: ["⚠ the canary fails", "bad"],
  newly_denied: ["✗ newly denied", "open"],
  newly_escalated: ["? newly escalated", "open"],
  no_longer_escalated: ["✗ denied without asking", "open"],
  mended: ["✓ stable fails", ""],
}

/** Counts are reported every few seconds; a look this often is enough, and one at each group that is new, ms. */
const LOOK_EVERY_MS = 10_000

/** Where the releases disagree, by evidence; calls of it, what both releases make of them, and what people say. */
export function disagreementsPanel() {
  /** @type {any} */
  let found = null
  /** @type {string | null} */
  let actor = null
  let rollout = ""
  let generation = -1
  let lookedAt = 0
  let reported = 0

  const list = h("div", {})
  const draw = h("button", { type: "button", hidden: true, onclick: () => void drawOne() }, "Draw one to label")
  const rate = h("p", {})
  const note = h("p", { class: "quiet" })
  const problem = h("p", { class: "alert", role: "alert" })
  const detail = h("div", { tabindex: -1, role: "group", "aria-label": "Calls" })
  const element = h(
    "section",
    { "aria-labelledby": "disagreements-title" },
    h("h2", { id: "disagreements-title" }, "Where the releases disagree"),
    list,
    rate,
    h("div", { class: "buttons" }, draw),
    note,
    problem,
    detail,
  )

  async function look() {
    lookedAt = Date.now()
    const asked = rollout
    try {
      const answer = await (await ask(`${asked}/disagreements`)).json()
      if (asked !== rollout) return
      found = answer
      show()
    } catch (error) {
      say(error)
    }
  }

  function show() {
    if (found === null) {
      draw.hidden = true
      for (const part of [list, rate, note]) fill(part)
      return
    }
    const mayLook = found.shows.calls && actor !== null
    const { groups, sessions } = found
    if (groups.length === 0) fill(list, h("p", { class: "quiet" }, "No disagreement was seen."))
    else {
      const head = `Most evidence first${sessions === null ? "" : `; of ${count(sessions)} sessions that both judged`}`
      const rows = groups.map((/** @type {any} */ group) => row(group, mayLook ? () => void calls(group) : null))
      fill(
        list,
        table(head, rows, "what changes", "tool", "stable → canary", "calls", "sessions", "at least", "people say"),
      )
      // Rows that say the same are left as they are, and with them what they do: it asks by the group's id alone.
    }
    draw.hidden = !mayLook || groups.length === 0
    fill(rate, rateWords(found.wrongRates[0]))
    const hint = !found.shows.calls ? "" : actor === null ? "To see calls, sign in." : ""
    fill(note, [...found.notes, hint].filter((text) => text !== "").join(" "))
  }

  /** @param {any} group */
  async function calls(group) {
    await work("disagreements/calls", { group: group.id }, (/** @type {any} */ { examples }) => [
      h("h3", {}, `${words(group)[0]}: ${group.tool}`),
      ...(examples.length === 0 ? [h("p", {}, "The log has no call of this group.")] : examples.map(callOf)),
      judge({ group: group.id, example: null }, "About all calls of this kind, the canary is"),
    ])
  }

  async function drawOne() {
    await work("disagreements/draw", { scope: "all" }, (/** @type {any} */ { draw, example }) => [
      h("h3", {}, "Drawn at random"),
      draw === null
        ? h("p", {}, "Every session with a disagreement in the log was drawn.")
        : example === null
          ? h("p", {}, "The log does not hold this call any more.")
          : callOf(example),
    ])
  }

  /** @param {any} example */
  function callOf(example) {
    const { id, session, at, input, redacted, reasons } = example
    const outcome = h("div", { role: "status" })
    const replay = async () => {
      try {
        fill(outcome, ...replayed(await send("disagreements/replay", { id })))
      } catch (error) {
        say(error)
      }
    }
    return h(
      "article",
      { "aria-label": `Call ${id}` },
      h("p", { class: "quiet" }, `${timeOf(at)}, session ${session}, ${words(example)[0]}`),
      h("p", {}, h("code", {}, input ?? "The log does not hold the input."), redacted ? " (redacted)" : ""),
      h("p", {}, `stable: ${side(example.stable)}${reasons.stable === null ? "" : `. ${reasons.stable}`}`),
      h("p", {}, `canary: ${side(example.canary)}${reasons.canary === null ? "" : `. ${reasons.canary}`}`),
      found.shows.replays
        ? h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => void replay() }, "Replay"))
        : null,
      outcome,
      judge({ example: id }, "Here the canary is"),
    )
  }

  /**
   * @param {object} what
   * @param {string} question
   */
  function judge(what, question) {
    const why = h("input", {
      type: "text",
      maxlength: 500,
      "aria-label": "Why (kept with the label)",
      placeholder: "why",
    })
    const done = h("span", { role: "status" })
    const choose = (/** @type {string} */ says) => async () => {
      try {
        const { label } = await send("disagreements/label", { ...what, says, note: why.value })
        fill(done, ` ✓ labelled ${label.says}`)
        await look()
      } catch (error) {
        say(error)
      }
    }
    return h(
      "div",
      { class: "buttons", role: "group", "aria-label": question },
      h("span", {}, question),
      h("button", { type: "button", onclick: choose("right") }, "right"),
      h("button", { type: "button", onclick: choose("wrong") }, "wrong"),
      why,
      done,
    )
  }

  /**
   * @param {string} path
   * @param {object} body
   * @param {(answer: any) => (Node | null)[]} shown
   */
  async function work(path, body, shown) {
    const asked = rollout
    try {
      const answer = await send(path, body)
      if (asked !== rollout) return
      detail.replaceChildren(...shown(answer).filter((node) => node !== null))
      detail.focus()
    } catch (error) {
      say(error)
    }
  }

  /**
   * @param {string} path
   * @param {object} body
   */
  async function send(path, body) {
    fill(problem)
    return post(`${rollout}/${path}`, { generation: found.generation, ...body })
  }

  const say = (/** @type {unknown} */ error) =>
    fill(problem, error instanceof Refused ? error.message : "The server cannot be reached.")

  return {
    element,
    /** @param {{ actor: string | null }} next */
    who(next) {
      actor = next.actor
      show()
    },
    /** @param {any} doc */
    update(doc) {
      const isOther = doc.rollout !== rollout || doc.state.generation !== generation
      const groups = doc.report?.diffs.length ?? 0
      if (!isOther && groups === reported && Date.now() - lookedAt < LOOK_EVERY_MS) return
      reported = groups
      rollout = doc.rollout
      generation = doc.state.generation
      if (isOther) {
        // What is shown is of another rollout, or of another generation, and must not be acted on.
        found = null
        detail.replaceChildren()
        show()
      }
      void look()
    },
  }
}

/** @param {any} group */
const words = ({ change }) => CHANGES[change] ?? [change, ""]

/** @param {any} side */
const side = ({ outcome, rule }) => `${outcome}${rule ? ` by ${rule}` : ""}`

/**
 * @param {any} group
 * @param {(() => void) | null} look
 */
function row(group, look) {
  const { tool, stable, canary, calls, sessions, evidence, labels } = group
  const [text, style] = words(group)
  const said = ["right", "wrong"].flatMap((says) => {
    const by = labels.filter((/** @type {any} */ label) => label.says === says).length
    return by === 0 ? [] : [`${by} × ${says}`]
  })
  return h(
    "tr",
    {},
    h("td", { class: style }, text),
    h("th", { scope: "row" }, tool),
    h("td", {}, `${side(stable)} → ${side(canary)}`),
    h("td", { class: "number" }, count(calls)),
    h("td", { class: "number" }, sessions === null ? "–" : count(sessions)),
    evidence?.found === true
      ? h("td", { class: "number" }, `${digits(100 * evidence.lower)} % of sessions`)
      : h("td", { class: "quiet" }, "may be chance"),
    h(
      "td",
      {},
      look === null
        ? null
        : h(
            "button",
            { type: "button", onclick: look, "aria-label": `Show calls of ${tool}: ${text.slice(2)}` },
            "Show calls",
          ),
      said.length === 0 ? null : h("div", { class: "quiet" }, `labelled ${said.join(", ")}`),
    ),
  )
}

/** @param {any} rate */
function rateWords(rate) {
  if (rate === undefined || rate.labelled === 0) return ""
  const { wrong, labelled, atMost, atLeast } = rate
  return `Of ${labelled} drawn at random and labelled, the canary is wrong in ${wrong}: at most ${digits(100 * atMost)} %, at least ${digits(100 * atLeast)} % of all.`
}

/**
 * @param {any} replay
 * @returns {Node[]}
 */
function replayed({ replayed, repeats, fidelity, notes }) {
  const arms = replayed === null ? [] : Object.entries(replayed)
  return [
    ...arms.map(([arm, one]) =>
      h("p", {}, h("strong", {}, `${arm} ${one.release}: ${side(one)}`), one.reason === null ? "" : `. ${one.reason}`),
    ),
    ...(repeats === true && fidelity === "exact" ? [h("p", { class: "good" }, "✓ both answer as they did")] : []),
    ...notes.map((/** @type {string} */ text) => h("p", { class: "open" }, `! ${text}`)),
  ]
}
