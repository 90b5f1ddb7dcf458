import type { Diff } from "../evidence/diffs.js"

/** Add up what processes disagreed about; most frequent first. */
export function mergeDiffs(lists: Iterable<readonly Diff[]>): readonly Diff[] {
  const groups = new Map<string, { -readonly [K in keyof Diff]: Diff[K] }>()
  for (const list of lists) {
    for (const diff of list) {
      const { action, stable, canary, calls, sessions } = diff
      const key = JSON.stringify([action, stable.outcome, stable.rule, canary.outcome, canary.rule])
      const group = groups.get(key)
      if (group === undefined) groups.set(key, { ...diff })
      else {
        group.calls += calls
        // A process of an earlier version does not say.
        const known = group.sessions !== undefined && sessions !== undefined
        group.sessions = known ? group.sessions! + sessions : undefined
      }
    }
  }
  return [...groups.values()].toSorted((a, b) => b.calls - a.calls)
}
