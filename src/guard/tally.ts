import type { Call } from "../model/call.js"
import { ARMS, OUTCOMES } from "../model/decision.js"
import { recordEvaluation, recordPair, recordPairAfter, recordScan } from "../evidence/cells.js"
import { capture } from "./capture.js"
import type { Book, Core, Side } from "./core.js"
import { ERROR, isThenable } from "./judge.js"
import type { Judged } from "./judge.js"
import { CANARY, STABLE } from "./seat.js"
import type { Turn } from "./seat.js"

/** Evaluations, and scans, of one session that inference counts: a few endless sessions must not outweigh all others. */
export const MAX_COUNTED = 20

/** What one session has done: its part of the evidence. */
export interface Tally<C extends Call> {
  /** Count an evaluation that its arm made. */
  evaluation(turn: Turn<C>, judged: Judged): void
  scan(turn: Turn<C>, result: "clean" | "flagged" | "blocked" | "error", ms: number): void
  /**
   * Compare after the answer: `other` is what the other arm made of the call, or judges a copy of it then.
   * Calls of a session are compared in their order, because what follows an acted-on disagreement is not stable's world.
   */
  compare(turn: Turn<C>, call: C, own: Judged, other: Judged | ((copy: C) => Judged | Promise<Judged>)): void
}

/** What is counted of the session in one generation. */
interface Counts {
  readonly book: Book
  evaluations: number
  scans: number
  paired: boolean
}

/** Start counting a session. `known` is false for what stands for calls without one. */
export function createTally<C extends Call>(core: Core<C>, sessionId: string, known: boolean): Tally<C> {
  const { telemetry } = core
  let greeted = false
  let counts: Counts | null = null
  /** The canary's answer differed from stable's, or may have, and was acted on. Outlives a generation: so does the world. */
  let disagreed = false

  /** Null: a result of a generation that is over. */
  function countsOf({ book }: Turn<C>): Counts | null {
    if (book !== core.book) return null
    if (counts?.book !== book) counts = { book, evaluations: 0, scans: 0, paired: false }
    return counts
  }

  function greet(turn: Turn<C>): void {
    if (greeted) return
    greeted = true
    telemetry.session(turn.arm)
  }

  function record(turn: Turn<C>, call: C, own: Judged, other: Judged): void {
    const count = countsOf(turn)
    if (count === null) return
    const [stable, canary] = turn.arm === STABLE ? [own, other] : [other, own]
    const { stratum, cohort, book } = turn
    telemetry.shadow("judged")
    telemetry.comparison(stable.outcome, canary.outcome)
    if (disagreed) {
      recordPairAfter(stratum, cohort, stable.outcome, canary.outcome)
    } else {
      recordPair(stratum, cohort, stable.outcome, canary.outcome, stable.ms, canary.ms, !count.paired)
      count.paired = true
    }
    if (stable.outcome === canary.outcome) return
    // A failed canary was not acted on: stable's answer was served.
    if (turn.arm === CANARY && canary.outcome !== ERROR) disagreed = true
    const sides = { stable: sideOf(stable), canary: sideOf(canary) }
    book.diffs.record(actionOf(call), sides.stable, sides.canary)
    core.emit({ type: "disagreement", sessionId, served: ARMS[turn.arm], call, ...sides })
  }

  return {
    evaluation(turn, judged) {
      telemetry.evaluation(turn.arm, judged.outcome, judged.ms, judged.errorType)
      if (!known) return telemetry.sessionless()
      greet(turn)
      const count = countsOf(turn)
      if (count === null) return
      const first = count.evaluations === 0
      if (turn.inferable && count.evaluations < MAX_COUNTED) {
        recordEvaluation(turn.stratum, turn.arm, turn.cohort, judged.outcome, judged.ms, first)
      }
      if (first && turn.arm === CANARY) count.book.canarySessions += 1
      count.evaluations += 1
    },
    scan(turn, result, ms) {
      // Stable might have let the text through unchanged: from here on this is the canary's world.
      if (turn.arm === CANARY && result !== "clean" && result !== "error") disagreed = true
      if (!known) return
      greet(turn)
      const count = countsOf(turn)
      if (count === null) return
      if (turn.inferable && count.scans < MAX_COUNTED) recordScan(turn.stratum, turn.arm, turn.cohort, result, ms)
      count.scans += 1
    },
    compare(turn, call, own, other) {
      const count = countsOf(turn)
      if (!turn.sampled || count === null || count.evaluations > MAX_COUNTED) return
      const copy = capture(call)
      const pushed = core.shadow.push(() => {
        if (turn.book !== core.book) return
        const judged = typeof other === "function" ? other(copy) : other
        if (!isThenable(judged)) return record(turn, copy, own, judged)
        return judged.then((settled) => record(turn, copy, own, settled))
      })
      if (pushed) return
      telemetry.shadow("dropped")
      // Nobody will know whether they agreed.
      if (turn.arm === CANARY) disagreed = true
    },
  }
}

const sideOf = ({ outcome, rule, reason }: Judged): Side => ({ outcome: OUTCOMES[outcome]!, rule, reason })

const MAX_ACTION = 128

/** A call is the host's: it may be anything. */
function actionOf(call: Call): string {
  try {
    const { action } = call
    return typeof action === "string" ? action.slice(0, MAX_ACTION) : "unknown"
  } catch {
    return "unknown"
  }
}
