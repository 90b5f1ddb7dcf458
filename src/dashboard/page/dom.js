/**
 * Make an element. Texts become text nodes, whatever they hold: nothing of a rollout is ever read as markup.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Readonly<Record<string, string | number | boolean | EventListener | undefined>>} attributes `on…` takes a listener; `false` leaves out.
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value)
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : String(value))
  }
  element.append(...children.filter((child) => child !== null && child !== undefined))
  return element
}

/**
 * Replace what an element holds, unless it says the same already: a reader's place and a selection stay.
 *
 * @param {Element} element
 * @param {...(Node | string | null | undefined)} children
 */
export function fill(element, ...children) {
  const fresh = /** @type {Element} */ (element.cloneNode(false))
  fresh.append(...children.filter((child) => child !== null && child !== undefined))
  if (!fresh.isEqualNode(element)) element.replaceChildren(...fresh.childNodes)
}

/**
 * A table whose heads stand where the cells of their column do.
 *
 * @param {string} text
 * @param {HTMLTableRowElement[]} rows
 * @param {...string} heads
 */
export function table(text, rows, ...heads) {
  const isNumber = (/** @type {number} */ i) => rows[0]?.cells[i]?.classList.contains("number")
  const columns = heads.map((head, i) => h("th", { scope: "col", class: isNumber(i) ? "number" : undefined }, head))
  return h(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": text },
    h("table", {}, h("caption", {}, text), h("thead", {}, h("tr", {}, ...columns)), h("tbody", {}, ...rows)),
  )
}
