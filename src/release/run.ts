import type { Effect } from "../model/decision.js"
import type { Alert, Evaluation, ScanReport } from "./ports.js"

/** An evaluation in its long form. */
export type EvaluationRecord = Exclude<Evaluation, string>

const EFFECTS: Readonly<Record<Effect, EvaluationRecord>> = {
  allow: Object.freeze({ outcome: "allow" }),
  deny: Object.freeze({ outcome: "deny" }),
  escalate: Object.freeze({ outcome: "escalate" }),
}

/**
 * Recognise what a policy answered; null is the evaluation error `invalid`. Never throws. An effect gives a constant, and a record what it
 * says now: looked at again, it might say something else.
 */
export function readEvaluation(value: unknown): EvaluationRecord | null {
  if (isEffect(value)) return EFFECTS[value]
  try {
    if (!owns(value, "outcome")) return null
    const { outcome, reason, rule } = value
    return isEffect(outcome) && isOptionalString(reason) && isOptionalString(rule) ? { outcome, reason, rule } : null
  } catch {
    return null // a getter or a proxy that throws
  }
}

/** Findings of one scan, and alerts of one event. More is no answer: each is copied, counted and written down. */
const MAX_LISTED = 1000
/** Characters of a category, a name or a message. */
const MAX_TOLD = 10_000

/** Recognise what a scanner answered, and copy it: it may use its object again. Null is the scan error `invalid`. Never throws. */
export function readScanReport(value: unknown): ScanReport | null {
  try {
    if (!isRecord(value)) return null
    const report: Record<string, unknown> = { ...value }
    if (Array.isArray(report["findings"])) report["findings"] = copyList(report["findings"])
    return isScanReport(report) ? report : null
  } catch {
    return null
  }
}

/** Recognise what a monitor answered, and copy it; null is the error `invalid`. Never throws. */
export function readAlerts(value: unknown): readonly Alert[] | null {
  try {
    if (!Array.isArray(value)) return null
    const alerts = copyList(value)
    return alerts.every(isAlert) ? alerts : null
  } catch {
    return null
  }
}

/** What is no record, or a hole, becomes an empty one: it is refused all the same. Throws for what is too long to be looked at. */
function copyList(list: readonly unknown[]): object[] {
  if (list.length > MAX_LISTED) throw new RangeError(`more than ${MAX_LISTED} in one answer`)
  return Array.from(list, (one) => ({ ...(one as object) }))
}

function isAlert(value: unknown): value is Alert {
  return owns(value, "name") && isTold(value.name) && (value.message === undefined || isTold(value.message))
}

function isEffect(value: unknown): value is Effect {
  return value === "allow" || value === "deny" || value === "escalate"
}

function isScanReport(value: unknown): value is ScanReport {
  return (
    owns(value, "result") &&
    (value.result === "clean" || value.result === "flagged" || value.result === "blocked") &&
    isOptionalString(value.redacted) &&
    (value.findings === undefined || (Array.isArray(value.findings) && value.findings.every(isFinding)))
  )
}

function isFinding(value: unknown): boolean {
  return owns(value, "category") && isTold(value.category) && (value.message === undefined || isTold(value.message))
}

const isTold = (value: unknown): boolean => typeof value === "string" && value.length <= MAX_TOLD

/** The answer must be the object's own: with a polluted `Object.prototype.outcome`, an empty object would be an allow. */
function owns(value: unknown, key: string): value is Record<string, unknown> {
  return isRecord(value) && Object.hasOwn(value, key)
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

function isOptionalString(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string"
}
