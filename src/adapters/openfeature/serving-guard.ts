import type { Assignment } from "../../guard/assignment.js"
import type { SessionOptions } from "../../guard/session.js"
import { requireMethods } from "../../model/options.js"

/** What is needed of a guard, in whichever mode. */
export interface ServingGuard {
  readonly rollout: string
  session(id: string, options?: SessionOptions): ServedSession
  current(): ServedSession
  onChange(listener: () => void): () => void
}

/** What is asked of a session. */
export interface ServedSession {
  readonly sessionId: string
  readonly config: unknown
  assignment(): Assignment
}

/** Throw `TypeError` for what is no guard. */
export function requireGuard(guard: ServingGuard): void {
  requireMethods(
    "guard",
    guard,
    ["session", "current", "onChange"],
    "pass what embed(), connect() or createGuard() made",
  )
}
