import type { Call } from "../model/call.js"
import type { Clock } from "../model/clock.js"
import type { Arm, Effect, ErrorType, Outcome } from "../model/decision.js"
import type { Evidence, Stratum } from "../model/evidence.js"
import type { Diffs } from "../evidence/diffs.js"
import type { Telemetry } from "../telemetry/telemetry.js"
import type { ShadowQueue } from "./shadow.js"
import type { View } from "./view.js"

/** One side of a disagreement. */
export interface Side {
  readonly outcome: Outcome
  readonly rule?: string | undefined
  readonly reason?: string | undefined
}

/** What happened, for logs and examples. Never sent anywhere by serin itself: it may hold the call. */
export type GuardEvent<C = Call> =
  | {
      readonly type: "disagreement"
      readonly sessionId: string
      readonly served: Arm
      readonly call: C
      readonly stable: Side
      readonly canary: Side
    }
  | {
      readonly type: "error"
      readonly sessionId: string
      readonly arm: Arm
      readonly errorType: ErrorType
      readonly error: unknown
    }
  | { readonly type: "unknown_release"; readonly arm: Arm; readonly version: string }
  | { readonly type: "applied"; readonly revision: number; readonly phase: string }

export type OnStableError = "deny" | "escalate" | "throw"

/** What all sessions of a guard share. */
export interface Core<C extends Call> {
  view: View<C>
  strata: Stratum[]
  diffs: Diffs
  /** Sessions that the canary has served in this generation. */
  canarySessions: number
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly shadow: ShadowQueue
  readonly async: boolean
  /** Longest wait for an asynchronous answer of each arm, ms. */
  readonly timeoutMs: readonly [stable: number, canary: number]
  readonly onStableError: OnStableError
  /** The host's listener, made safe: a throw in it goes nowhere. */
  emit(event: GuardEvent<C>): void
}

/** Effect served when stable itself failed; `throw` denies where nothing can be thrown. */
export const postureOf = (onStableError: OnStableError): Effect => (onStableError === "escalate" ? "escalate" : "deny")

export const evidenceOf = (core: Core<never>): Evidence => ({ generation: core.view.generation, strata: core.strata })
