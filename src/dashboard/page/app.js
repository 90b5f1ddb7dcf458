import { ask, listen, Refused, token } from "./api.js"
import { criteriaCharts } from "./criteria-charts.js"
import { criteriaPanel } from "./criteria.js"
import { disagreementsPanel } from "./disagreements.js"
import { fill, h } from "./dom.js"
import { latencyPanel } from "./latency.js"
import { nowPanel } from "./now.js"
import { pairsPanel } from "./pairs.js"
import { rampPanel } from "./ramp.js"
import { signInPanel } from "./sign-in.js"
import { verbsPanel } from "./verbs.js"
import { spanOf } from "./words.js"

/** Longest wait between two attempts, ms. */
const RETRY_MS = 10_000

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))
const select = /** @type {HTMLSelectElement} */ (byId("rollout"))
const link = byId("link")
const who = byId("who")

const signIn = signInPanel(() => void begin())
const now = nowPanel()
const verbs = verbsPanel({ done: () => void begin(), signIn: () => signIn.show() })
now.element.append(verbs.element)
const disagreements = disagreementsPanel()
/** Each shows a part of what the server says; a new one is a file, and a line here. */
const panels = [now, verbs, criteriaPanel(), criteriaCharts(), pairsPanel(), disagreements, latencyPanel(), rampPanel()]
const shown = h("div", { hidden: true }, ...panels.filter((panel) => panel !== verbs).map(({ element }) => element))
byId("main").append(signIn.element, shown)

/** The last document, and when it came by this machine's clock. */
let heardAt = 0
let attempt = 0
let run = new AbortController()

/** Find out who is there and what there is, and follow the rollout that is chosen. */
async function begin() {
  run.abort()
  const own = (run = new AbortController())
  try {
    const { rollouts, actor, acts } = await (await ask("rollouts")).json()
    if (own.signal.aborted) return
    signIn.hide()
    verbs.who({ actor, acts })
    disagreements.who({ actor })
    fill(
      who,
      actor !== null ? `signed in as ${actor} ` : acts ? "reading only " : "",
      token.get() !== ""
        ? h("button", { type: "button", onclick: leave }, "Sign out")
        : acts && actor === null
          ? h("button", { type: "button", onclick: () => signIn.show() }, "Sign in")
          : null,
    )
    const chosen = rollouts.includes(wanted()) ? wanted() : rollouts[0]
    fill(select, ...rollouts.map((/** @type {string} */ name) => h("option", { value: name }, name)))
    if (chosen === undefined) say("✗ There is no rollout here yet.")
    else {
      select.value = chosen
      document.title = `${chosen} · serin`
      await follow(chosen, own.signal)
    }
  } catch (error) {
    if (own.signal.aborted) return
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return refused(error)
    say(
      `✗ Not connected${heardAt === 0 ? "" : `; what is shown is ${spanOf(Date.now() - heardAt)} old`}: ${error instanceof Error ? error.message : error}`,
    )
  }
  const waitMs = Math.min(RETRY_MS, 500 * 2 ** attempt++)
  setTimeout(() => own.signal.aborted || void begin(), waitMs * (0.5 + Math.random() / 2))
}

/**
 * @param {string} rollout
 * @param {AbortSignal} signal
 */
async function follow(rollout, signal) {
  await listen(`${rollout}/events`, signal, (event, doc) => {
    if (signal.aborted || event !== "status") return
    attempt = 0
    heardAt = Date.now()
    if (doc === null || doc.state === null) return say(`✗ ${rollout} has no state yet.`)
    say("● Live")
    shown.hidden = false
    for (const panel of panels) panel.update(doc)
  })
}

/** @param {Refused} error */
function refused(error) {
  shown.hidden = true
  say("Not signed in")
  const given = token.get() !== ""
  token.set("")
  fill(who)
  signIn.show(given ? `That token is not accepted: ${error.message}` : "")
}

function leave() {
  token.set("")
  shown.hidden = true
  void begin()
}

/** @param {string} text */
const say = (text) => fill(link, text)

/** `#/refund-agent`; other fragments are places on the page. */
const wanted = () => (location.hash.startsWith("#/") ? location.hash.slice(2) : "")

select.addEventListener("change", () => (location.hash = `/${select.value}`))
addEventListener("hashchange", () => {
  if (wanted() !== "") void begin()
})
void begin()
