import type { Outcome } from "../model/decision.js"

/** How often the arms disagreed in one way about one action. Holds no input: safe to store and to show. */
export interface Diff {
  readonly action: string
  readonly stable: { readonly outcome: Outcome; readonly rule?: string | undefined }
  readonly canary: { readonly outcome: Outcome; readonly rule?: string | undefined }
  readonly calls: number
}

export interface Diffs {
  record(action: string, stable: Diff["stable"], canary: Diff["canary"]): void
  /** Most frequent first. */
  list(): readonly Diff[]
}

/** Count disagreements by action and by the rules that decided. Past `limit` groups, new ones count under the action `other`. */
export function createDiffs(limit = 200): Diffs {
  const groups = new Map<string, { -readonly [K in keyof Diff]: Diff[K] }>()
  return {
    record(action, stable, canary) {
      const key = JSON.stringify([action, stable.outcome, stable.rule, canary.outcome, canary.rule])
      let group = groups.get(key)
      if (group === undefined && groups.size >= limit) {
        const other = JSON.stringify(["other", stable.outcome, canary.outcome])
        group = groups.get(other)
        if (group === undefined) {
          group = {
            action: "other",
            stable: { outcome: stable.outcome },
            canary: { outcome: canary.outcome },
            calls: 0,
          }
          groups.set(other, group)
        }
      } else if (group === undefined) {
        group = {
          action,
          stable: { outcome: stable.outcome, rule: stable.rule },
          canary: { outcome: canary.outcome, rule: canary.rule },
          calls: 0,
        }
        groups.set(key, group)
      }
      group.calls += 1
    },
    list: () => [...groups.values()].sort((a, b) => b.calls - a.calls).map((group) => ({ ...group })),
  }
}
