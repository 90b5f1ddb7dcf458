import { readFile } from "node:fs/promises"
import { promisify } from "node:util"
import { gunzip } from "node:zlib"
import { rotatedFiles } from "../decision-log/rotated.js"
import { describeProblems, SerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"
import type { Problem } from "../errors.js"
import { whyUnread } from "../model/file-error.js"
import type { Call } from "../model/call.js"
import { DECISION_FORMAT } from "../model/decision-entry.js"
import { readEntry } from "../model/read-entry.js"
import type { DecisionLogEntry } from "../model/decision-entry.js"
import { nearest } from "../model/nearest.js"

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

const unzip = promisify(gunzip)

/**
 * Read recorded calls from a file of JSON lines, and first from those that were rotated away from it (`<path>.1`, `<path>.2.gz`, …), oldest
 * first. What ends in `.gz` is unpacked. Fails with `CALLS_INVALID`.
 */
export async function readCalls(path: string): Promise<RecordedCall[]> {
  const reading = createReading(path)
  const files = await rotatedFiles(path).catch(() => [])
  for (const file of files.length === 0 ? [path] : files) reading.add(await readText(file), file)
  return reading.calls()
}

async function readText(path: string): Promise<string> {
  try {
    const bytes = await readFile(path)
    return new TextDecoder("utf-8", { fatal: true }).decode(path.endsWith(".gz") ? await unzip(bytes) : bytes)
  } catch (cause) {
    const problems = [{ where: path, message: `cannot be read: ${whyUnread(cause)}` }]
    throw new SerinError("CALLS_INVALID", describeProblems(problems), { cause, problems })
  }
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
    const call = recordedIn(entry)
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
  const reading = createReading(path)
  reading.add(text, path)
  return reading.calls()
}

/** Calls of one recording, which may be of several files, and what is wrong with it. */
function createReading(whole: string) {
  const calls: RecordedCall[] = []
  const problems: Problem[] = []
  let bad = 0
  return {
    add(text: string, path: string): void {
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
    },
    /** Throws `CALLS_INVALID` for what is wrong with any of it. */
    calls(): RecordedCall[] {
      if (bad > SHOWN_PROBLEMS) problems.push({ where: whole, message: `and ${bad - SHOWN_PROBLEMS} more bad lines` })
      if (bad === 0 && calls.length === 0) {
        problems.push({ where: whole, message: "has no calls", fix: "record at least one, a line each" })
      }
      if (problems.length > 0) throw new SerinError("CALLS_INVALID", describeProblems(problems), { problems })
      return calls
    },
  }
}

/** Put together what belongs to the same session, in the order of their first calls. */
export function bySession<T>(calls: readonly T[], sessionOf: (call: T) => string): readonly (readonly T[])[] {
  const sessions = new Map<string, T[]>()
  for (const call of calls) {
    const id = sessionOf(call)
    const session = sessions.get(id)
    if (session === undefined) sessions.set(id, [call])
    else session.push(call)
  }
  return [...sessions.values()]
}

/** The call that was recorded, as a policy is asked about it. */
export function callOf({ tool, input, resource, principal }: RecordedCall): Call {
  // Most have neither, and a recording may be of millions.
  if (resource === undefined && principal === undefined) return { action: tool, input }
  return {
    action: tool,
    input,
    ...(resource !== undefined && { resource }),
    ...(principal !== undefined && { principal }),
  }
}

/** Null: it is no call. */
function recordedIn(entry: DecisionLogEntry): RecordedCall | null {
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
    return `is no JSON: ${errorText(error)}`
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "is no object"
  const fields = value as Readonly<Record<string, unknown>>
  if (fields["format"] === DECISION_FORMAT) {
    const entry = readEntry(value)
    return typeof entry === "string" ? entry : recordedIn(entry)
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

/** What others call these fields. */
const OTHER_NAMES = {
  session: ["sessionId", "session_id", "conversation", "conversationId", "conversation_id", "thread", "threadId"],
  tool: ["action", "name", "toolName", "tool_name", "function"],
  input: ["arguments", "args", "params", "parameters", "toolInput", "tool_input"],
} as const

function wrongWith(fields: Readonly<Record<string, unknown>>): string {
  return [
    ...(isText(fields["session"]) ? [] : [missing("session", fields) ?? "`session` must be a text that is not empty"]),
    ...(isTurn(fields["turn"]) ? [] : ["`turn` must be a number"]),
    ...(isText(fields["tool"]) ? [] : [missing("tool", fields) ?? "`tool` must be a text that is not empty"]),
    ...(Object.hasOwn(fields, "input") ? [] : [missing("input", fields) ?? "`input` is missing"]),
  ].join("; ")
}

/** Name the key that a missing field goes by; undefined: it is there, or goes by no name that is known. */
function missing(field: keyof typeof OTHER_NAMES, fields: Readonly<Record<string, unknown>>): string | undefined {
  if (Object.hasOwn(fields, field)) return undefined
  const keys = Object.keys(fields).slice(0, 50)
  const other = OTHER_NAMES[field].find((name) => keys.includes(name)) ?? keys.find((key) => nearest(key, [field]))
  return other === undefined ? undefined : `\`${field}\` is missing; did you mean it by \`${other}\`?`
}
