import type { Effect } from "../model/decision.js"
import { own } from "../model/record.js"
import type { Evaluation } from "../release/ports.js"

/** What policies of this kind answer, in serin's words. Who is over a limit is denied, and told so. */
export const AUTHENSOR_EFFECTS: ReadonlyMap<unknown, Effect> = new Map<string, Effect>([
  ["allow", "allow"],
  ["deny", "deny"],
  ["block", "deny"],
  ["rate_limited", "deny"],
  ["budget_exceeded", "deny"],
  ["require_approval", "escalate"],
  ["escalate", "escalate"],
])

/**
 * Read what a `PolicyEngine` answers: `{ decision: { outcome, reason?, policyId?, matchedRules? } }`, or that decision alone, or one that is
 * a word. The words are allow, deny, require_approval, rate_limited and budget_exceeded, or allow, block and escalate. Throws a `TypeError`
 * for anything else.
 */
export function authensorOutcome(result: unknown): Evaluation {
  const decision = own(result, "decision") ?? result
  const said = typeof decision === "string" ? decision : own(decision, "outcome")
  const outcome = AUTHENSOR_EFFECTS.get(said)
  if (outcome === undefined) {
    const got = typeof said === "string" ? JSON.stringify(said.slice(0, 60)) : `no outcome in ${typeof decision}`
    throw new TypeError(
      `the policy engine answered ${got}, which is none of ${[...AUTHENSOR_EFFECTS.keys()].join(", ")}`,
    )
  }
  const reason = textOf(own(decision, "reason"))
  return { outcome, reason: reason ?? (said === outcome ? undefined : String(said)), rule: ruleOf(decision) }
}

/** `<policy>/<rule>`, as far as they are told: ids of rules are unique in a policy alone. */
function ruleOf(decision: unknown): string | undefined {
  const policy = textOf(own(decision, "policyId"))
  const matched = own(decision, "matchedRules")
  const rules = Array.isArray(matched) ? matched.flatMap((one: unknown) => textOf(own(one, "ruleId")) ?? []) : []
  if (rules.length === 0) return policy
  return rules.map((rule) => (policy === undefined ? rule : `${policy}/${rule}`)).join(", ")
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)
