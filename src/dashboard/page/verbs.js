import { post, Refused } from "./api.js"
import { fill, h } from "./dom.js"

/** @type {Record<string, { label: string, says: string, stop?: boolean }>} */
const VERBS = {
  kill: {
    label: "Kill",
    says: "Stable serves every session from its next call on, until somebody lifts it.",
    stop: true,
  },
  rollback: { label: "Roll back", says: "Every session is given back to stable at once.", stop: true },
  pause: { label: "Pause", says: "It stays at this stage. A breach still rolls back." },
  contain: { label: "Contain", says: "Both releases judge every call, and the stricter answer is served." },
  resume: { label: "Resume", says: "It goes on: the pause, and holds that wait for somebody to look, are lifted." },
  approve: { label: "Approve", says: "The stage in force may be left for the next." },
  promote: { label: "Promote", says: "It goes on at once, whatever the evidence says." },
  retry: { label: "Retry", says: "It begins again from the first stage, as a new generation; a kill is lifted." },
}

/**
 * Buttons for what can be done, and the question that comes before it.
 *
 * @param {{ done: () => void, signIn: () => void }} host
 */
export function verbsPanel({ done, signIn }) {
  /** @type {any} */
  let doc = null
  /** @type {string | null} */
  let actor = null
  let acts = false
  let verb = ""

  const buttons = new Map(
    Object.entries(VERBS).map(([name, { label, stop }]) => [
      name,
      h("button", { type: "button", class: stop ? "stop" : "", "data-verb": name, onclick: () => open(name) }, label),
    ]),
  )
  const note = h("p", { class: "quiet" })
  const outcome = h("p", { class: "alert", role: "status" })
  const element = h(
    "div",
    { role: "group", "aria-label": "What can be done" },
    h("div", { class: "buttons" }, ...buttons.values()),
    note,
    outcome,
  )

  const title = h("h2", { id: "ask-title" })
  const says = h("p", { id: "ask-says" })
  const choices = h("div", {})
  const reason = h("textarea", {
    id: "reason",
    required: true,
    maxlength: 500,
    rows: 3,
    "aria-describedby": "ask-says",
  })
  const problem = h("p", { class: "alert", role: "alert" })
  const yes = h("button", { type: "submit" })
  const no = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel")
  const form = h(
    "form",
    { onsubmit: submit },
    title,
    says,
    choices,
    h("label", { for: "reason" }, "Reason (kept in the history)"),
    reason,
    problem,
    h("div", { class: "buttons" }, yes, no),
  )
  const dialog = h("dialog", { "aria-labelledby": "ask-title", "aria-describedby": "ask-says" }, form)
  element.append(dialog)

  /** Revision that a verb of this page made: what it did is told until there is another. */
  let doneAt = 0
  /** What was seen when the question was asked: an answer is for that, and for nothing that came since. */
  let seen = { rollout: "", revision: 0, generation: 0 }

  /** @param {string} name */
  function open(name) {
    if (doc === null) return
    if (actor === null) return signIn()
    verb = name
    const { revision, generation, rollout } = doc.state
    seen = { rollout, revision, generation }
    const { label, says: words, stop } = VERBS[name] ?? { label: name, says: "" }
    fill(title, `${label} ${rollout}?`)
    fill(says, `${words} Now: ${doc.words}. You act as ${actor}.`)
    fill(choices, choicesOf(name, doc))
    fill(yes, label)
    yes.className = stop ? "stop" : ""
    fill(problem)
    reason.value = ""
    yes.disabled = false
    dialog.showModal()
    reason.focus()
  }

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault()
    if (reason.value.trim() === "") {
      fill(problem, "Say why: the reason is kept in the history.")
      reason.focus()
      return
    }
    yes.disabled = true
    const chosen = Object.fromEntries(new FormData(form))
    const { rollout, ...asked } = seen
    try {
      const { words, changed, revision } = await post(`${rollout}/act`, {
        verb,
        reason: reason.value,
        ...asked,
        ...chosen,
      })
      dialog.close()
      doneAt = revision
      fill(outcome, changed ? `✓ Done: ${words}.` : `Nothing was to be changed: ${words}.`)
      done()
    } catch (error) {
      yes.disabled = false
      fill(
        problem,
        error instanceof Refused ? error.message : "The server cannot be reached. `serin kill` works without it.",
      )
      if (error instanceof Refused && error.code === "CHANGED") done()
    }
  }

  return {
    element,
    /** @param {{ actor: string | null, acts: boolean }} next */
    who(next) {
      actor = next.actor
      acts = next.acts
      if (doc !== null) this.update(doc)
    },
    /** @param {any} next */
    update(next) {
      doc = next
      if (doc.state.revision > doneAt) fill(outcome)
      for (const [name, button] of buttons) {
        const refused = doc.verbs.find((/** @type {any} */ one) => one.verb === name)?.refused
        button.disabled = refused !== undefined || !acts
        button.title = refused ?? ""
        button.hidden = refused !== undefined && !["kill", "rollback", "pause"].includes(name)
      }
      fill(
        note,
        !acts
          ? "This dashboard can only read; `serin kill` on the command line stops it."
          : actor === null
            ? "To act, sign in."
            : "",
      )
    },
  }
}

/**
 * @param {string} verb
 * @param {any} doc
 */
function choicesOf(verb, doc) {
  if (verb === "kill") {
    const killed = doc.state.kill === "stable"
    return choice("Who serves", "position", [
      ["stable", `${doc.state.stable} serves every session`, !killed],
      ["deny", "nobody: every call is denied", killed],
    ])
  }
  if (verb === "promote") {
    return choice("How far", "to", [
      ["next", "to the next stage", true],
      ["end", "to the end", false],
    ])
  }
  return null
}

/**
 * @param {string} legend
 * @param {string} name
 * @param {[string, string, boolean][]} options
 */
function choice(legend, name, options) {
  const inputs = options.map(([value, text, checked]) =>
    h("label", {}, h("input", { type: "radio", name, value, checked }), ` ${text}`),
  )
  return h("fieldset", {}, h("legend", {}, legend), ...inputs)
}
