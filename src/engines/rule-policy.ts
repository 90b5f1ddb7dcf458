import type { Call } from "../model/call.js"
import type { Policy } from "../release/ports.js"
import { RuleError } from "../release/rule-error.js"
import type { EvaluationRecord } from "../release/run.js"
import { messageOf } from "./condition.js"
import type { Condition } from "./condition.js"
import { globMatches, isLiteral } from "./glob.js"

export interface Rule {
  readonly id: string
  /** Globs; one that matches is enough. */
  readonly patterns: readonly string[]
  /** Null: always holds. */
  readonly condition: Condition | null
  /** What is served, frozen: a decision allocates nothing of its own. */
  readonly evaluation: EvaluationRecord
}

const NO_MATCH: EvaluationRecord = Object.freeze({ outcome: "deny", reason: "no rule matched" })

/** A model may invent an action. Matching a glob costs pattern × action steps, so an endless name would hang the process. */
const MAX_ACTION = 1024

/** Entries of all remembered lists together: actions are foreign text, so what is remembered about them is bounded. */
const ROOM = 100_000

/** Make the policy of ordered rules: the first that matches decides, none denies. A decision costs the rules its action could match. */
export function rulePolicy(rules: readonly Rule[]): Policy<Call> {
  const candidates = candidateIndex(rules)
  return Object.freeze({
    evaluate(call: Call) {
      const action: unknown = call.action
      if (typeof action !== "string") throw new TypeError(`call.action must be a string, got ${typeof action}`)
      if (action.length > MAX_ACTION)
        throw new RangeError(`call.action must not be longer than ${MAX_ACTION} characters`)
      for (const rule of candidates(action)) {
        if (rule.condition === null || holds(rule, rule.condition, call)) return rule.evaluation
      }
      return NO_MATCH
    },
  })
}

/** Look up the rules that could match an action, in order and up to the first without a condition. */
function candidateIndex(rules: readonly Rule[]): (action: string) => readonly Rule[] {
  const literals = new Map<string, Set<Rule>>()
  for (const rule of rules) {
    for (const pattern of rule.patterns.filter(isLiteral)) {
      const named = literals.get(pattern)
      if (named === undefined) literals.set(pattern, new Set([rule]))
      else named.add(rule)
    }
  }
  const wild = rules.map((rule) => rule.patterns.filter((pattern) => !isLiteral(pattern)))
  const open = rules.some((_, i) => (wild[i]?.length ?? 0) > 0)

  function find(action: string): readonly Rule[] {
    const named = literals.get(action)
    if (!open) return upToFirstUnconditional([...(named ?? [])])
    return upToFirstUnconditional(
      rules.filter((rule, i) => named?.has(rule) || wild[i]?.some((pattern) => globMatches(pattern, action))),
    )
  }

  const known = new Map<string, readonly Rule[]>()
  let room = ROOM
  return (action) => {
    const before = known.get(action)
    if (before !== undefined) return before
    const found = find(action)
    // A name in the file is always remembered; names that only globs match, as long as there is room.
    if (literals.has(action)) known.set(action, found)
    else if (action.length + found.length < room) {
      room -= action.length + found.length + 1
      known.set(action, found)
    }
    return found
  }
}

function upToFirstUnconditional(rules: readonly Rule[]): readonly Rule[] {
  const last = rules.findIndex((rule) => rule.condition === null)
  return last < 0 ? rules : rules.slice(0, last + 1)
}

function holds(rule: Rule, condition: Condition, call: Call): boolean {
  let answer: unknown
  try {
    answer = condition(call)
  } catch (error) {
    throw new RuleError(rule.id, messageOf(error), { cause: error })
  }
  if (typeof answer === "boolean") return answer
  throw new RuleError(rule.id, `the condition answered ${kindOf(answer)}, not true or false`)
}

function kindOf(value: unknown): string {
  if (value === null) return "null"
  return Array.isArray(value) ? "a list" : `a ${typeof value}`
}
