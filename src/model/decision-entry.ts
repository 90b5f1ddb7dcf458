import { isRecord } from "./record.js"
import type { Call } from "./call.js"
import { ARMS, OUTCOMES } from "./decision.js"
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

type Check = (value: unknown) => boolean

const text: Check = (value) => typeof value === "string"
const number: Check = (value) => typeof value === "number"
const there: Check = (value) => value !== undefined
const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string)
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value)
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)

const side: Check = (value) => isRecord(value) && wrongFields(value, SIDE).length === 0
const findings: Check = (value) => Array.isArray(value) && value.every((one) => isRecord(one) && text(one["category"]))

const ENTRY = {
  id: text,
  at: number,
  rollout: text,
  revision: number,
  generation: number,
  sessionId: orNull(text),
  startedAt: orNull(number),
}
const ANSWER = { release: text, durationMs: number, errorType: optional(text) }
const WORDS = { rule: optional(text), reason: optional(text) }
const SIDE = { ...ANSWER, ...WORDS, outcome: oneOf(...OUTCOMES) }
const FIELDS: ReadonlyMap<unknown, Readonly<Record<string, Check>>> = new Map([
  [
    "decision",
    {
      ...ENTRY,
      ...ANSWER,
      ...WORDS,
      arm: oneOf(...ARMS),
      outcome: oneOf("allow", "deny", "escalate"),
      source: text, // a later version may know one more
      callId: optional(text),
      call: there,
    },
  ],
  ["pair", { ...ENTRY, of: text, arm: oneOf(...ARMS), stable: side, canary: side }],
  [
    "scan",
    {
      ...ENTRY,
      ...ANSWER,
      direction: oneOf("input", "output"),
      length: number,
      arm: oneOf(...ARMS),
      result: oneOf("clean", "flagged", "blocked"),
      source: text,
      findings,
    },
  ],
])

/** Read one entry from parsed JSON, or say what is wrong with it. Further keys pass: a redaction may have added some. */
export function readEntry(value: unknown): DecisionLogEntry | string {
  if (!isRecord(value)) return "is no object"
  const { format, kind } = value
  if (format !== DECISION_FORMAT) return `\`format\` must be ${DECISION_FORMAT}, got ${shown(format)}`
  const fields = FIELDS.get(kind)
  if (fields === undefined) return `\`kind\` must be ${[...FIELDS.keys()].join(", ")}, got ${shown(kind)}`
  const wrong = wrongFields(value, fields)
  if (wrong.length > 0) return `a ${String(kind)} has no valid ${wrong.map((name) => `\`${name}\``).join(", ")}`
  return value as unknown as DecisionLogEntry
}

const wrongFields = (value: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, Check>>): string[] =>
  Object.entries(fields).flatMap(([name, check]) => (check(value[name]) ? [] : [name]))

const shown = (value: unknown): string => (value === undefined ? "nothing" : JSON.stringify(value).slice(0, 80))
