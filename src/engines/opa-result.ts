import type { Effect } from "../model/decision.js"
import type { Evaluation } from "../release/ports.js"

const EFFECTS: ReadonlySet<unknown> = new Set<Effect>(["allow", "deny", "escalate"])
const KEYS: ReadonlySet<string> = new Set(["outcome", "decision", "allow", "reason", "rule", "rules"])

/**
 * Read what a policy of OPA answers: true or false, or an object with one of `allow` (true or false), `outcome` and `decision` (`allow`,
 * `deny` or `escalate`), and with `reason`, and `rule` or `rules`, if it has them. Throws a `TypeError` for anything else: an `allow` beside a
 * `deny` that nobody reads would be an allow.
 */
export function opaOutcome(result: unknown): Evaluation {
  if (typeof result === "boolean") return result ? "allow" : "deny"
  if (typeof result !== "object" || result === null || Array.isArray(result)) {
    throw new TypeError(
      `the policy answered ${kindOf(result)}, not true, false or an object; give \`outcome\` to read it`,
    )
  }
  const answer = new Map<string, unknown>(Object.entries(result))
  for (const key of answer.keys()) {
    if (!KEYS.has(key))
      throw new TypeError(
        `the policy's answer has the unknown key ${JSON.stringify(key.slice(0, 60))}; give \`outcome\` to read it`,
      )
  }
  const said = ["allow", "outcome", "decision"].filter((key) => answer.has(key))
  const [key] = said
  if (key === undefined || said.length > 1) {
    throw new TypeError(
      `the policy's answer must have one of allow, outcome and decision, got ${said.join(" and ") || "none"}`,
    )
  }
  return {
    outcome: effectOf(key, answer.get(key)),
    reason: textOf("reason", answer.get("reason")),
    rule: answer.has("rules") ? rulesOf(answer.get("rules")) : textOf("rule", answer.get("rule")),
  }
}

function effectOf(key: string, value: unknown): Effect {
  if (key === "allow" && typeof value === "boolean") return value ? "allow" : "deny"
  if (key !== "allow" && EFFECTS.has(value)) return value as Effect
  throw new TypeError(
    `the policy's ${key} must be ${key === "allow" ? "true or false" : "allow, deny or escalate"}, got ${kindOf(value)}`,
  )
}

function textOf(key: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === "string") return value
  throw new TypeError(`the policy's ${key} must be a text, got ${kindOf(value)}`)
}

function rulesOf(value: unknown): string | undefined {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join(", ") || undefined
  throw new TypeError(`the policy's rules must be a list of texts, got ${kindOf(value)}`)
}

function kindOf(value: unknown): string {
  if (value === null) return "null"
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60))
  return Array.isArray(value) ? "a list" : `a ${typeof value}`
}
