import { ARMS, OUTCOMES } from "../model/decision.js"
import type { Decision, Effect, ErrorType } from "../model/decision.js"
import type { ArmIndex } from "../evidence/cells.js"
import { postureOf } from "./core.js"
import type { OnStableError } from "./core.js"
import type { Judged } from "./judge.js"
import { CANARY } from "./seat.js"
import type { View } from "./view.js"

/** Make the decision of what one arm answered. An error is never served: the callers have looked. */
export function answerOf(
  view: View<never>,
  arm: ArmIndex,
  source: "policy" | "contained" | "fallback",
  judged: Judged,
  errorType?: ErrorType,
): Decision {
  return {
    outcome: OUTCOMES[judged.outcome] as Effect,
    arm: ARMS[arm],
    release: arm === CANARY ? view.canaryVersion : view.stableVersion,
    source,
    reason: judged.reason,
    rule: judged.rule,
    errorType,
  }
}

/** Answer for a stable release that failed, with what the host asked for; throws only where it asked for that. */
export function posture(onStableError: OnStableError, view: View<never>, stable: Judged): Decision {
  if (onStableError === "throw" && stable.errorType === "throw") throw stable.error
  return lost(onStableError, view, stable)
}

/** The same where nothing can be thrown. */
export function lost(onStableError: OnStableError, view: View<never>, stable: Judged): Decision {
  return {
    outcome: postureOf(onStableError),
    arm: "stable",
    release: view.stableVersion,
    source: "posture",
    reason: "the stable release could not judge this call",
    rule: stable.rule,
    errorType: stable.errorType,
  }
}

/** Deny for the kill switch. */
export function locked(view: View<never>): Decision {
  return {
    outcome: "deny",
    arm: "stable",
    release: view.stableVersion,
    source: "lockdown",
    reason: "the kill switch denies every call",
    rule: undefined,
    errorType: undefined,
  }
}
