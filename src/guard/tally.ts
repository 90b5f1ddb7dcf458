import type { Call } from "../model/call.js"
import type { ErrorType, ScanResult } from "../model/decision.js"
import { recordEvaluation, recordObservation, recordScan } from "../evidence/cells.js"
import type { Book, Core } from "./core.js"
import type { Component } from "./fuse.js"
import type { Judged } from "./judge.js"
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
}

/** What one session has done: its part of the evidence of the arm that served it. */
export class Tally<C extends Call> {
  private greeted = false
  private counts: Counts | null = null

  constructor(
    private readonly core: Core<C>,
    /** False for what stands for calls without a session. */
    private readonly known: boolean,
  ) {}

  /** Count an evaluation that its arm made. */
  evaluation(turn: Turn<C>, judged: Judged): void {
    const { telemetry } = this.core
    telemetry.evaluation(turn.arm, judged.outcome, judged.ms, judged.errorType)
    if (turn.arm === CANARY) canaryRan(this.core, turn, "policy", judged.errorType)
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
    if (turn.arm === CANARY) canaryRan(this.core, turn, "scanners", errorType)
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
    if (turn.arm === CANARY) canaryRan(this.core, turn, "monitor", failed ? "throw" : undefined)
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

  /** Count a call that both arms judged before the answer: told, and evidence for nothing. */
  contained(turn: Turn<C>, stable: Judged, canary: Judged): void {
    const { telemetry } = this.core
    if (this.known) this.greet(turn)
    else telemetry.sessionless()
    telemetry.evaluation(STABLE, stable.outcome, stable.ms, stable.errorType)
    if (canary.errorType === "unavailable") return // It was never there.
    telemetry.evaluation(CANARY, canary.outcome, canary.ms, canary.errorType)
    telemetry.comparison(stable.outcome, canary.outcome)
  }

  /** Hold on to no book of before: it is large, and nothing is counted in it any more. */
  forget(): void {
    if (this.counts?.book !== this.core.book) this.counts = null
  }

  /** Evaluations in the generation of the turn; null when it is over. */
  evaluations(turn: Turn<C>): number | null {
    return this.countsOf(turn)?.evaluations ?? null
  }

  /** Null: a result of a generation that is over. */
  private countsOf({ book }: Turn<C>): Counts | null {
    if (book !== this.core.book) return null
    if (this.counts?.book !== book) this.counts = { book, evaluations: 0, scans: 0, observations: 0 }
    return this.counts
  }

  private greet(turn: Turn<C>): void {
    if (this.greeted) return
    this.greeted = true
    this.core.telemetry.session(turn.arm)
  }
}

/** Tell the fuse, while there is a canary to take out. What comes late from another generation is not about this one. */
export function canaryRan<C extends Call>(
  core: Core<C>,
  { book }: Turn<C>,
  component: Component,
  errorType: ErrorType | undefined,
): void {
  if (core.fuse !== null && core.view.underWay && book === core.book) core.fuse.ran(component, errorType)
}
