import type { Clock } from "../model/clock.js"
import type { LogExamples } from "./from-log.js"
import type { DisagreementLog } from "./log.js"

/** A log may be large: it is read as often as this at the most, ms. */
const READ_EVERY_MS = 30_000

/** Answer whoever asks at the same time, or soon after, by the same read. One that failed is not kept. */
export function rarely(log: DisagreementLog, clock: Clock): DisagreementLog {
  const known = new Map<
    string,
    { readonly at: number; readonly generation: number; readonly read: Promise<LogExamples> }
  >()
  return {
    ...log,
    examples(of) {
      const last = known.get(of.rollout)
      const fresh = last !== undefined && clock.monotonic() - last.at < READ_EVERY_MS
      if (fresh && last.generation === of.generation) return last.read
      const read = log.examples(of)
      const next = { at: clock.monotonic(), generation: of.generation, read }
      known.set(of.rollout, next)
      read.catch(() => known.get(of.rollout) === next && known.delete(of.rollout))
      return read
    },
  }
}
