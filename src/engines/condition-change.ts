import { parse } from "@marcbachmann/cel-js"
import type { ASTNode } from "@marcbachmann/cel-js"

/** Whether a condition holds for more calls than another, for fewer, for the same ones, or that cannot be told from what is written. */
export type ConditionChange = "more" | "fewer" | "same" | "unknown"

/**
 * Compare two conditions that compile, null being one that always holds. Finds a limit that moved, a part added to or taken
 * out of a chain of `&&` or `||`, and a list that grew or shrank. It may miss a change's direction, and never tells a false one.
 */
export function conditionChange(before: string | null, after: string | null): ConditionChange {
  if (before === after) return "same"
  if (before === null) return "fewer"
  if (after === null) return "more"
  return compare(parse(before).ast, parse(after).ast)
}

const INVERSE = { more: "fewer", fewer: "more", same: "same", unknown: "unknown" } as const

function compare(was: ASTNode, is: ASTNode): ConditionChange {
  if (isSame(was, is)) return "same"
  for (const op of ["&&", "||"] as const) {
    if (was.op === op || is.op === op) return compareChains(op, chainOf(op, was), chainOf(op, is))
  }
  if (was.op === "!_" && is.op === "!_") return INVERSE[compare(was.args, is.args)]
  if (was.op !== is.op || !Array.isArray(was.args) || !Array.isArray(is.args)) return "unknown"
  const [wasLeft, wasRight] = was.args as [ASTNode, ASTNode]
  const [isLeft, isRight] = is.args as [ASTNode, ASTNode]
  if (was.op === "in" && isSame(wasLeft, isLeft)) return compareLists(wasRight, isRight)
  const grows = LIMITS.get(was.op)
  if (grows === undefined) return "unknown"
  // `limit < x` is `x > limit`: the other way round.
  if (isSame(wasLeft, isLeft)) return compareNumbers(numberOf(wasRight), numberOf(isRight), grows)
  if (isSame(wasRight, isRight)) return compareNumbers(numberOf(wasLeft), numberOf(isLeft), INVERSE[grows])
  return "unknown"
}

/** What a larger number on the right does to a comparison. */
const LIMITS: ReadonlyMap<string, "more" | "fewer"> = new Map([
  ["<", "more"],
  ["<=", "more"],
  [">", "fewer"],
  [">=", "fewer"],
])

function compareNumbers(was: number | null, is: number | null, larger: "more" | "fewer"): ConditionChange {
  if (was === null || is === null) return "unknown"
  return is > was ? larger : is < was ? INVERSE[larger] : "same"
}

/** Null: it is none, or one that a `double` does not tell from its neighbours. */
function numberOf({ op, args }: ASTNode): number | null {
  if (op === "-_") {
    const number = numberOf(args)
    return number === null ? null : -number
  }
  if (op !== "value" || (typeof args !== "number" && typeof args !== "bigint")) return null
  const number = Number(args)
  return Number.isFinite(number) && Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : null
}

function compareChains(op: "&&" | "||", was: readonly ASTNode[], is: readonly ASTNode[]): ConditionChange {
  const gone = was.filter((one) => !is.some((other) => isSame(one, other)))
  const came = is.filter((one) => !was.some((other) => isSame(one, other)))
  const [one, other] = [gone[0], came[0]]
  if (one === undefined && other === undefined) return "same"
  if (one === undefined) return op === "&&" ? "fewer" : "more"
  if (other === undefined) return op === "&&" ? "more" : "fewer"
  // A part that changed, among others that did not.
  return gone.length === 1 && came.length === 1 ? compare(one, other) : "unknown"
}

function chainOf(op: "&&" | "||", node: ASTNode): ASTNode[] {
  if (node.op !== op) return [node]
  return (node.args as [ASTNode, ASTNode]).flatMap((one) => chainOf(op, one))
}

function compareLists(was: ASTNode, is: ASTNode): ConditionChange {
  if (was.op !== "list" || is.op !== "list") return "unknown"
  const hasAll = (wide: readonly ASTNode[], narrow: readonly ASTNode[]): boolean =>
    narrow.every((one) => wide.some((other) => isSame(one, other)))
  const [grew, shrank] = [hasAll(is.args, was.args), hasAll(was.args, is.args)]
  if (grew) return shrank ? "same" : "more"
  return shrank ? "fewer" : "unknown"
}

/** Conditions are at most 2,000 nodes, 64 deep. */
function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((one, i) => isSame(one, b[i]))
  if (isNode(a)) return isNode(b) && a.op === b.op && isSame(a.args, b.args)
  return Object.is(a, b)
}

const isNode = (value: unknown): value is { readonly op: string; readonly args: unknown } =>
  typeof value === "object" && value !== null && "op" in value && "args" in value
