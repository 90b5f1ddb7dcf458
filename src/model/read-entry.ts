import { ARMS, OUTCOMES } from "./decision.js"
import { DECISION_FORMAT } from "./decision-entry.js"
import type { DecisionLogEntry } from "./decision-entry.js"
import { isRecord } from "./record.js"

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
