import { readFile } from "node:fs/promises"
import { describeProblems, SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import type { Call } from "../model/call.js"
import { DECISION_FORMAT, readEntry } from "../model/decision-entry.js"
import type { DecisionLogEntry } from "../model/decision-entry.js"

/** One tool call of a recorded session. */
export interface RecordedCall {
  readonly session: string
  /** The user's turn in the session. */
  readonly turn?: number | undefined
  readonly tool: string
  readonly input: unknown
  /** What a decision log has of the call besides. */
  readonly resource?: unknown
  readonly principal?: unknown
  readonly output?: unknown
}

const SHOWN_PROBLEMS = 20

/** Read recorded calls from a file of JSON lines. Fails with `CALLS_INVALID`. */
export async function readCalls(path: string): Promise<RecordedCall[]> {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path))
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"
    const message = code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "is not UTF-8" : `cannot be read: ${code}`
    throw new SerinError("CALLS_INVALID", `${path}: ${message}`, { cause, problems: [{ where: path, message }] })
  }
  return parseCalls(text, { path })
}

/**
 * Take the calls out of a decision log, in its order, each once. Pairs, scans and calls that belong to no session are passed over.
 * An entry is one call, whatever was answered to it.
 */
export async function recordedCalls(
  entries: AsyncIterable<DecisionLogEntry> | Iterable<DecisionLogEntry>,
): Promise<RecordedCall[]> {
  const calls: RecordedCall[] = []
  const seen = new Set<string>()
  for await (const entry of entries) {
    const call = callOf(entry)
    // A process that dies while it compresses a file leaves some of its entries twice.
    if (call !== null && !seen.has(entry.id)) calls.push(call)
    seen.add(entry.id)
  }
  return calls
}

/**
 * Parse recorded calls, one `{ session, turn?, tool, input, output? }` a line in JSON. Blank lines and further keys are
 * passed over. A line of a decision log is taken as {@link recordedCalls} does. Fails with `CALLS_INVALID`, which has every bad line up to the twentieth, then their count.
 */
export function parseCalls(text: string, { path }: { readonly path: string }): RecordedCall[] {
  const calls: RecordedCall[] = []
  const problems: Problem[] = []
  let bad = 0
  for (const [i, line] of text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .entries()) {
    if (line.trim() === "") continue
    const read = readCall(line)
    if (read === null) continue
    if (typeof read !== "string") calls.push(read)
    else if (++bad <= SHOWN_PROBLEMS) problems.push({ where: `${path}:${i + 1}`, message: read })
  }
  if (bad > SHOWN_PROBLEMS) problems.push({ where: path, message: `and ${bad - SHOWN_PROBLEMS} more bad lines` })
  if (bad === 0 && calls.length === 0) {
    problems.push({ where: path, message: "has no calls", fix: "record at least one, a line each" })
  }
  if (problems.length > 0) throw new SerinError("CALLS_INVALID", describeProblems(problems), { problems })
  return calls
}

/** Null: it is no call. */
function callOf(entry: DecisionLogEntry): RecordedCall | null {
  if (entry.kind !== "decision" || entry.sessionId === null) return null
  const { action, input, resource, principal } = (entry.call ?? {}) as Partial<Call>
  if (typeof action !== "string" || action === "") return null
  return {
    session: entry.sessionId,
    tool: action,
    input,
    ...(resource !== undefined && { resource }),
    ...(principal !== undefined && { principal }),
  }
}

/** Read one line, or say what is wrong with it. Null: it is none that has a call. */
export function readCall(line: string): RecordedCall | string | null {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    return `is no JSON: ${error instanceof Error ? error.message : "unknown"}`
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "is no object"
  const fields = value as Readonly<Record<string, unknown>>
  if (fields["format"] === DECISION_FORMAT) {
    const entry = readEntry(value)
    return typeof entry === "string" ? entry : callOf(entry)
  }
  const { session, turn, tool, input, output } = fields
  if (!isText(session) || !isText(tool) || !isTurn(turn) || !Object.hasOwn(fields, "input")) return wrongWith(fields)
  // Not spread together: of a large file this is a part of the time.
  const call: { -readonly [K in keyof RecordedCall]: RecordedCall[K] } = { session, tool, input }
  if (turn !== undefined) call.turn = turn
  if (output !== undefined) call.output = output
  return call
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""
const isTurn = (value: unknown): value is number | undefined => value === undefined || typeof value === "number"

function wrongWith(fields: Readonly<Record<string, unknown>>): string {
  return [
    ...(isText(fields["session"]) ? [] : ["`session` must be a text that is not empty"]),
    ...(isTurn(fields["turn"]) ? [] : ["`turn` must be a number"]),
    ...(isText(fields["tool"]) ? [] : ["`tool` must be a text that is not empty"]),
    ...(Object.hasOwn(fields, "input") ? [] : ["`input` is missing"]),
  ].join("; ")
}
