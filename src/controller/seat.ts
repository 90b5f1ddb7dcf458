import type { Clock } from "../model/clock.js"
import type { StateStore } from "../rollout/store.js"
import { reportKey } from "./keys.js"
import { parseReport } from "./report.js"
import type { Report } from "./report.js"

/** The one place from which a rollout is judged; the report that the store has says whose it is. */
export interface Seat {
  /** Another controller, whose last report is fresh; null: nobody but this one judges, as far as can be told. */
  rival(): string | null
  /** Put this controller's report in the store, unless a rival judges. One at a time; never rejects. */
  offer(report: Report): Promise<void>
  /** Let the next controller take over at once. Never rejects. */
  leave(report: Report): Promise<void>
}

export interface SeatOptions {
  readonly reports: StateStore
  readonly rollout: string
  readonly clock: Clock
  /** A report that is younger is fresh, ms. */
  readonly freshMs: number
}

/**
 * Share one rollout among controllers on one store: who finds a fresh report of another does not judge. No election: two that take
 * over at the same moment are told apart by the compare-and-set of their first report, and a store that is down keeps nobody from judging.
 */
export function createSeat({ reports, rollout, clock, freshMs }: SeatOptions): Seat {
  const key = reportKey(rollout)
  let other: { readonly by: string; readonly at: number } | null = null
  let offering: Promise<void> | null = null

  // Wall clocks jump: a report from far ahead is as old as one from long ago.
  const isFresh = (at: number): boolean => Math.abs(clock.now() - at) < freshMs

  function rivalIn(envelope: string | undefined, own: Report): typeof other {
    const { by, at } = (envelope === undefined ? null : parseReport(envelope)) ?? { by: undefined, at: 0 }
    return by !== undefined && by !== own.by && isFresh(at) ? { by, at } : null
  }

  async function put(report: Report, by: string | undefined): Promise<void> {
    try {
      const found = await reports.get(key)
      other = rivalIn(found?.envelope, report)
      if (other !== null) return
      const written = await reports.compareAndSet(key, found?.revision ?? 0, JSON.stringify({ ...report, by }))
      if (!written.ok) other = rivalIn(written.current?.envelope, report)
    } catch {
      // People in other processes see an older report, and its age.
      if (other !== null && !isFresh(other.at)) other = null
    }
  }

  return {
    rival: () => other?.by ?? null,
    offer(report) {
      offering ??= put(report, report.by).finally(() => (offering = null))
      return offering
    },
    async leave(report) {
      await offering
      if (other === null) await put(report, undefined)
    },
  }
}
