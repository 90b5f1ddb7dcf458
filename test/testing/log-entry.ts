import type { DecisionEntry } from "../../src/model/decision-entry.js"

/** A decision of a log that has nothing special. */
export const LOG_ENTRY: DecisionEntry = {
  format: "serin/decision/1",
  kind: "decision",
  id: "1",
  at: 1,
  rollout: "demo",
  revision: 1,
  generation: 1,
  sessionId: "s",
  startedAt: 1,
  arm: "stable",
  release: "1.0.0",
  outcome: "deny",
  source: "policy",
  durationMs: 1,
  call: { action: "refund", input: { amount: 5 } },
}
