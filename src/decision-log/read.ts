import { createReadStream } from "node:fs"
import { stat } from "node:fs/promises"
import { resolve } from "node:path"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"
import { describeProblems, SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import { readEntry } from "../model/read-entry.js"
import type { DecisionLogEntry } from "../model/decision-entry.js"
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
    for await (const line of linesOf(file)) {
      number += 1
      if ("failure" in line) report(file, `cannot be read to its end: ${line.failure}`)
      else if (line.text.trim() !== "") {
        const entry = parse(line.text)
        if (typeof entry !== "string") yield entry
        else if (line.ended || file !== active) report(`${file}:${number}`, entry)
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

type Line = { readonly text: string; readonly ended: boolean } | { readonly failure: string }

/** Lines of a file as they come; `ended` is false for a last one without its end. A failure is the last. */
async function* linesOf(file: string): AsyncGenerator<Line> {
  const source = createReadStream(file)
  // Iterating it fails when either does, and closes both.
  const bytes = file.endsWith(".gz") ? pipeline(source, createGunzip(), () => {}) : source
  const decoder = new TextDecoder()
  let rest = ""
  try {
    for await (const chunk of bytes as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
      rest = lines.pop()!
      for (const text of lines) yield { text, ended: true }
    }
  } catch (error) {
    yield { failure: error instanceof Error ? error.message : String(error) }
    return
  }
  rest += decoder.decode()
  if (rest !== "") yield { text: rest, ended: false }
}

function parse(line: string): DecisionLogEntry | string {
  try {
    return readEntry(JSON.parse(line))
  } catch (error) {
    return `is no JSON: ${error instanceof Error ? error.message : "unknown"}`
  }
}
