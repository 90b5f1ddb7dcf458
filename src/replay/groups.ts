/** Calls that have something in common, and where to find some of them. */
export interface Group<K, E> {
  readonly of: K
  readonly calls: number
  /** Sessions that they belong to, counted up to {@link MOST_SESSIONS}. */
  readonly sessions: number
  /** Of different sessions. */
  readonly examples: readonly E[]
}

export interface Groups<K, E> {
  add(of: K, session: string, example: () => E): void
  /** Largest first. */
  list(): readonly Group<K, E>[]
}

export const MOST_SESSIONS = 1000
const MOST_GROUPS = 200

/**
 * Count by what calls have in common, in bounded memory. Past 200 groups, new ones count in those that `coarser` puts them in, of
 * which there must be few.
 */
export function createGroups<K, E>(most: { readonly examples: number }, coarser: (of: K) => K): Groups<K, E> {
  const groups = new Map<string, { of: K; calls: number; sessions: Set<string>; examples: E[] }>()

  function find(of: K, isRoomy: boolean) {
    const key = JSON.stringify(of)
    let group = groups.get(key)
    if (group === undefined && (!isRoomy || groups.size < MOST_GROUPS)) {
      groups.set(key, (group = { of, calls: 0, sessions: new Set(), examples: [] }))
    }
    return group
  }

  return {
    add(of, session, example) {
      const group = find(of, true) ?? find(coarser(of), false)!
      group.calls += 1
      const { sessions, examples } = group
      if (sessions.size >= MOST_SESSIONS || sessions.has(session)) return
      sessions.add(session)
      if (examples.length < most.examples) examples.push(example())
    },
    list: () =>
      [...groups.values()]
        .sort((a, b) => b.calls - a.calls)
        .map(({ of, calls, sessions, examples }) => ({ of, calls, sessions: sessions.size, examples })),
  }
}
