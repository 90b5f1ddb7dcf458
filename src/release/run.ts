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
 * Recognise what a policy answered; null is the evaluation error `invalid`.
 * Never throws and never allocates: an effect gives a constant, a record gives itself.
 */
export function readEvaluation(value: unknown): EvaluationRecord | null {
  if (isEffect(value)) return EFFECTS[value]
  try {
    return isEvaluationRecord(value) ? value : null
  } catch {
    return null // a getter or a proxy that throws
  }
}

/** Recognise what a scanner answered; null is the scan error `invalid`. Never throws and never allocates. */
export function readScanReport(value: unknown): ScanReport | null {
  try {
    return isScanReport(value) ? value : null
  } catch {
    return null
  }
}

/** Recognise what a monitor answered; null is the error `invalid`. Never throws. */
export function readAlerts(value: unknown): readonly Alert[] | null {
  try {
    return Array.isArray(value) && value.every(isAlert) ? (value as readonly Alert[]) : null
  } catch {
    return null
  }
}

function isAlert(value: unknown): boolean {
  return owns(value, "name") && typeof value.name === "string" && isOptionalString(value.message)
}

function isEffect(value: unknown): value is Effect {
  return value === "allow" || value === "deny" || value === "escalate"
}

function isEvaluationRecord(value: unknown): value is EvaluationRecord {
  return (
    owns(value, "outcome") && isEffect(value.outcome) && isOptionalString(value.reason) && isOptionalString(value.rule)
  )
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
  return owns(value, "category") && typeof value.category === "string" && isOptionalString(value.message)
}

/** The answer must be the object's own: with a polluted `Object.prototype.outcome`, an empty object would be an allow. */
function owns(value: unknown, key: string): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
}

function isOptionalString(value: unknown): boolean {
  return value === undefined || typeof value === "string"
}
