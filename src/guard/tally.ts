import type { Call } from "../model/call.js"
import { ARMS, OUTCOMES } from "../model/decision.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { ErrorType, ScanResult } from "../model/decision.js"
import {
  recordEvaluation,
  recordObservation,
  recordPair,
  recordPairAfter,
  recordScan,
  recordScanPair,
  SCAN_RESULT_INDEX,
} from "../evidence/cells.js"
import type { Direction } from "../release/ports.js"
import type { Book, Core, Side } from "./core.js"
import type { Component } from "./fuse.js"
import { ERROR, isThenable } from "./judge.js"
import type { Judged } from "./judge.js"
import type { ScanRun } from "./scan-run.js"
import { CANARY, STABLE } from "./seat.js"
import type { Turn } from "./seat.js"

/** Evaluations, scans and observations of one session that inference counts: a few endless sessions must not outweigh all others. */
export const MAX_COUNTED = 20

/** What is counted of a session in one generation. */
interface Counts {
  readonly book: Book
  evaluations: number
  scans: number
  observations: number
  comparedScans: number
  /** For the fuse, which looks at one pair of each session. */
  compared: boolean
  paired: boolean
  scanPaired: boolean
}

/** What one session has done: its part of the evidence. */
export class Tally<C extends Call> {
  private greeted = false
  private counts: Counts | null = null
  /** The canary's answer differed from stable's, or may have, and was acted on. Outlives a generation: so does the world. */
  private disagreed = false
  /** An answer of the canary was acted on that nobody compared, so nobody will know: it may have differed. */
  private lost = false

  constructor(
    private readonly core: Core<C>,
    private readonly sessionId: string,
    /** False for what stands for calls without a session. */
    private readonly known: boolean,
  ) {}

  /** Count an evaluation that its arm made. */
  evaluation(turn: Turn<C>, judged: Judged): void {
    const { telemetry } = this.core
    telemetry.evaluation(turn.arm, judged.outcome, judged.ms, judged.errorType)
    if (turn.arm === CANARY) this.canaryRan(turn, "policy", judged.errorType)
    if (!this.known) return telemetry.sessionless()
    this.greet(turn)
    const count = this.countsOf(turn)
    if (count === null) return
    const first = count.evaluations === 0
    if (turn.inferable && count.evaluations < MAX_COUNTED) {
      recordEvaluation(turn.stratum, turn.arm, turn.cohort, judged.outcome, judged.ms, first)
    }
    if (first && turn.arm === CANARY && turn.inferable) count.book.canarySessions += 1
    count.evaluations += 1
  }

  scan(turn: Turn<C>, result: ScanResult, ms: number, errorType: ErrorType | undefined): void {
    if (turn.arm === CANARY) this.canaryRan(turn, "scanners", errorType)
    if (!this.known) return
    this.greet(turn)
    const count = this.countsOf(turn)
    if (count === null) return
    if (turn.inferable && count.scans < MAX_COUNTED) {
      recordScan(turn.stratum, turn.arm, turn.cohort, result, ms, count.scans === 0)
    }
    count.scans += 1
  }

  /** Count an event that the arm's monitor saw; a monitor that failed raised one alert. */
  observation(turn: Turn<C>, alerts: number, failed: boolean): void {
    if (turn.arm === CANARY) this.canaryRan(turn, "monitor", failed ? "throw" : undefined)
    this.core.telemetry.alerts(turn.arm, alerts)
    if (!this.known) return
    this.greet(turn)
    const count = this.countsOf(turn)
    if (count === null) return
    if (turn.inferable && count.observations < MAX_COUNTED) {
      recordObservation(turn.stratum, turn.arm, turn.cohort, alerts > 0, count.observations === 0)
    }
    count.observations += 1
  }

  /** Whether an evaluation that begins now may be compared: so many of a session are. */
  compares(turn: Turn<C>): boolean {
    const count = turn.sampled ? this.countsOf(turn) : null
    return count !== null && count.evaluations < MAX_COUNTED
  }

  /**
   * Compare after the answer: `other` is what the other arm made of the call, or judges it then. `call`: a copy from before the answer.
   * Calls and texts of a session are compared in their order, because what follows an acted-on disagreement is not stable's world.
   */
  compare(turn: Turn<C>, call: C, own: Judged, other: Judged | (() => Judged | Promise<Judged>)): void {
    const count = this.countsOf(turn)
    if (!turn.sampled || count === null || count.evaluations > MAX_COUNTED) {
      return this.skip(turn, own.outcome !== ERROR)
    }
    const known = !this.lost
    this.queue(
      turn,
      own.outcome !== ERROR,
      () => (typeof other === "function" ? other() : other),
      (judged) => this.record(turn, call, known, own, judged),
    )
  }

  /** The same for a text: `other` is what the other arm's scanners made of it, or has them scan it then. */
  compareScan(
    turn: Turn<C>,
    scanned: { readonly text: string; readonly direction: Direction },
    own: ScanRun,
    other: ScanRun | (() => ScanRun | Promise<ScanRun>),
  ): void {
    const count = this.countsOf(turn)
    if (!turn.sampled || count === null || count.comparedScans >= MAX_COUNTED) {
      return this.skip(turn, own.result !== "error")
    }
    count.comparedScans += 1
    const known = !this.lost
    this.queue(
      turn,
      own.result !== "error",
      () => (typeof other === "function" ? other() : other),
      (run) => this.recordScan(turn, scanned, known, own, run),
    )
  }

  /** An answer is compared with nothing. `acted`: it was served; a failed canary's was not. */
  skip(turn: Turn<C>, acted = true): void {
    if (acted && turn.arm === CANARY) this.lost = true
  }

  private queue<T>(turn: Turn<C>, acted: boolean, other: () => T | Promise<T>, record: (other: T) => void): void {
    const { core } = this
    turn.book.sampled += 1
    const pushed = core.shadow.push(this, () => {
      if (turn.book !== core.book) return
      const judged = other()
      if (!isThenable(judged)) return record(judged)
      return judged.then(record)
    })
    if (pushed) return
    turn.book.dropped += 1
    core.telemetry.shadow("dropped")
    this.skip(turn, acted)
  }

  private record(turn: Turn<C>, call: C, known: boolean, own: Judged, other: Judged): void {
    const { core } = this
    const count = this.countsOf(turn)
    if (count === null) return
    const [stable, canary] = turn.arm === STABLE ? [own, other] : [other, own]
    const { stratum, cohort, book } = turn
    book.judged += 1
    core.telemetry.shadow("judged")
    core.telemetry.comparison(stable.outcome, canary.outcome)
    core.recorder?.pair(turn, own, other)
    if (turn.arm === STABLE) this.canaryRan(turn, "policy", canary.errorType)
    const untouched = !this.disagreed && known
    if (untouched && turn.comparable) {
      recordPair(stratum, cohort, stable.outcome, canary.outcome, stable.ms, canary.ms, !count.paired)
      count.paired = true
    } else {
      recordPairAfter(stratum, cohort, stable.outcome, canary.outcome)
    }
    if (untouched && !count.compared && core.view.underWay) core.fuse?.paired(stable.outcome, canary.outcome)
    count.compared ||= untouched
    if (stable.outcome === canary.outcome) return
    // A failed canary was not acted on: stable's answer was served.
    if (turn.arm === CANARY && canary.outcome !== ERROR) this.disagreed = true
    this.differ(book, turn.arm, call, stable, canary)()
  }

  /** Count a disagreement; the answer tells the host of it. */
  private differ(book: Book, served: ArmIndex, call: C, stable: Judged, canary: Judged): () => void {
    const sides = { stable: sideOf(stable), canary: sideOf(canary) }
    book.diffs.record(actionOf(call), sides.stable, sides.canary)
    const { core, sessionId } = this
    return () => core.emit({ type: "disagreement", sessionId, served: ARMS[served], call, ...sides })
  }

  /** Count a call that both arms judged before the answer, and who decided it: told, and evidence for nothing. */
  contained(turn: Turn<C>, call: C, stable: Judged, canary: Judged, served: ArmIndex): void {
    const { telemetry, shadow } = this.core
    if (this.known) this.greet(turn)
    else telemetry.sessionless()
    telemetry.evaluation(STABLE, stable.outcome, stable.ms, stable.errorType)
    if (canary.errorType === "unavailable") return // It was never there.
    telemetry.evaluation(CANARY, canary.outcome, canary.ms, canary.errorType)
    telemetry.comparison(stable.outcome, canary.outcome)
    if (stable.outcome === canary.outcome) return
    // Stable would have answered otherwise: from here on this is not its world.
    if (served === CANARY) this.disagreed = true
    const tell = this.differ(turn.book, served, call, stable, canary)
    if (!shadow.push(this, tell)) tell()
  }

  private recordScan(
    turn: Turn<C>,
    { text, direction }: { readonly text: string; readonly direction: Direction },
    known: boolean,
    own: ScanRun,
    other: ScanRun,
  ): void {
    const { core, sessionId } = this
    const count = this.countsOf(turn)
    if (count === null) return
    const [stable, canary] = turn.arm === STABLE ? [own, other] : [other, own]
    const results = [SCAN_RESULT_INDEX[stable.result], SCAN_RESULT_INDEX[canary.result]] as const
    turn.book.judged += 1
    core.telemetry.shadow("judged")
    core.telemetry.scanComparison(...results)
    if (turn.arm === STABLE) this.canaryRan(turn, "scanners", canary.errorType)
    if (!this.disagreed && known && turn.comparable) {
      recordScanPair(turn.stratum, turn.cohort, ...results, stable.ms, canary.ms, !count.scanPaired)
      count.scanPaired = true
    }
    // A failed canary was not acted on. Another redacted text is another world, too.
    const differs = stable.result !== canary.result || stable.redacted !== canary.redacted
    if (turn.arm === CANARY && canary.result !== "error" && differs) this.disagreed = true
    if (stable.result === canary.result) return
    turn.book.scanDiffs.record(direction, stable, canary)
    core.emit({
      type: "scan_disagreement",
      sessionId,
      served: ARMS[turn.arm],
      direction,
      text,
      stable: { result: stable.result, findings: stable.findings },
      canary: { result: canary.result, findings: canary.findings },
    })
  }

  /** Tell the fuse, while there is a canary to take out. What comes late from another generation is not about this one. */
  private canaryRan({ book }: Turn<C>, component: Component, errorType: ErrorType | undefined): void {
    const { core } = this
    if (core.fuse !== null && core.view.underWay && book === core.book) core.fuse.ran(component, errorType)
  }

  /** Null: a result of a generation that is over. */
  private countsOf({ book }: Turn<C>): Counts | null {
    if (book !== this.core.book) return null
    if (this.counts?.book !== book) this.counts = countsIn(book)
    return this.counts
  }

  private greet(turn: Turn<C>): void {
    if (this.greeted) return
    this.greeted = true
    this.core.telemetry.session(turn.arm)
  }
}

const countsIn = (book: Book): Counts => ({
  book,
  evaluations: 0,
  scans: 0,
  observations: 0,
  comparedScans: 0,
  compared: false,
  paired: false,
  scanPaired: false,
})

const sideOf = ({ outcome, rule, reason }: Judged): Side => ({ outcome: OUTCOMES[outcome]!, rule, reason })

const MAX_ACTION = 128

/** A call is the host's: it may be anything. */
export function actionOf(call: unknown): string {
  try {
    const { action } = call as Partial<Call>
    return typeof action === "string" ? action.slice(0, MAX_ACTION) : "unknown"
  } catch {
    return "unknown"
  }
}
