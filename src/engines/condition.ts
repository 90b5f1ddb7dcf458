import { Environment } from "@marcbachmann/cel-js"
import type { ASTNode } from "@marcbachmann/cel-js"
import type { Call } from "../model/call.js"
import { clip, suggest } from "../release/problems.js"

/**
 * Conditions are CEL (github.com/google/cel-spec). What to know of this implementation, and of CEL:
 *
 * - A JavaScript number is a CEL `double`, a literal such as `250` an `int` (a bigint). Comparing, `==`, `in` and list
 *   indexes mix them; arithmetic does not, so the mixed operators are added here. `type(input.amount) == int` is false.
 * - Division is that of `double` as soon as one side comes from the call: `input.cents / 100` keeps its fraction.
 * - `==` between kinds is false, not an error: `input.amount == 250` is false for the text "250", where `>` fails.
 * - A missing field is an error; ask with `has(input.x)`. A missing resource, input or principal is null.
 * - `||` and `&&` are commutative in CEL: an error on one side counts only when the other side does not decide.
 * - `matches` searches with JavaScript's backtracking regular expressions: anchor with ^ and $, and never nest quantifiers.
 * - Plain objects, arrays, maps, sets and dates are values; instances of other classes are errors.
 */
export type Condition = (call: Call) => unknown

/** Why a condition is refused; `character` is where in its text. */
export interface Refusal {
  readonly message: string
  readonly character: number
  readonly fix?: string
}

const VARIABLES = ["input", "resource", "principal", "call"] as const
const MAX_LENGTH = 8192
/** Room for a list of some hundred literals. The parser recurses, so depth is stack. */
const LIMITS = { maxAstNodes: 2000, maxDepth: 64 }

/** Make a compiler of conditions. The environment behind it is costly: make one for many conditions. */
export function conditionCompiler(): (text: string) => Condition | readonly Refusal[] {
  const environment = celEnvironment()
  return (text) => {
    if (text.length > MAX_LENGTH) {
      return [{ message: `is longer than ${MAX_LENGTH} characters`, character: 0, fix: "split the rule" }]
    }
    try {
      const parsed = environment.parse(text)
      const bad = badPatterns(parsed.ast) // before the check: it hangs more on the tree
      const checked = parsed.check()
      if (!checked.valid) return [...bad, refusal(checked.error, text)]
      if (checked.type !== "bool" && checked.type !== "dyn") {
        bad.push({ message: `is of type ${checked.type}`, character: 0, fix: "a condition answers true or false" })
      }
      return bad.length > 0 ? bad : (call) => parsed(contextOf(call))
    } catch (error) {
      return [refusal(error, text)]
    }
  }
}

function celEnvironment(): Environment {
  const environment = new Environment({ homogeneousAggregateLiterals: false, limits: LIMITS })
  environment.registerVariable("action", "string")
  for (const name of VARIABLES) environment.registerVariable(name, "dyn")
  const operators: Record<string, (left: number, right: number) => number> = {
    "+": (left, right) => left + right,
    "-": (left, right) => left - right,
    "*": (left, right) => left * right,
    "/": (left, right) => left / right,
    "%": (left, right) => left % right,
  }
  for (const [sign, run] of Object.entries(operators)) {
    const mixed = (left: number | bigint, right: number | bigint) => run(Number(left), Number(right))
    environment.registerOperator(`int ${sign} double: double`, mixed)
    environment.registerOperator(`double ${sign} int: double`, mixed)
    if (sign === "%") environment.registerOperator(`double ${sign} double: double`, mixed)
  }
  return environment
}

/** An absent part is null: a variable that is undefined would be reported as unknown. */
function contextOf(call: Call): Record<string, unknown> {
  return {
    action: call.action,
    resource: call.resource ?? null,
    input: call.input ?? null,
    principal: call.principal ?? null,
    call,
  }
}

/** Regular expressions that are written out but do not compile: found now rather than at the first call. */
function badPatterns(root: ASTNode): Refusal[] {
  const found: Refusal[] = []
  const queue: unknown[] = [root]
  for (const next of queue) {
    if (Array.isArray(next)) queue.push(...next)
    if (!isNode(next)) continue
    queue.push(next.args)
    if (next.op !== "rcall" || next.args[0] !== "matches") continue
    const [pattern] = next.args[2]
    if (pattern?.op !== "value" || typeof pattern.args !== "string") continue
    try {
      void new RegExp(pattern.args)
    } catch (error) {
      found.push({ message: messageOf(error), character: pattern.start })
    }
  }
  return found
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value
}

function refusal(error: unknown, text: string): Refusal {
  const { code, range } = (error ?? {}) as { code?: unknown; range?: { start: number } }
  const character = range?.start ?? 0
  const column = range === undefined ? "" : `, at character ${character + 1} of the condition`
  const message = `${clip(messageOf(error), 200)}${column}`
  if (code !== "unknown_variable") return { message, character }
  const name = /^\w*/.exec(text.slice(character))?.[0] ?? ""
  return { message, character, fix: suggest(name, ["action", ...VARIABLES]) }
}

/** The error's message without the excerpt that CEL's errors append to theirs. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return "something that is no error was thrown"
  return "summary" in error && typeof error.summary === "string" ? error.summary : error.message
}
