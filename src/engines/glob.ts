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

/** Tell whether there is a text that two globs both match. For long ones, whose product is above a million, it answers that there may be. */
export function globsMeet(a: string, b: string): boolean {
  if (a.length * b.length > 1_000_000) return true
  // After the row for `i`, `reach[j]` tells whether the first `i` of `a` and the first `j` of `b` can be the same text.
  let reach: boolean[] = []
  for (let i = 0; i <= a.length; i++) {
    const row: boolean[] = []
    for (let j = 0; j <= b.length; j++) {
      const [x, y] = [a[i - 1], b[j - 1]]
      const above = i > 0 && reach[j] === true
      const left = j > 0 && row[j - 1] === true
      const both = i > 0 && j > 0 && reach[j - 1] === true && (x === y || x === "?" || y === "?")
      // A `*` takes nothing, or what the other side has there.
      row.push((i === 0 && j === 0) || both || (x === "*" && (above || left)) || (y === "*" && (above || left)))
    }
    reach = row
  }
  return reach[b.length] === true
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
