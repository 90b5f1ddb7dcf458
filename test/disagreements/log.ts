import type { DecisionEntry, DecisionLogEntry, PairEntry, PairSide } from "../../src/model/decision-entry.js"

export const ROLLOUT = "refund-agent"

export interface Logged {
  readonly id: string
  readonly session?: string | null
  readonly tool?: string
  readonly input?: unknown
  readonly stable?: Partial<PairSide>
  readonly canary?: Partial<PairSide>
  readonly generation?: number
  readonly redacted?: true
}

/** A call in a log, with what both releases made of it: by default stable allows and the canary denies. */
export function logged(one: Logged): [DecisionEntry, PairEntry] {
  const { id, session = "s", tool = "issue_refund", generation = 1, redacted } = one
  const side = { durationMs: 1, reason: undefined, rule: undefined, errorType: undefined }
  const stable = { ...side, release: "1.4.0", outcome: "allow", ...one.stable } as const
  const canary = { ...side, release: "1.5.0", outcome: "deny", rule: "large-refund", ...one.canary } as const
  const base = { format: "serin/decision/1", at: 0, rollout: ROLLOUT, revision: 2, generation } as const
  const who = { sessionId: session, startedAt: session === null ? null : 0 }
  const call = { action: tool, ...("input" in one ? { input: one.input } : { input: { amount: 700 } }) }
  return [
    {
      ...base,
      ...who,
      kind: "decision",
      id,
      arm: "stable",
      release: stable.release,
      outcome: "allow",
      source: "policy",
      durationMs: 1,
      call,
      ...(redacted && { redacted }),
    },
    { ...base, ...who, kind: "pair", id: `${id}-pair`, of: id, arm: "stable", stable, canary },
  ]
}

export const linesOf = (entries: readonly DecisionLogEntry[]): string =>
  entries.map((entry) => `${JSON.stringify(entry)}\n`).join("")
