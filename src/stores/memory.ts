import type { StateStore, Versioned } from "../rollout/store.js"
import { callSafely, checkWrite, keySegments, MAX_DOCUMENT_BYTES, refuseAborted, versioned } from "./document.js"

/** Make a store that lives and dies with this object: for tests, and for trying things out. */
export function memoryStore(): StateStore {
  const documents = new Map<string, Versioned[]>()
  const watchers = new Map<string, Set<() => void>>()

  const latest = (key: string): Versioned | null => documents.get(key)?.at(-1) ?? null

  /** After the writer has its answer, as with every other store. */
  function tell(key: string): void {
    for (const hint of watchers.get(key) ?? []) queueMicrotask(() => watchers.get(key)?.has(hint) && callSafely(hint))
  }

  return {
    caps: { push: true, linearizable: true, ack: "memory", maxBytes: MAX_DOCUMENT_BYTES },

    async get(key, options) {
      keySegments(key)
      refuseAborted(options?.signal)
      return latest(key)
    },

    async compareAndSet(key, expectedRevision, envelope, options) {
      keySegments(key)
      checkWrite(expectedRevision, envelope, MAX_DOCUMENT_BYTES, options)
      refuseAborted(options?.signal)
      const current = latest(key)
      if ((current?.revision ?? 0) !== expectedRevision) return { ok: false, current }
      const revisions = documents.get(key) ?? []
      documents.set(
        key,
        [...revisions, versioned(expectedRevision + 1, envelope)].slice(-(options?.keep ?? Number.POSITIVE_INFINITY)),
      )
      tell(key)
      return { ok: true }
    },

    watch(key, hint, { signal }) {
      keySegments(key)
      if (signal.aborted) return
      const own = (): void => hint()
      const hints = watchers.get(key) ?? new Set()
      watchers.set(key, hints.add(own))
      signal.addEventListener("abort", () => hints.delete(own), { once: true })
    },

    async *history(key, options) {
      keySegments(key)
      for (const revision of (documents.get(key) ?? []).toReversed()) {
        refuseAborted(options?.signal)
        yield revision
      }
    },

    async list(under, options) {
      keySegments(under)
      refuseAborted(options?.signal)
      return [...documents.keys()].filter((key) => key.startsWith(`${under}/`)).toSorted()
    },

    async remove(key, options) {
      keySegments(key)
      refuseAborted(options?.signal)
      if (documents.delete(key)) tell(key)
    },
  }
}
