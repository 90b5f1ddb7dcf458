import { token } from "./api.js"
import { fill, h } from "./dom.js"

/**
 * Ask for a token. It stays in this tab.
 *
 * @param {() => void} tried
 */
export function signInPanel(tried) {
  const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true })
  const problem = h("p", { class: "alert", role: "alert" })
  const form = h(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault()
        token.set(input.value.trim())
        input.value = ""
        tried()
      },
    },
    h("label", { for: "token" }, "Token"),
    input,
    problem,
    h("div", { class: "buttons" }, h("button", { type: "submit" }, "Sign in")),
  )
  const element = h(
    "section",
    { "aria-labelledby": "sign-in-title", hidden: true },
    h("h2", { id: "sign-in-title" }, "Sign in"),
    form,
  )
  return {
    element,
    /** @param {string} [message] */
    show(message = "") {
      element.hidden = false
      fill(problem, message)
      input.focus()
    },
    hide() {
      element.hidden = true
    },
  }
}
