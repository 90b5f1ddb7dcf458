/** A bounded memory of what was used lately. */
export interface Recent<V> {
  get(key: string): V | undefined
  set(key: string, value: V): void
  delete(key: string): void
  values(): Iterable<V>
  /** How many are remembered now, at most twice the capacity. */
  readonly size: number
}

/**
 * Remember at least the last `capacity` distinct keys used and at most twice as many.
 * Two generations of a Map: a hit costs one look-up and moves nothing, and old keys go all at once.
 */
export function recent<V>(capacity: number): Recent<V> {
  if (!Number.isInteger(capacity) || capacity < 1) {
    throw new RangeError(`capacity must be a positive integer, got ${capacity}`)
  }
  let young = new Map<string, V>()
  let old = new Map<string, V>()

  function set(key: string, value: V): void {
    if (young.size >= capacity && !young.has(key)) {
      old = young
      young = new Map()
    }
    young.set(key, value)
    old.delete(key)
  }

  return {
    get(key) {
      const hit = young.get(key)
      if (hit !== undefined) return hit
      const older = old.get(key)
      if (older !== undefined) set(key, older)
      return older
    },
    set,
    delete(key) {
      young.delete(key)
      old.delete(key)
    },
    *values() {
      yield* young.values()
      yield* old.values()
    },
    get size() {
      return young.size + old.size
    },
  }
}
