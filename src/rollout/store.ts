/** Highest revision that counts: a write each millisecond comes to it in 8,900 years, and room is left to tell it from the next. */
export const MAX_REVISION = 2 ** 48

/** One stored revision of a document. `envelope` is the exact text that was written. */
export interface Versioned {
  /** Grows by one with each write; the first is 1. */
  readonly revision: number
  /** The store's own name for this write; changes when content does. */
  readonly token: string
  readonly envelope: string
  /** The text in the store, where `envelope` was signed inside it: see `unseal`. */
  readonly sealed?: string | undefined
}

/** A revision as it is kept, whoever wrote it: what an audit looks at. */
export interface Witnessed {
  readonly revision: number
  /** What was written, without signatures. Bytes, where it is no text. */
  readonly content: string | Uint8Array
  /** Whether enough trusted keys signed it; `unchecked`: somebody did, and no key is known to ask. */
  readonly signed: "trusted" | "untrusted" | "unchecked" | "no"
}

/** What every call of a store takes: a signal that gives it up. */
export interface StoreOptions {
  readonly signal?: AbortSignal | undefined
}

/** What a write takes beside that. */
export interface WriteOptions extends StoreOptions {
  /** Revisions of this document that need to be kept, this one included. Default: what the store was made with. */
  readonly keep?: number | undefined
}

/** How a compare-and-set ended; `current`: what is there instead, null for nothing. */
export type CasResult = { readonly ok: true } | { readonly ok: false; readonly current: Versioned | null }

/** A kill that stands in no document. */
export interface StandingKill {
  readonly position: "stable" | "deny"
  /** For people: who says so, and why. */
  readonly reason: string
  /** Ms since the epoch. */
  readonly since: number
}

/**
 * Told that a document may have changed. `found` is what it has become, as `get` would give it, where the store's notice brings it anyway, on
 * the same authority as an answer to `get`: then nobody needs to ask. Without it, or where it is not good or not newer, the reader asks.
 */
export type Hint = (found?: Versioned) => void

/**
 * The half of a store that reads: all that a process which follows needs, and may be given. Failures are `SerinError`s with the code
 * `STORE_UNAVAILABLE`, or `STORE_UNAUTHORIZED` for a reader that the store does not let in.
 */
export interface ReadStore {
  get(key: string, options?: StoreOptions): Promise<Versioned | null>
  /** Call `hint` when the document may have changed, until `signal` aborts. May drop, repeat or reorder: the reader polls as well. */
  watch(key: string, hint: Hint, options: { readonly signal: AbortSignal }): void
  /**
   * A kill that is to be obeyed whatever the documents say, and as long as it is answered; the same object while it is the same kill. Asked
   * with each look and each hint, so that it also arrives while `get` fails. Absent: there is none.
   */
  kill?(): StandingKill | null
  /**
   * Verify a text that `get` gave as `sealed`, and was kept outside the store since; answer the envelope inside. Throws `STATE_UNTRUSTED`.
   * Absent: nothing is sealed.
   */
  unseal?(key: string, text: string): string
  readonly caps: StoreCaps
}

/**
 * Where documents live. A key names a document (`<rollout>/state`, `<rollout>/report`).
 * Failures are `SerinError`: `STORE_UNAVAILABLE` when nothing was written, `STORE_AMBIGUOUS` when a write may have happened.
 */
export interface StateStore extends ReadStore {
  /** Write revision `expectedRevision + 1` if the store is at `expectedRevision` (0 = no document). */
  compareAndSet(key: string, expectedRevision: number, envelope: string, options?: WriteOptions): Promise<CasResult>
  /** Revisions that are still kept, newest first. */
  history(key: string, options?: StoreOptions): AsyncIterable<Versioned>
  /** Keys of the documents below `under`, at any depth, in order: `a/b` and `a/b/c` are below `a`. */
  list(under: string, options?: StoreOptions): Promise<readonly string[]>
  /** Remove a document and its history, if there is one. What is written there later begins at revision 1. */
  remove(key: string, options?: StoreOptions): Promise<void>
}

/** Tell whether a store can be written to. */
export const isWritable = (store: ReadStore | StateStore): store is StateStore => "compareAndSet" in store

/** What a store promises, for those who choose one and for what shows it. */
export interface StoreCaps {
  /** Whether `watch` hints without polling. */
  readonly push: boolean
  readonly linearizable: boolean
  /** What a successful write has survived. */
  readonly ack: "memory" | "fsync" | "replicated" | "async"
  readonly maxBytes: number
}
