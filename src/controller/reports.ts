import type { StateStore } from "../rollout/store.js"
import { reportKey } from "./keys.js"
import { COURSE_SCHEMA } from "./report-parts.js"
import { getReplaceable } from "./replaceable.js"
import type { Report } from "./report.js"
import { TRIP_SCHEMA } from "./verdict-record.js"

/** Reports are for people; the history that counts is that of the state. */
export const KEPT_REPORTS = 20

/** Of the last report of a leader, which no other follows. */
const LAST_TRIES = 3

export type Known = Pick<Report, "trip" | "course">

/** Puts reports in the store, for people in other processes. */
export interface Reports {
  /** Put one there, unless one is on its way. Never rejects: else people see an older one, and its age. */
  offer(report: Report): Promise<void>
  /** What the last leader knew besides the evidence; what of it cannot be read is undefined. Rejects with what the store throws. */
  lastKnown(): Promise<Known>
  /** Say that nobody judges here any more. Never rejects. */
  leave(report: Report): Promise<void>
}

export function createReports(store: StateStore, rollout: string): Reports {
  const key = reportKey(rollout)
  let offering: Promise<void> | null = null

  /** Tried again where another write came between: one of this very process may arrive after it was given up. */
  async function put(report: Report, tries: number): Promise<void> {
    try {
      for (let left = tries; left > 0; left--) {
        const revision = (await getReplaceable(store, key))?.revision ?? 0
        const written = await store.compareAndSet(key, revision, JSON.stringify(report), { keep: KEPT_REPORTS })
        if (written.ok) return
      }
    } catch {
      // People see an older one.
    }
  }

  return {
    offer(report) {
      // Once: the next one says more.
      offering ??= put(report, 1).finally(() => (offering = null))
      return offering
    },
    async lastKnown() {
      const found = await getReplaceable(store, key)
      return found === null ? {} : knownIn(found.envelope)
    },
    async leave(report) {
      await offering
      await put({ ...report, by: undefined }, LAST_TRIES)
    },
  }
}

function knownIn(text: string): Known {
  try {
    const report = JSON.parse(text) as Partial<Report> | null
    return { trip: TRIP_SCHEMA.safeParse(report?.trip).data, course: COURSE_SCHEMA.safeParse(report?.course).data }
  } catch {
    return {}
  }
}
