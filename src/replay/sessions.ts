import { MOST_CALLS } from "../analysis/workload.js"
import { cohortOf } from "../session/bucket.js"

/** What is counted of one call's session. */
export interface Place {
  /** 0–63, as a rollout would have it. */
  readonly cohort: number
  /** Whether it is the session's first. */
  readonly first: boolean
  /** Whether inference counts it: the first twenty of a session, so that a few endless ones do not outweigh all others. */
  readonly counts: boolean
}

const MOST_SESSIONS = 1_000_000
const NONE: Place = { cohort: 0, first: false, counts: false }

/** Know again the sessions of a recording, in any order. Past a million of them, calls of new ones count for no inference. */
export function createSessions() {
  // Cohort and count in one small integer: some 80 bytes a session.
  const seen = new Map<string, number>()
  return {
    take(session: string): Place {
      const before = seen.get(session)
      if (before === undefined && seen.size >= MOST_SESSIONS) return NONE
      const cohort = before === undefined ? cohortOf("replay", session) : before & 63
      const count = before === undefined ? 0 : before >> 6
      if (count <= MOST_CALLS) seen.set(session, ((count + 1) << 6) | cohort)
      return { cohort, first: count === 0, counts: count < MOST_CALLS }
    },
    count: (): number => seen.size,
  }
}
