/** The side of a rollout that a session is on. */
export type Arm = "stable" | "canary"

/** What a policy may answer. */
export type Effect = "allow" | "deny" | "escalate"

/** What an evaluation ends in: a policy may also fail. `error` is never the outcome of a served decision. */
export type Outcome = Effect | "error"

/** The closed list of ways in which an evaluation or a scan fails. */
export type ErrorType = "timeout" | "throw" | "invalid" | "unavailable"

/** Arms in the order of every evidence array. */
export const ARMS = ["stable", "canary"] as const satisfies readonly Arm[]

/** Outcomes in the order of every evidence array. */
export const OUTCOMES = ["allow", "deny", "escalate", "error"] as const satisfies readonly Outcome[]

/** The answer that the host gets for one call. */
export interface Decision {
  readonly outcome: Effect
  /** The arm whose release decided. */
  readonly arm: Arm
  /** Version of the release that decided. */
  readonly release: string
  /**
   * Why this answer was served: `policy`, the session's own arm answered; `contained`, both arms judged and this is the
   * stricter answer; `fallback`, the canary failed and stable answered; `posture`, stable failed and the host's
   * `onStableError` decided; `lockdown`, the kill switch denies all.
   */
  readonly source: "policy" | "contained" | "fallback" | "posture" | "lockdown"
  readonly reason?: string | undefined
  /** Id of the rule that decided, when the engine names it. */
  readonly rule?: string | undefined
  /** How the evaluation failed that made this a `fallback` or a `posture`; with `contained`, how stable's failed. */
  readonly errorType?: ErrorType | undefined
}

/** What a scan of one text ends in, by severity; a scanner may also fail. `error` is never the result of a served scan. */
export const SCAN_RESULTS = ["clean", "flagged", "blocked", "error"] as const

/** What a scan ends in: a scanner may also fail. `error` is never the result of a served scan. */
export type ScanResult = (typeof SCAN_RESULTS)[number]

/** The result of scanning one text. */
export interface Scan {
  readonly result: Exclude<ScanResult, "error">
  readonly findings: readonly Finding[]
  readonly arm: Arm
  readonly release: string
  /** As for a decision; `none`: the release has no scanner for texts of this direction, so nobody has looked. */
  readonly source: "scanners" | "none" | "contained" | "fallback" | "posture" | "lockdown"
  /** The text with everything masked that any of the scanners masks, when one gave such a text. */
  readonly redacted?: string | undefined
  readonly errorType?: ErrorType | undefined
}

/** One thing that a scanner saw. */
export interface Finding {
  readonly scanner: string
  readonly category: string
  readonly message?: string | undefined
}
