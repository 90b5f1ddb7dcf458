import { letGo } from "./judge.js"

/** Those who want to be told that something changed. */
export interface Changes {
  /** The answer takes it away again. */
  add(listener: () => void): () => void
  tell(): void
}

/** What a listener throws, or rejects later, is its own fault. */
export function createChanges(): Changes {
  const listeners = new Set<() => unknown>()
  return {
    add(listener) {
      const own = (): unknown => listener()
      listeners.add(own)
      return () => void listeners.delete(own)
    },
    tell() {
      for (const listener of listeners) {
        try {
          letGo(listener())
        } catch {
          continue
        }
      }
    },
  }
}
