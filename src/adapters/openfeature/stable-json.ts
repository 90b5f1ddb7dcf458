/** Deeper than any document of a rollout. */
const MAX_DEPTH = 32

/**
 * Write a value as JSON with the keys of objects in order: providers keep no order, and the same document must be the same text. Null for
 * what is no JSON, is too deep, or would be longer than `maxLength` characters.
 */
export function stableJson(value: unknown, maxLength: number): string | null {
  let length = 0
  let isWhole = true

  function write(value: unknown, depth: number): string {
    if (!isWhole || depth > MAX_DEPTH) return stop()
    if (typeof value !== "object" || value === null) return leaf(value)
    if (Array.isArray(value)) return `[${value.map((item: unknown) => write(item, depth + 1)).join(",")}]`
    const members: string[] = []
    for (const key of Object.keys(value).toSorted()) {
      const member = (value as Readonly<Record<string, unknown>>)[key]
      if (member !== undefined) members.push(`${leaf(key)}:${write(member, depth + 1)}`)
    }
    return `{${members.join(",")}}`
  }

  function leaf(value: unknown): string {
    const isJson = value === null || ["string", "boolean"].includes(typeof value) || Number.isFinite(value)
    const text = isJson ? JSON.stringify(value) : stop()
    length += text.length + 1
    return length > maxLength ? stop() : text
  }

  function stop(): string {
    isWhole = false
    return ""
  }

  const text = write(value, 0)
  return isWhole && text.length <= maxLength ? text : null
}
