import type { Call } from "./call.js"
import type { Arm, Decision, ErrorType, Outcome, Scan } from "./decision.js"

/** Names the format in every entry, so that a line of a log explains itself. */
export const DECISION_FORMAT = "serin/decision/1"

interface EntryOf<K extends string> {
  readonly format: typeof DECISION_FORMAT
  readonly kind: K
  /** Unique among all guards of all processes. */
  readonly id: string
  /** When it happened, ms since the epoch. */
  readonly at: number
  readonly rollout: string
  /** Revision of the state in force, 0 before the first. */
  readonly revision: number
  readonly generation: number
  /** Null: it belonged to no session. */
  readonly sessionId: string | null
  /** Ms since the epoch; null without a session. */
  readonly startedAt: number | null
  /** A redaction answered another entry than it was given: what is here may not be all that was there. */
  readonly redacted?: true | undefined
}

/** What was answered to one call. `arm` and `release` are those that decided, as in a {@link Decision}. */
export interface DecisionEntry<C = Call> extends EntryOf<"decision">, Decision {
  /** Time of all evaluations that led to the answer, ms. */
  readonly durationMs: number
  readonly callId?: string | undefined
  /** The call as it was when it was decided; null if it was nothing. */
  readonly call: C
  /** In a file: the call has what JSON cannot say, and its `action` is left. */
  readonly incomplete?: true | undefined
}

/** What one release made of a call. */
export interface PairSide {
  readonly release: string
  readonly outcome: Outcome
  readonly rule?: string | undefined
  readonly reason?: string | undefined
  readonly errorType?: ErrorType | undefined
  readonly durationMs: number
}

/** What both releases made of a call that was decided before. */
export interface PairEntry extends EntryOf<"pair"> {
  /** `id` of the decision, which holds the call. */
  readonly of: string
  /** The session's arm, whose answer counted if it did not fail. */
  readonly arm: Arm
  readonly stable: PairSide
  readonly canary: PairSide
}

/** What became of one text. Never holds the text, nor what a scanner wrote about it: both may hold what was to be masked. */
export interface ScanEntry extends EntryOf<"scan"> {
  readonly direction: "input" | "output"
  /** Of the text, in UTF-16 code units. */
  readonly length: number
  readonly arm: Arm
  readonly release: string
  readonly result: Scan["result"]
  readonly source: Scan["source"]
  readonly findings: readonly { readonly scanner: string; readonly category: string }[]
  readonly errorType?: ErrorType | undefined
  /** Time of the whole scan, ms. */
  readonly durationMs: number
}

/** One line of a decision log. */
export type DecisionLogEntry<C = Call> = DecisionEntry<C> | PairEntry | ScanEntry

/** Where entries go: a file, a queue, a database. */
export interface DecisionSink {
  /**
   * Take entries, oldest first, 1 to 256. Called after the answer, never while the last call is pending. A promise that
   * resolves means that all are written; a throw or a rejection, that some may not be, and they are not offered again.
   */
  write(entries: readonly DecisionLogEntry[]): void | Promise<void>
}
