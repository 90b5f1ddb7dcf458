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
    const list: unknown[] = []
    for (let i = 0; i < source.length; i++) list.push(copy(source[i], depth + 1, seen))
    return list
  }
  const prototype: unknown = Object.getPrototypeOf(source)
  if (prototype !== Object.prototype && prototype !== null) return source
  const room = MAX_NODES - seen.nodes
  let keys = 0
  for (const _ in source) if (++keys > room) return source
  seen.nodes += keys
  // All at once, and then again what is not flat: half the time of setting key by key. A key `__proto__` stays a key, and sets nothing.
  const record: Record<string, unknown> =
    prototype === null
      ? (Object.assign(Object.create(null) as object, source) as Record<string, unknown>)
      : { ...source }
  for (const key in record) {
    const value = record[key]
    if (typeof value === "object" && value !== null && Object.hasOwn(record, key)) {
      record[key] = copy(value, depth + 1, seen)
    }
  }
  return record
}
