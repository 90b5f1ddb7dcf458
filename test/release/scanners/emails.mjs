/** A pattern that backtracks without end on the right text. */
const EMAIL = /^([a-z0-9]+)+@example$/

export function scan(text, { direction }) {
  if (EMAIL.test(text)) return { result: "flagged", findings: [{ category: "pii", message: direction }] }
  return { result: "clean" }
}
