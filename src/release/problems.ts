import { describeProblems, SerinError } from "../errors.js"
import type { Problem, SerinErrorCode } from "../errors.js"
import { cut } from "../model/cut.js"
import { nearest } from "../model/nearest.js"

const SHOWN_PROBLEMS = 20

/** Name the nearest of the known words, or all of them when none is near. */
export function suggest(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  if (near !== undefined) return `did you mean \`${near}\`?`
  return known.length === 1
    ? `only \`${known[0]}\` is known`
    : `known are ${known.map((one) => `\`${one}\``).join(", ")}`
}

/** Shorten what is quoted in a message. */
export const clip = (text: string, length = 60): string => cut(text, length)

/** Make the error that lists every problem of documents, in the order of their lines; its message shows the first twenty. */
export function invalid(code: SerinErrorCode, what: string, found: readonly Problem[], cause?: unknown): SerinError {
  return refusal(code, what, inOrder(found), cause)
}

/** Make the error that lists every problem, in the order in which they were found; its message shows the first twenty. */
export function refusal(code: SerinErrorCode, what: string, problems: readonly Problem[], cause?: unknown): SerinError {
  const rest = problems.length - SHOWN_PROBLEMS
  const message = [
    `${problems.length === 1 ? "a problem" : `${problems.length} problems`} in ${what}:`,
    describeProblems(problems.slice(0, SHOWN_PROBLEMS)),
    ...(rest > 0 ? [`and ${rest} more`] : []),
  ].join("\n")
  return new SerinError(code, message, { problems, cause })
}

/** Sort by line and column within a file; files stay in the order in which they were read. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const placed = problems.map((problem) => {
    const [, path = problem.where, line = "0", column = "0"] = /^(.*):(\d+):(\d+)$/s.exec(problem.where) ?? []
    return { problem, path, line: Number(line), column: Number(column) }
  })
  const files = new Map([...new Set(placed.map(({ path }) => path))].map((path, i) => [path, i]))
  const fileOf = (path: string) => files.get(path) ?? 0
  placed.sort((a, b) => fileOf(a.path) - fileOf(b.path) || a.line - b.line || a.column - b.column)
  return placed.map(({ problem }) => problem)
}
