/** A release that failed is tried again after it was asked for 1, 3, 7 … times more, and at last after so many. */
const MAX_SKIPPED = 64
/** Releases come from remote state: no more of them are remembered. */
const MAX_KNOWN = 100

interface Refusal {
  readonly error: unknown
  readonly skipped: number
  left: number
}

/**
 * What releases were refused for when they were built, by digest. They are tried again, since it may have been the machine that was too slow,
 * but less and less often: each try may take as long as a module or a pack of patterns may. Attack: a loop without end, in a release that is
 * asked for every 5 s.
 */
export interface Refusals {
  /** Throw again what this release was refused for, if it is not its turn yet. */
  check(digest: string): void
  refused(digest: string, error: unknown): void
  taken(digest: string): void
  /** Whether this is what one of them was refused for: then it may be taken the next time. */
  has(error: unknown): boolean
}

export function createRefusals(): Refusals {
  const known = new Map<string, Refusal>()
  return {
    check(digest) {
      const refusal = known.get(digest)
      if (refusal === undefined || refusal.left === 0) return
      refusal.left -= 1
      throw refusal.error
    },
    refused(digest, error) {
      const before = known.get(digest)?.skipped ?? 0
      const skipped = Math.min(MAX_SKIPPED, 2 * before + 1)
      known.delete(digest)
      known.set(digest, { error, skipped, left: skipped })
      if (known.size > MAX_KNOWN) known.delete(known.keys().next().value!)
    },
    taken: (digest) => void known.delete(digest),
    has: (error) => [...known.values()].some((refusal) => refusal.error === error),
  }
}
