import { initialState, parseSpec } from "serin/rollout"
import type { Actor, Diff, RolloutState, Verdict } from "serin"
import { describe, expect, it } from "vitest"
import { ROLLOUT_YAML } from "../../examples/demo/files.js"
import { outcomeOf } from "../../examples/demo/outcome.js"
import type { Expected } from "../../examples/demo/scenarios.js"

const CONTROLLER: Actor = { kind: "controller", id: "leader" }
const HUMAN: Actor = { kind: "human", id: "ann" }
const spec = parseSpec(ROLLOUT_YAML, { path: "rollout.yaml" })

const DENIALS: Expected = { kind: "denials", action: "cancel", rule: "cancel-known-id" }
const NEWLY_ALLOWED: Expected = { kind: "newly_allowed" }
const PROMOTED: Expected = { kind: "promoted" }

const denied: Diff = {
  action: "cancel",
  stable: { outcome: "allow", rule: "cancel-known-id" },
  canary: { outcome: "deny" },
  calls: 7,
}

/** The state of a rollout that ended, or that goes on. */
function stateOf(kind: "promoted" | "rolled_back" | null, actor: Actor, cause?: Verdict["cause"]): RolloutState {
  const criteria = cause === undefined ? [] : [{ criterion: cause }]
  return {
    ...initialState(spec, 0, "salt", actor),
    canary: spec.canary,
    ramp: [{ at: 0, weightBp: 0, stage: 0 }],
    ended: kind === null ? null : { kind, at: 60_000 },
    last: { event: "tick", at: 60_000, actor, reason: "why", verdict: { cause, criteria } as unknown as Verdict },
  }
}

function outcome(state: RolloutState, expected: Expected, diffs: readonly Diff[] = [denied]) {
  const before = { phase: "shadow", since: 0, stage: 0 } as const
  return outcomeOf({ state, before, startedAt: 0, at: 60_000, sessions: 80, canarySessions: 0, diffs }, expected)
}

describe("the end of an act", () => {
  const rolledBack = stateOf("rolled_back", CONTROLLER, "newly_denied_rate_max")

  it("is right when the leader rolled back on a denial criterion and the mistyped rule is named", () => {
    const { ok, sentence, summary } = outcome(rolledBack, DENIALS)
    expect(ok).toBe(true)
    expect(sentence).toBe(
      "Rolled back automatically in shadow, after 0:01 h and 80 sessions, 0 of them served by the canary. " +
        "why. The difference: cancel, allow (cancel-known-id) → deny (default), 7 calls.",
    )
    expect(summary).toBe("rolled back on newly_denied_rate_max (cancel-known-id), 80 sessions, 0 on the canary")
  })

  it("is wrong when another rule, another criterion or nothing was found", () => {
    expect(outcome(rolledBack, DENIALS, []).ok).toBe(false)
    expect(outcome(rolledBack, DENIALS, [{ ...denied, action: "book" }]).ok).toBe(false)
    expect(outcome(rolledBack, DENIALS, [{ ...denied, stable: { outcome: "allow", rule: "book" } }]).ok).toBe(false)
    expect(outcome(stateOf("rolled_back", CONTROLLER, "error_rate_delta_max"), DENIALS).ok).toBe(false)
  })

  it("is right in one of three ways, and wrong in the other two", () => {
    const allowed = stateOf("rolled_back", CONTROLLER, "newly_allowed_rate_max")
    const promoted = stateOf("promoted", CONTROLLER)
    const right = (state: RolloutState) => [DENIALS, NEWLY_ALLOWED, PROMOTED].map((e) => outcome(state, e).ok)
    expect(right(rolledBack)).toEqual([true, false, false])
    expect(right(allowed)).toEqual([false, true, false])
    expect(right(promoted)).toEqual([false, false, true])
  })

  it("is wrong when a human ended it, or nobody", () => {
    expect(outcome(stateOf("promoted", HUMAN), PROMOTED).ok).toBe(false)
    expect(outcome(stateOf("rolled_back", HUMAN, "newly_denied_rate_max"), DENIALS).ok).toBe(false)
    const { ok, summary } = outcome(stateOf(null, CONTROLLER), PROMOTED)
    expect(ok).toBe(false)
    expect(summary).toBe("not decided, still shadow, 80 sessions, 0 on the canary")
  })
})
