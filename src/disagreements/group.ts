import { createHash } from "node:crypto"
import type { Outcome } from "../model/decision.js"

/** What one release makes of the calls of a group. */
export interface GroupSide {
  readonly outcome: Outcome
  /** The rule that decided, where the engine names it. */
  readonly rule?: string | undefined
}

/** Calls of one tool on which the same rules of both releases disagree in the same way. */
export interface Group {
  /** The call's `action`. `other`: groups beyond those that are kept, of these outcomes. */
  readonly tool: string
  readonly stable: GroupSide
  readonly canary: GroupSide
}

/**
 * What the change means to who is served: the category of a disagreement. As the budgets of a rollout have it, `newly_denied` was allowed before, and
 * `newly_allowed` was denied or escalated. `no_longer_escalated`: denied without asking. `failed`: the canary did; `mended`: stable did, and the canary does not.
 */
export const CHANGES = [
  "newly_allowed",
  "newly_denied",
  "newly_escalated",
  "no_longer_escalated",
  "failed",
  "mended",
] as const
export type Change = (typeof CHANGES)[number]

export function changeOf({ stable, canary }: Pick<Group, "stable" | "canary">): Change {
  if (canary.outcome === "error") return "failed"
  if (stable.outcome === "error") return "mended"
  if (canary.outcome === "allow") return "newly_allowed"
  if (canary.outcome === "escalate") return "newly_escalated"
  return stable.outcome === "escalate" ? "no_longer_escalated" : "newly_denied"
}

/** Name a group for people to type: 10 hexadecimals, the same wherever it is counted. */
export function groupId({ tool, stable, canary }: Group): string {
  const key = JSON.stringify([tool, stable.outcome, stable.rule ?? null, canary.outcome, canary.rule ?? null])
  return createHash("sha256").update(key).digest("hex").slice(0, 10)
}
