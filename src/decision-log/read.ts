import { stat } from "node:fs/promises"
import { resolve } from "node:path"
import { describeProblems, SerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"
import type { Problem } from "../errors.js"
import { readEntry } from "../model/read-entry.js"
import type { DecisionLogEntry } from "../model/decision-entry.js"
import { linesIn, MAX_LINE, type Lines } from "./lines.js"
import { rotatedFiles } from "./rotated.js"

/** Options of `readDecisionLog()`. */
export interface ReadOptions {
  /** Hear of each line that is no entry and each file that cannot be read to its end. Without it, reading fails after the last entry. */
  readonly onProblem?: ((problem: Problem) => void) | undefined
}

const SHOWN_PROBLEMS = 20

/**
 * Read a decision log and what was rotated away from it, oldest first. Lines that are no entries lose none of the others: when all
 * were given, it fails with `DECISION_LOG_INVALID`, which has the first twenty by `file:line`, then their count. A last line without an end is
 * passed over when it is half an entry: a process is writing it, or died. Fails with `DECISION_LOG_UNAVAILABLE` when there is no such log.
 */
export async function* readDecisionLog(
  path: string,
  { onProblem }: ReadOptions = {},
): AsyncGenerator<DecisionLogEntry, void, void> {
  const problems: Problem[] = []
  let bad = 0
  const report = (where: string, message: string): void => {
    const problem = { where, message }
    if (onProblem !== undefined) onProblem(problem)
    else if (++bad <= SHOWN_PROBLEMS) problems.push(problem)
  }
  const active = resolve(path)

  for (const file of await filesOf(active)) {
    let number = 0
    for await (const given of linesOf(file)) {
      if ("failure" in given) {
        report(file, `cannot be read to its end: ${given.failure}`)
        continue
      }
      for (const line of given.lines) {
        number += 1
        if (line.trim() === "") continue
        const entry = line.length > MAX_LINE ? `is longer than ${MAX_LINE} characters` : parse(line)
        if (typeof entry !== "string") yield entry
        else if (given.ended || file !== active) report(`${file}:${number}`, entry)
      }
    }
  }

  if (bad === 0) return
  if (bad > SHOWN_PROBLEMS) problems.push({ where: active, message: `and ${bad - SHOWN_PROBLEMS} more problems` })
  throw new SerinError("DECISION_LOG_INVALID", describeProblems(problems), { problems })
}

/** The file and those rotated away from it, oldest first. */
async function filesOf(active: string): Promise<string[]> {
  let files: string[]
  try {
    files = await rotatedFiles(active)
  } catch (cause) {
    throw new SerinError("DECISION_LOG_UNAVAILABLE", `the folder of the decision log ${active} cannot be read`, {
      cause,
    })
  }
  if (files.length === 0) throw new SerinError("DECISION_LOG_UNAVAILABLE", `there is no decision log ${active}`)
  if (files.includes(active) && (await stat(active)).isDirectory()) {
    throw new SerinError("DECISION_LOG_UNAVAILABLE", `the decision log ${active} is a folder; name a file`)
  }
  return files
}

/** The lines of a file, and at last what they ended of, where that was not the end of it. */
async function* linesOf(file: string): AsyncGenerator<Lines | { readonly failure: string }> {
  try {
    yield* linesIn(file, { fatal: false })
  } catch (error) {
    yield { failure: errorText(error) }
  }
}

function parse(line: string): DecisionLogEntry | string {
  try {
    return readEntry(JSON.parse(line))
  } catch (error) {
    return `is no JSON: ${errorText(error)}`
  }
}
