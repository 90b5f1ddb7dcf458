import type { TripState } from "../analysis/trip.js"
import type { StateStore } from "../rollout/store.js"
import { reportKey } from "./keys.js"
import type { Report } from "./report.js"
import { TRIP_SCHEMA } from "./verdict-record.js"

/** Reports are for people; the history that counts is that of the state. */
export const KEPT_REPORTS = 20

/** Of the last report of a leader, which no other follows. */
const LAST_TRIES = 3

/** Puts reports in the store, for people in other processes. */
export interface Reports {
  /** Put one there, unless one is on its way. Never rejects: else people see an older one, and its age. */
  offer(report: Report): Promise<void>
  /** What the last leader knew of catastrophes; undefined where it says nothing that can be read. Rejects with what the store throws. */
  lastTrip(): Promise<TripState | undefined>
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
        const revision = (await store.get(key))?.revision ?? 0
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
    async lastTrip() {
      const found = await store.get(key)
      return found === null ? undefined : tripIn(found.envelope)
    },
    async leave(report) {
      await offering
      await put({ ...report, by: undefined }, LAST_TRIES)
    },
  }
}

function tripIn(text: string): TripState | undefined {
  try {
    return TRIP_SCHEMA.safeParse((JSON.parse(text) as Partial<Report> | null)?.trip).data
  } catch {
    return undefined
  }
}
