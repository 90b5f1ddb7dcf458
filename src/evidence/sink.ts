/**
 * Where a process puts its evidence for a leader in another one. `key` is the document of this one process, in this one run: nobody else
 * writes it, and what it says later takes the place of what it said before.
 */
export interface EvidenceSink {
  /** Rejects with a `SerinError` when it may not have arrived; what is put next says all of it again. */
  put(key: string, text: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
}
