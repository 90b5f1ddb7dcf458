/** What says of which form an output is: without it, it would be of none. */
const FORM = new Set(["type", "status", "kind", "mode", "action", "method"])
const NAME = /^[a-z][\w-]{0,31}$/i

/**
 * Put a text in the place of every text of an output, and leave its form: the SDK hands on the original in place of an output that a tool
 * of its own could not have answered.
 */
export function blank(output: unknown, text: string, key?: string): unknown {
  if (typeof output === "string") return key !== undefined && FORM.has(key) && NAME.test(output) ? output : text
  if (Array.isArray(output)) return output.slice(0, 1).map((item: unknown) => blank(item, text))
  if (typeof output !== "object" || output === null) return output
  return Object.fromEntries(Object.entries(output).map(([name, value]) => [name, blank(value, text, name)]))
}
