const MAX_DEPTH = 16
const MAX_NODES = 2000

/**
 * Copy plain data, so that the other arm judges what this one judged even if the host changes it meanwhile.
 * Arrays and plain objects are copied; anything else (a class instance, a Map, what lies deeper than 16 levels or
 * beyond 2,000 values, what alone has more) is kept as it is. Several times faster than `structuredClone`, and never throws on a function.
 */
export function capture<T>(value: T): T {
  try {
    return copy(value, 0, { nodes: 0 }) as T
  } catch {
    return value // a getter that throws
  }
}

function copy(source: unknown, depth: number, seen: { nodes: number }): unknown {
  if (typeof source !== "object" || source === null || depth > MAX_DEPTH || ++seen.nodes > MAX_NODES) return source
  if (Array.isArray(source)) {
    // Its numbers and texts cost as well: a list that is too long for the budget is kept as it is.
    seen.nodes += source.length
    if (seen.nodes > MAX_NODES) return source
    const list: unknown[] = Array.from({ length: source.length })
    for (let i = 0; i < source.length; i++) list[i] = copy(source[i], depth + 1, seen)
    return list
  }
  const prototype: unknown = Object.getPrototypeOf(source)
  if (prototype !== Object.prototype && prototype !== null) return source
  const record: Record<string, unknown> = prototype === null ? (Object.create(null) as Record<string, unknown>) : {}
  const room = MAX_NODES - seen.nodes
  let keys = 0
  for (const key in source) {
    if (++keys > room) return source
    if (key !== "__proto__" && Object.hasOwn(source, key)) {
      record[key] = copy((source as Record<string, unknown>)[key], depth + 1, seen)
    }
  }
  seen.nodes += keys
  return record
}
