/** Answers by key, each for all who ask while it counts. */
export interface KeptAnswers<M, T> {
  /** Give the answer that is kept where `counts` says so of its mark; else look anew, and keep that under `mark`. One that fails is not kept. */
  get(key: string, mark: M, counts: (mark: M) => boolean, look: () => Promise<T>): Promise<T>
  forget(key: string): void
}

export function keptAnswers<M, T>(): KeptAnswers<M, T> {
  const kept = new Map<string, { readonly mark: M; readonly answer: Promise<T> }>()
  return {
    get(key, mark, counts, look) {
      const last = kept.get(key)
      if (last !== undefined && counts(last.mark)) return last.answer
      const next = { mark, answer: look() }
      kept.set(key, next)
      next.answer.catch(() => kept.get(key) === next && kept.delete(key))
      return next.answer
    },
    forget: (key) => void kept.delete(key),
  }
}
