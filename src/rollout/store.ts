/** One stored revision of a document. `envelope` is the exact text that was written. */
export interface Versioned {
  /** Grows by one with each write; the first is 1. */
  readonly revision: number
  /** The store's own name for this write; changes when content does. */
  readonly token: string
  readonly envelope: string
}

export interface StoreOptions {
  readonly signal?: AbortSignal | undefined
}

export type CasResult = { readonly ok: true } | { readonly ok: false; readonly current: Versioned | null }

/**
 * Where documents live. A key names a document (`<rollout>/state`, `<rollout>/report`).
 * Failures are `SerinError`: `STORE_UNAVAILABLE` when nothing was written, `STORE_AMBIGUOUS` when a write may have happened.
 */
export interface StateStore {
  get(key: string, options?: StoreOptions): Promise<Versioned | null>
  /** Write revision `expectedRevision + 1` if the store is at `expectedRevision` (0 = no document). */
  compareAndSet(key: string, expectedRevision: number, envelope: string, options?: StoreOptions): Promise<CasResult>
  /** Call `hint` when the document may have changed, until `signal` aborts. May drop, repeat or reorder: the reader polls as well. */
  watch(key: string, hint: () => void, options: { readonly signal: AbortSignal }): void
  /** Revisions that are still kept, newest first. */
  history(key: string, options?: StoreOptions): AsyncIterable<Versioned>
  readonly caps: StoreCaps
}

export interface StoreCaps {
  /** Whether `watch` hints without polling. */
  readonly push: boolean
  readonly linearizable: boolean
  /** What a successful write has survived. */
  readonly ack: "memory" | "fsync" | "replicated" | "async"
  readonly maxBytes: number
}
