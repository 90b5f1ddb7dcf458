import { isUnderWay, phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { reportKey } from "./keys.js"
import type { Gap } from "./notified.js"
import { parseReport } from "./report.js"

/** Shortest time without a judgement that people are told of, ms: a leader that dies is replaced much sooner. */
export const UNJUDGED_MS = 30_000

/**
 * Find the newest time in which no judgement of this rollout was written, though it was under way: by the reports that the store keeps. Null:
 * there is none. `now` is ms since the epoch. Rejects with what the store throws.
 */
export async function findUnjudged(
  store: StateStore,
  state: RolloutState,
  now: number,
  atLeastMs: number,
): Promise<Gap | null> {
  const phase = phaseOf(state)
  if (!isUnderWay(phase)) return null
  // Not before its generation.
  const began = state.ramp[0]?.at ?? phase.since
  let until = now
  let isUnreported = true
  for await (const { envelope } of store.history(reportKey(state.rollout))) {
    isUnreported = false
    const at = Math.max(began, parseReport(envelope)?.at ?? until)
    if (until - at >= atLeastMs) return { revision: state.revision, since: at, until }
    until = Math.min(until, at)
  }
  // Without a report nobody has judged at all; older ones than are kept tell nothing.
  return isUnreported && until - began >= atLeastMs ? { revision: state.revision, since: began, until } : null
}
