import type { Clock } from "../model/clock.js"
import { keptAnswers } from "../model/kept-answers.js"
import type { LogExamples } from "./from-log.js"
import type { DisagreementLog } from "./log.js"

/** A log may be large: it is read as often as this at the most, ms. */
const READ_EVERY_MS = 30_000

/** Answer whoever asks at the same time, or soon after, by the same read. One that failed is not kept. */
export function rarely(log: DisagreementLog, clock: Clock): DisagreementLog {
  const kept = keptAnswers<{ readonly at: number; readonly generation: number }, LogExamples>()
  return {
    ...log,
    examples(of) {
      const mark = { at: clock.monotonic(), generation: of.generation }
      const isFresh = ({ at, generation }: typeof mark): boolean =>
        mark.at - at < READ_EVERY_MS && generation === mark.generation
      return kept.get(of.rollout, mark, isFresh, () => log.examples(of))
    },
  }
}
