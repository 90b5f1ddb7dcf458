import { OUTCOMES, type Outcome } from "../model/decision.js"

/** How often the arms disagreed in one way about one action. Holds no input: safe to store and to show. */
export interface Diff {
  readonly action: string
  readonly stable: { readonly outcome: Outcome; readonly rule?: string | undefined }
  readonly canary: { readonly outcome: Outcome; readonly rule?: string | undefined }
  readonly calls: number
  /** Sessions with such a call among those that inference may use: a part of the paired sessions. Absent: whoever counted does not say. */
  readonly sessions?: number | undefined
}

/** Groups that one process keeps; what is new beyond them counts under the action `other`. */
const MAX_DIFFS = 200
/** With those of `other`: one for each way to disagree. */
export const MOST_DIFFS = MAX_DIFFS + OUTCOMES.length * (OUTCOMES.length - 1)

/** The groups that a session was counted in. */
export type Met = Set<unknown>

export interface Diffs {
  /** `met`: where the call counts for its session, what that was counted in so far. */
  record(action: string, stable: Diff["stable"], canary: Diff["canary"], met?: Met): void
  /** Most frequent first. */
  list(): readonly Diff[]
}

/** Count disagreements by action and by the rules that decided. Past `limit` groups, new ones count under the action `other`. */
export function createDiffs(limit = MAX_DIFFS): Diffs {
  const groups = new Map<string, { -readonly [K in keyof Diff]: Diff[K] }>()
  return {
    record(action, stable, canary, met) {
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
            sessions: 0,
          }
          groups.set(other, group)
        }
      } else if (group === undefined) {
        group = {
          action,
          stable: { outcome: stable.outcome, rule: stable.rule },
          canary: { outcome: canary.outcome, rule: canary.rule },
          calls: 0,
          sessions: 0,
        }
        groups.set(key, group)
      }
      group.calls += 1
      if (met === undefined || met.has(group)) return
      met.add(group)
      group.sessions! += 1
    },
    list: () => [...groups.values()].sort((a, b) => b.calls - a.calls).map((group) => ({ ...group })),
  }
}
