import { oneAtATime } from "../model/one-at-a-time.js"
import type { Clock } from "../model/clock.js"
import type { ReadStore, Versioned } from "../rollout/store.js"
import type { Read } from "./reads.js"

/** Time between two looks at a document that somebody watches, whatever the store's hints say, ms: hints may get lost. */
const LOOK_EVERY_MS = 2000

type Listener = (found: Versioned | null) => void

interface Watched {
  readonly listeners: Set<Listener>
  close(): void
}

/** One watch on the store for all who watch a document through this handler. */
export interface Hub {
  /** Call `listener` at every change from now on, until the answer is called; it may be told of the same one twice. */
  subscribe(key: string, listener: Listener): () => void
  /** Documents that somebody watches. */
  size(): number
}

export function createHub(store: ReadStore, read: Read, clock: Clock): Hub {
  const documents = new Map<string, Watched>()

  function open(key: string): Watched {
    const listeners = new Set<Listener>()
    const lifetime = new AbortController()
    let known: string | null | undefined
    let cancel = clock.schedule(lookOnTime, LOOK_EVERY_MS)

    const look = oneAtATime(async () => {
      try {
        const found = await read(key)
        const token = found?.token ?? null
        if (lifetime.signal.aborted || token === known) return
        known = token
        for (const listener of listeners) listener(found)
      } catch {
        // The store is away: readers are told so when they read, and the next look is due in time.
      }
    }, lifetime.signal)

    function lookOnTime(): void {
      void look()
      cancel = clock.schedule(lookOnTime, LOOK_EVERY_MS)
    }

    store.watch(key, () => void look(), { signal: lifetime.signal })
    void look()
    return {
      listeners,
      close() {
        lifetime.abort()
        cancel()
      },
    }
  }

  return {
    subscribe(key, listener) {
      const watched = documents.get(key) ?? open(key)
      documents.set(key, watched)
      const own: Listener = (found) => listener(found)
      watched.listeners.add(own)
      return () => {
        if (!watched.listeners.delete(own) || watched.listeners.size > 0) return
        watched.close()
        documents.delete(key)
      }
    },
    size: () => documents.size,
  }
}
