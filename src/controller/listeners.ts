/** Whoever wants to be told. */
export interface Listeners<T> {
  /** The answer takes it away again. */
  add(listener: (told: T) => void): () => void
  tell(told: T): void
}

/** What one listener throws is its own fault: it is kept neither from the others nor from this process. */
export function createListeners<T>(): Listeners<T> {
  const listeners = new Set<(told: T) => void>()
  return {
    add(listener) {
      const own = (told: T): void => listener(told)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    tell(told) {
      for (const listener of listeners) {
        try {
          listener(told)
        } catch {
          continue
        }
      }
    },
  }
}
