import type { ErrorType } from "../model/decision.js"
import { OUTCOME_INDEX } from "../evidence/cells.js"
import type { RolloutSpec } from "../rollout/spec.js"
import { createEDetector } from "./e-detector.js"
import type { EDetector } from "./e-detector.js"

/** When this process takes the canary out at once, before any controller has looked. */
export interface FuseOptions {
  /** Failures in a row of one component of the canary, 1 or more. Default 5. */
  readonly consecutiveErrors?: number | undefined
  /**
   * Evidence (an e-value above 1) at which a canary that denies or allows nearly everything has shown it: the chance of a false alarm over
   * the life of a generation in a process is at most 1 / threshold, each way. Default 1,000,000.
   */
  readonly threshold?: number | undefined
}

/** What may fail in a row: one component's health says nothing about another's. */
export type Component = "policy" | "scanners" | "monitor"

/** Why the fuse blew. */
export type BlownFuse =
  | {
      readonly cause: "errors" | "timeouts"
      /** Ms since the epoch. */
      readonly at: number
      readonly component: Component
      readonly inARow: number
    }
  | {
      readonly cause: "newly_denied" | "newly_allowed"
      readonly at: number
      /** Sessions whose first compared call stable allowed (for `newly_allowed`: stopped). */
      readonly sessions: number
      /** How many of these calls the canary denied (for `newly_allowed`: allowed). */
      readonly flipped: number
      /** The e-value that reached the threshold. */
      readonly evidence: number
    }

/** Takes what the canary does in one generation, and blows once. */
export interface Fuse {
  /** Null while it is whole. */
  blown(): BlownFuse | null
  /** The canary ran, served or not; `errorType`: it failed. */
  ran(component: Component, errorType: ErrorType | undefined): void
  /** Both arms judged the first call of a session. Outcomes as in `OUTCOMES`. */
  paired(stable: number, canary: number): void
  /** Put a new one in. */
  reset(intent: RolloutSpec["intent"]): void
}

/** Share of the calls that stable allows, or stops, beyond which flipping them can be a catastrophe. */
const BOUND = 0.2
/** The same for denying what stable allows, when that is what the change is for. */
const TIGHTEN_BOUND = 0.5

const { allow: ALLOW, deny: DENY, escalate: ESCALATE } = OUTCOME_INDEX

/** Make the fuse. `onBlow` is called when it blows. Throws `RangeError` for options out of range, `TypeError` for what is none. */
export function createFuse(options: FuseOptions, now: () => number, onBlow: (blown: BlownFuse) => void): Fuse {
  const { consecutiveErrors, threshold } = resolve(options)
  let runs = newRuns()
  let newlyDenied: EDetector | null = null
  let newlyAllowed: EDetector | null = null
  let blown: BlownFuse | null = null

  function blow(detail: BlownFuse): void {
    blown = detail
    onBlow(detail)
  }

  function see(cause: "newly_denied" | "newly_allowed", detector: EDetector | null, flipped: boolean): void {
    if (detector === null || !detector.see(flipped)) return
    const { trials: sessions, events, evidence } = detector
    blow({ cause, at: now(), sessions, flipped: events, evidence })
  }

  return {
    blown: () => blown,
    ran(component, errorType) {
      const run = runs[component]
      if (errorType === undefined) {
        run.failed = 0
        run.timedOut = 0
        return
      }
      // A release that is not there has done nothing wrong.
      if (blown !== null || errorType === "unavailable") return
      run.failed += 1
      if (errorType === "timeout") run.timedOut += 1
      if (run.failed < consecutiveErrors) return
      const cause = run.timedOut === run.failed ? "timeouts" : "errors"
      blow({ cause, at: now(), component, inARow: run.failed })
    },
    paired(stable, canary) {
      if (blown !== null || !isAnswer(stable) || !isAnswer(canary)) return
      if (stable === ALLOW) see("newly_denied", newlyDenied, canary === DENY)
      else see("newly_allowed", newlyAllowed, canary === ALLOW)
    },
    reset(intent) {
      blown = null
      runs = newRuns()
      newlyDenied = createEDetector(intent === "tighten" ? TIGHTEN_BOUND : BOUND, threshold)
      newlyAllowed = intent === "loosen" ? null : createEDetector(BOUND, threshold)
    },
  }
}

/** Say in one sentence why it blew, with the numbers. */
export function describeFuse(blown: BlownFuse): string {
  switch (blown.cause) {
    case "errors":
      return `the canary's ${blown.component} failed ${blown.inARow} times in a row`
    case "timeouts":
      return `the canary's ${blown.component} took too long ${blown.inARow} times in a row`
    case "newly_denied":
      return `the canary denied ${blown.flipped} of ${blown.sessions} calls that stable allowed, each the first of a session`
    case "newly_allowed":
      return `the canary allowed ${blown.flipped} of ${blown.sessions} calls that stable stopped, each the first of a session`
  }
}

const newRuns = (): Record<Component, { failed: number; timedOut: number }> => ({
  policy: { failed: 0, timedOut: 0 },
  scanners: { failed: 0, timedOut: 0 },
  monitor: { failed: 0, timedOut: 0 },
})

const isAnswer = (outcome: number): boolean => outcome === ALLOW || outcome === DENY || outcome === ESCALATE

function resolve(options: FuseOptions): { readonly consecutiveErrors: number; readonly threshold: number } {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`fuse must be options or false, got ${String(options)}; leave it out for the defaults`)
  }
  const { consecutiveErrors = 5, threshold = 1e6 } = options
  if (!Number.isInteger(consecutiveErrors) || consecutiveErrors < 1) {
    throw new RangeError(`fuse.consecutiveErrors must be a whole number from 1 on, got ${consecutiveErrors}`)
  }
  if (!(threshold > 1 && threshold < Infinity)) {
    throw new RangeError(`fuse.threshold must be a number above 1, got ${threshold}; fuse: false turns the fuse off`)
  }
  return { consecutiveErrors, threshold }
}
