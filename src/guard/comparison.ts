import type { Call } from "../model/call.js"
import { actionOf } from "../model/call.js"
import { ARMS, OUTCOMES } from "../model/decision.js"
import { isThenable } from "../model/thenable.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { Met } from "../evidence/diffs.js"
import { recordPair, recordPairAfter, recordScanPair, SCAN_RESULT_INDEX } from "../evidence/cells.js"
import type { Direction } from "../release/ports.js"
import type { Book, Core, Side } from "./core.js"
import { ERROR } from "./judge.js"
import type { Judged } from "./judge.js"
import type { ScanRun } from "./scan-run.js"
import { CANARY, STABLE } from "./seat.js"
import type { Turn } from "./seat.js"
import { canaryRan, MAX_COUNTED } from "./tally.js"
import type { Tally } from "./tally.js"

/** What was compared of a session in one generation. */
interface Compared {
  readonly book: Book
  scans: number
  /** For the fuse, which looks at one pair of each session. */
  untouched: boolean
  paired: boolean
  scanPaired: boolean
  /** Made with its first disagreement. */
  met: Met | null
}

/** What both arms make of the calls and texts of one session: its part of the pairs. */
export class Comparison<C extends Call> {
  private compared: Compared | null = null
  /** The canary's answer differed from stable's, or may have, and was acted on. Outlives a generation: so does the world. */
  private disagreed = false
  /** An answer of the canary was acted on that nobody compared, so nobody will know: it may have differed. */
  private lost = false

  constructor(
    private readonly core: Core<C>,
    private readonly sessionId: string,
    private readonly tally: Tally<C>,
  ) {}

  /** Whether an evaluation that begins now may be compared: so many of a session are. */
  begins(turn: Turn<C>): boolean {
    const evaluations = turn.sampled ? this.tally.evaluations(turn) : null
    return evaluations !== null && evaluations < MAX_COUNTED
  }

  /**
   * Compare after the answer: `other` is what the other arm made of the call, or judges it then. `call`: a copy from before the answer.
   * Calls and texts of a session are compared in their order, because what follows an acted-on disagreement is not stable's world.
   */
  compare(turn: Turn<C>, call: C, own: Judged, other: Judged | (() => Judged | Promise<Judged>)): void {
    const evaluations = this.tally.evaluations(turn)
    if (!turn.sampled || evaluations === null || evaluations > MAX_COUNTED) {
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
    const compared = this.comparedOf(turn)
    if (!turn.sampled || compared === null || compared.scans >= MAX_COUNTED) {
      return this.skip(turn, own.result !== "error")
    }
    compared.scans += 1
    const known = !this.lost
    this.queue(
      turn,
      own.result !== "error",
      () => (typeof other === "function" ? other() : other),
      (run) => this.recordScan(turn, scanned, known, own, run),
    )
  }

  /** As {@link Tally.forget}. */
  forget(): void {
    if (this.compared?.book !== this.core.book) this.compared = null
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
      const { inFlight } = turn.view
      inFlight.count += 1
      return judged.then(record).finally(() => (inFlight.count -= 1))
    })
    if (pushed) return
    turn.book.dropped += 1
    core.telemetry.shadow("dropped")
    this.skip(turn, acted)
  }

  private record(turn: Turn<C>, call: C, known: boolean, own: Judged, other: Judged): void {
    const { core } = this
    const compared = this.comparedOf(turn)
    if (compared === null) return
    const [stable, canary] = turn.arm === STABLE ? [own, other] : [other, own]
    const { stratum, cohort, book } = turn
    book.judged += 1
    core.telemetry.shadow("judged")
    core.telemetry.comparison(stable.outcome, canary.outcome)
    core.recorder?.pair(turn, own, other)
    if (turn.arm === STABLE) canaryRan(core, turn, "policy", canary.errorType)
    const untouched = !this.disagreed && known
    const counts = untouched && turn.comparable
    if (counts) {
      recordPair(stratum, cohort, stable.outcome, canary.outcome, stable.ms, canary.ms, !compared.paired)
      compared.paired = true
    } else {
      recordPairAfter(stratum, cohort, stable.outcome, canary.outcome)
    }
    if (untouched && !compared.untouched && core.view.underWay) core.fuse?.paired(stable.outcome, canary.outcome)
    compared.untouched ||= untouched
    if (stable.outcome === canary.outcome) return
    // A failed canary was not acted on: stable's answer was served.
    if (turn.arm === CANARY && canary.outcome !== ERROR) this.disagreed = true
    this.differ(book, turn.arm, call, stable, canary, counts ? (compared.met ??= new Set()) : undefined)()
  }

  /** Count a disagreement; the answer tells the host of it. */
  private differ(book: Book, served: ArmIndex, call: C, stable: Judged, canary: Judged, met?: Met): () => void {
    const sides = { stable: sideOf(stable), canary: sideOf(canary) }
    book.diffs.record(actionOf(call), sides.stable, sides.canary, met)
    const { core, sessionId } = this
    return () => core.emit({ type: "disagreement", sessionId, served: ARMS[served], call, ...sides })
  }

  /** Count a call that both arms judged before the answer, and who decided it: told, and evidence for nothing. */
  contained(turn: Turn<C>, call: C, stable: Judged, canary: Judged, served: ArmIndex): void {
    const { shadow } = this.core
    this.tally.contained(turn, stable, canary)
    if (canary.errorType === "unavailable" || stable.outcome === canary.outcome) return
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
    const compared = this.comparedOf(turn)
    if (compared === null) return
    const [stable, canary] = turn.arm === STABLE ? [own, other] : [other, own]
    const results = [SCAN_RESULT_INDEX[stable.result], SCAN_RESULT_INDEX[canary.result]] as const
    turn.book.judged += 1
    core.telemetry.shadow("judged")
    core.telemetry.scanComparison(...results)
    if (turn.arm === STABLE) canaryRan(core, turn, "scanners", canary.errorType)
    if (!this.disagreed && known && turn.comparable) {
      recordScanPair(turn.stratum, turn.cohort, ...results, stable.ms, canary.ms, !compared.scanPaired)
      compared.scanPaired = true
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

  /** Null: a result of a generation that is over. */
  private comparedOf({ book }: Turn<C>): Compared | null {
    if (book !== this.core.book) return null
    if (this.compared?.book !== book) {
      this.compared = { book, scans: 0, untouched: false, paired: false, scanPaired: false, met: null }
    }
    return this.compared
  }
}

const sideOf = ({ outcome, rule, reason }: Judged): Side => ({ outcome: OUTCOMES[outcome]!, rule, reason })
