/** The text of a tool's output, and the output again of what a scanner left of the text. */
export interface Readable {
  readonly text: string
  /** Null: the text that is left is no output any more. */
  restore(text: string): { readonly value: unknown } | null
}

/**
 * Read an output as a model will: a string as it is, anything else as its JSON. Null: it has no such text (bytes, a stream, a map, a cycle),
 * so nobody could say that it is clean. Undefined: there is nothing to read.
 */
export function readableOf(output: unknown): Readable | null | undefined {
  if (output === undefined) return undefined
  if (typeof output === "string") return { text: output, restore: (value) => ({ value }) }
  try {
    const text: unknown = JSON.stringify(output, refuseOpaque)
    return typeof text === "string" ? { text, restore: parsed } : null
  } catch {
    return null
  }
}

function parsed(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return null
  }
}

/** JSON makes `{}` of what keeps its content to itself: a scanner would find nothing in it. */
function refuseOpaque(this: unknown, key: string, value: unknown): unknown {
  const held = (this as Record<string, unknown>)[key]
  if (ArrayBuffer.isView(held)) throw new TypeError("bytes")
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  const prototype: unknown = Object.getPrototypeOf(value)
  const isPlain = prototype === Object.prototype || prototype === null
  if (!isPlain && Object.keys(value).length === 0) throw new TypeError("opaque")
  return value
}
