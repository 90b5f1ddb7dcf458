/**
 * Tell whether a glob matches a whole text: `*` is any run of characters, `?` one UTF-16 code unit, all else itself.
 * At most pattern × text steps: a regular expression with several `.*` would take exponentially or polynomially many,
 * and the text is an action's name, which a model may invent.
 */
export function globMatches(pattern: string, text: string): boolean {
  return run(pattern, text, false)
}

/**
 * Tell whether a glob matches all that another glob matches. May miss a cover (`?*` and `*?` are the same), never
 * claims a false one: the other's `*` can only be consumed by a `*`.
 */
export function globCovers(pattern: string, other: string): boolean {
  return run(pattern, other, true)
}

/** Tell whether a glob has no wildcard. */
export function isLiteral(pattern: string): boolean {
  return !pattern.includes("*") && !pattern.includes("?")
}

/** On a mismatch only the last `*` need take one character more: the earlier ones took their leftmost match. */
function run(pattern: string, text: string, textIsGlob: boolean): boolean {
  let p = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = p++
      resume = t
    } else if (pattern[p] === "?" ? !(textIsGlob && text[t] === "*") : pattern[p] === text[t]) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++resume
    } else {
      return false
    }
  }
  while (pattern[p] === "*") p++
  return p === pattern.length
}
