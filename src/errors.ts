/** The closed list of operational failures. What each means and what to do about it: docs/reference/errors.md. */
export const ERROR_CODES = [
  "SPEC_INVALID",
  "STATE_INVALID",
  "STATE_UNTRUSTED",
  "RULES_INVALID",
  "RELEASE_INVALID",
  "RELEASE_NOT_FOUND",
  "RELEASE_UNTRUSTED",
  "RELEASE_UNAVAILABLE",
  "CALLS_INVALID",
  "VERDICT_INVALID",
  "LABELS_INVALID",
  "DECISION_LOG_INVALID",
  "DECISION_LOG_UNAVAILABLE",
  "EVIDENCE_INVALID",
  "EVIDENCE_MISSING",
  "EVIDENCE_STALE",
  "EVIDENCE_UNAVAILABLE",
  "STORE_UNAVAILABLE",
  "STORE_UNAUTHORIZED",
  "STORE_CONFLICT",
  "STORE_AMBIGUOUS",
  "NOT_LEADING",
  "NOTIFY_INVALID",
  "CHANNEL_UNAVAILABLE",
  "CHANNEL_REFUSED",
  "TRANSITION_REFUSED",
  "SESSION_ID_INVALID",
  "LOCKED_DOWN",
  "TOOL_DENIED",
  "TOOL_OUTPUT_WITHHELD",
  "LIBRARY_MISSING",
  "USAGE",
] as const

/** What went wrong, by a code that stays: docs/reference/errors.md has what each means and what to do. */
export type SerinErrorCode = (typeof ERROR_CODES)[number]

/** One thing wrong with an input: where, what rule it broke, and how to mend it. */
export interface Problem {
  /** `file:line:column`, or the path of the field, or both. */
  readonly where: string
  readonly message: string
  readonly fix?: string
}

const BRAND = Symbol.for("serin.error")

/**
 * An operational failure with a stable `code`. Programmer errors are `TypeError` and `RangeError` instead.
 * Use {@link isSerinError} rather than `instanceof`: it also knows an error of another copy of this package.
 */
export class SerinError extends Error {
  readonly code: SerinErrorCode
  /** Every problem found, in the order of the input; empty when the message says it all. */
  readonly problems: readonly Problem[]
  /** Of the stored document that was refused, where it is known: whoever may replace it writes over this revision. */
  readonly revision?: number
  /** How long whoever was asked wants to be left alone, ms. */
  readonly retryAfterMs?: number

  constructor(
    code: SerinErrorCode,
    message: string,
    options: { cause?: unknown; problems?: readonly Problem[]; revision?: number; retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = "SerinError"
    this.code = code
    this.problems = options.problems ?? []
    if (options.revision !== undefined) this.revision = options.revision
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** Make the error of `caller`, which needs an optional package. `install`: what npm is to install, with a version where it matters. */
export function libraryMissing(caller: string, name: string, install: string, cause: unknown): SerinError {
  const message = `${caller} needs the package ${name}, which cannot be loaded; install it: npm install ${install}`
  return new SerinError("LIBRARY_MISSING", message, { cause })
}

/** Tell whether a value is a {@link SerinError} of this or of another copy of the package. */
export function isSerinError(value: unknown): value is SerinError {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[BRAND] === true
}

/** Join problems into one message, a line each: `where: message (fix)`. */
export function describeProblems(problems: readonly Problem[]): string {
  return problems.map((p) => `${p.where}: ${p.message}${p.fix === undefined ? "" : ` (${p.fix})`}`).join("\n")
}
