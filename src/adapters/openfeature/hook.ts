import { trace } from "@opentelemetry/api"
import type { EvaluationContext, Hook } from "@openfeature/server-sdk"
import type { Assignment } from "../../guard/assignment.js"
import { refuseUnknown } from "../../model/options.js"
import type { KeysOf } from "../../model/options.js"
import { requireGuard } from "./serving-guard.js"
import type { ServedSession, ServingGuard } from "./serving-guard.js"

/** One evaluation of some flag, and what serves the session in which it happened. Not its value: that may be anybody's data. */
export interface FlagEvaluation extends Pick<Assignment, "arm" | "release"> {
  readonly flagKey: string
  readonly variant?: string | undefined
  readonly reason?: string | undefined
  readonly errorCode?: string | undefined
  readonly rollout: string
  readonly sessionId: string
}

/** Options of `serinHook()`. */
export interface SerinHookOptions {
  /**
   * Tell which session an evaluation belongs to. Default: that of `withSession` around it. The targeting key is not taken for one by itself: for
   * most flags it names a user.
   */
  readonly session?: ((context: EvaluationContext) => string | undefined) | undefined
  /** Told of each evaluation in a session, for logs. What it throws is dropped. */
  readonly onEvaluation?: ((evaluation: FlagEvaluation) => void) | undefined
}

const KEYS: KeysOf<SerinHookOptions> = { session: true, onEvaluation: true }

/**
 * Make a hook that says, of flags of other providers, which arm and release served the session in which they were evaluated: as attributes
 * `serin.rollout`, `serin.arm` and `serin.release` of the active span, and to `onEvaluation`. It has a `finally` stage alone, which cannot
 * change what a flag resolves to, and never throws.
 */
export function serinHook(guard: ServingGuard, options: SerinHookOptions = {}): Hook {
  requireGuard(guard)
  refuseUnknown("serinHook", options, KEYS)
  const { session: idOf, onEvaluation } = options

  return {
    finally({ flagKey, context }, { variant, reason, errorCode }) {
      try {
        const id = idOf?.(context)
        const session = id === undefined ? guard.current() : guard.session(id)
        // Of none.
        if (session.sessionId === "") return
        const { arm, release } = session.assignment()
        trace.getActiveSpan()?.setAttributes(attributesOf(guard, session))
        const { sessionId } = session
        onEvaluation?.({ flagKey, variant, reason, errorCode, sessionId, rollout: guard.rollout, arm, release })
      } catch {
        return // a label that is missing hurts nobody
      }
    },
  }
}

/**
 * Make a part of an evaluation context of which arm and release serve a session, so that rules of other flags can go by them. Merge it into
 * the context of an evaluation, or into the transaction's. Without an id: the session of `withSession`, else none, which is stable's. Counts
 * for nothing. Throws `SESSION_ID_INVALID` for an id that is none.
 */
export function serinContext(guard: ServingGuard, sessionId?: string): Readonly<Record<SerinAttribute, string>> {
  requireGuard(guard)
  return attributesOf(guard, sessionId === undefined ? guard.current() : guard.session(sessionId))
}

/** What an evaluation of a flag is told of the session's arm. */
export type SerinAttribute = "serin.rollout" | "serin.arm" | "serin.release"

function attributesOf({ rollout }: ServingGuard, session: ServedSession): Record<SerinAttribute, string> {
  const { arm, release } = session.assignment()
  return { "serin.rollout": rollout, "serin.arm": arm, "serin.release": release }
}
