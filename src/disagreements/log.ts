import type { Problem } from "../errors.js"
import type { DecisionLogEntry } from "../model/decision-entry.js"
import { exampleOf, groupOf, judgedCalls, type Example, type JudgedCall } from "./example.js"
import { examplesIn, type LogExamples } from "./from-log.js"
import type { LabelsOf } from "./label.js"

/** Reads the entries of a log from its beginning, and tells what is none. */
export type ReadEntries = (onProblem: (problem: Problem) => void) => AsyncIterable<DecisionLogEntry>

/** A decision log, read whole each time it is asked: it may be larger than memory. Rejects as reading it does. */
export interface DisagreementLog {
  examples(of: LabelsOf): Promise<LogExamples>
  /** A call that both releases judged, by the id of its decision; null: there is none. */
  call(id: string): Promise<JudgedCall | null>
  /** The same, where they disagreed. */
  example(id: string): Promise<Example | null>
}

export function disagreementLog(read: ReadEntries): DisagreementLog {
  async function call(id: string): Promise<JudgedCall | null> {
    for await (const judged of judgedCalls(read(() => {}))) if (judged.decision.id === id) return judged
    return null
  }
  return {
    async examples(of) {
      let bad = 0
      const found = await examplesIn(
        read(() => (bad += 1)),
        of,
      )
      if (bad === 0) return found
      return { ...found, notes: [...found.notes, `${bad} lines of the log are no entries, and were passed over`] }
    },
    call,
    async example(id) {
      const judged = await call(id)
      const group = judged && groupOf(judged)
      return judged && group && exampleOf(judged, group)
    },
  }
}
