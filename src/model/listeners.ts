/** Whoever wants to be told. */
export interface Listeners<T> {
  /** The answer takes it away again. */
  add(listener: (told: T) => void): () => void
  tell(told: T): void
}

/** What one listener throws, or rejects later, is its own fault: it is kept neither from the others nor from this process. */
export function createListeners<T>(): Listeners<T> {
  const listeners = new Set<(told: T) => unknown>()
  return {
    add(listener) {
      const own = (told: T): unknown => listener(told)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    tell(told) {
      for (const listener of listeners) {
        try {
          void Promise.resolve(listener(told)).catch(() => {})
        } catch {
          continue
        }
      }
    },
  }
}
