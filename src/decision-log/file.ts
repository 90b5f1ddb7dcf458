import { appendFile, mkdir, open } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import type { RotatingFileStream } from "rotating-file-stream"
import { SerinError, libraryMissing } from "../errors.js"
import { errorText } from "../model/error-text.js"
import type { DecisionLogEntry, DecisionSink } from "../model/decision-entry.js"
import { refuseUnknown } from "../model/options.js"

/** Options of `decisionLogFile()`. */
export interface DecisionLogFileOptions {
  /** Where the log is written. One process, one file: two that rotate the same file lose entries. */
  readonly path: string
  /** Size above which the file is rotated, bytes; a batch may go beyond it. Default 64 MiB. */
  readonly maxBytes?: number | undefined
  /** Rotated files kept, 1 or more: `<path>.1` is the youngest. Default 5. */
  readonly keep?: number | undefined
  /** Whether rotated files are compressed: `<path>.1.gz`. Default false. */
  readonly compress?: boolean | undefined
}

/** A sink that has a file open. Closing it is its maker's affair, after the guards that write to it. */
export interface DecisionLogFile extends DecisionSink {
  write(entries: readonly DecisionLogEntry[]): Promise<void>
  /** Write what was handed over, and close the file. Never rejects. */
  close(): Promise<void>
}

/** Longest run of serialising before the event loop gets its turn, ms. */
const SLICE_MS = 2
const OWNER_ONLY = { file: 0o600, folder: 0o700 }

/**
 * Write a decision log to a file, one JSON object a line, and rotate it by size. Files and folders that it makes are the owner's alone.
 * Rejects with `LIBRARY_MISSING` without the optional package `rotating-file-stream`, and with `DECISION_LOG_UNAVAILABLE` when the file cannot
 * be opened. A failure after that loses the entries at hand, and the file is opened again for the next. Keeps no process alive but while it writes.
 */
export async function decisionLogFile(options: DecisionLogFileOptions): Promise<DecisionLogFile> {
  refuseUnknown("decisionLogFile", options, { path: true, maxBytes: true, keep: true, compress: true })
  const { maxBytes = 64 * 2 ** 20, keep = 5, compress = false } = options
  if (typeof options.path !== "string" || options.path === "") {
    throw new TypeError(`path must be the path of a file, got ${JSON.stringify(options.path)}`)
  }
  requireCount("maxBytes", maxBytes)
  requireCount("keep", keep)
  const path = resolve(options.path)
  const { createStream } = await library()
  let stream: RotatingFileStream | null = await unfold().catch((cause: unknown) => {
    throw unavailable(`the decision log ${path} cannot be opened: ${errorText(cause)}`, cause)
  })
  /** What was handed over before; batches of several guards come one after the other. */
  let tail: Promise<void> = Promise.resolve()
  let closing: Promise<void> | undefined

  /** Open the file, to write behind what is there. */
  async function unfold(): Promise<RotatingFileStream> {
    await mkdir(dirname(path), { recursive: true, mode: OWNER_ONLY.folder })
    await endTornLine(path)
    const made = createStream(path, {
      size: `${maxBytes}B`,
      rotate: keep,
      mode: OWNER_ONLY.file,
      ...(compress && { compress: "gzip" }),
    })
    await new Promise<void>((opened, failed) => {
      made.once("open", () => opened())
      // It stays: a failure with nobody to hear it would end the process. What is being written is told of it as well.
      made.on("error", failed)
    })
    return made
  }

  async function append(entries: readonly DecisionLogEntry[]): Promise<void> {
    const text = await linesOf(entries)
    stream ??= await unfold()
    const to = stream
    try {
      await new Promise<void>((written, failed) => {
        to.write(text, (error) => (error ? failed(error) : written()))
      })
    } catch (error) {
      // A stream that failed once takes nothing any more.
      stream = null
      await ended(to)
      throw error
    }
  }

  return {
    write(entries) {
      if (closing !== undefined) return Promise.reject(unavailable(`the decision log ${path} is closed`))
      const own = tail.then(() => append(entries))
      tail = own.catch(() => {})
      return own
    },
    close() {
      closing ??= tail.then(() => (stream === null ? undefined : ended(stream)))
      return closing
    },
  }
}

/** Close a stream, whatever it did before. */
function ended(stream: RotatingFileStream): Promise<void> {
  return new Promise((closed) => {
    if (stream.closed) return closed()
    stream.once("close", () => closed())
    if (!stream.destroyed) stream.end()
  })
}

/** A process that died while it wrote left half a line: what comes next must not be glued to it. */
async function endTornLine(path: string): Promise<void> {
  let last: string | undefined
  try {
    const file = await open(path, "r")
    try {
      const { size } = await file.stat()
      if (size > 0) last = (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString()
    } finally {
      await file.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return
    throw error
  }
  if (last !== undefined && last !== "\n") await appendFile(path, "\n")
}

async function linesOf(entries: readonly DecisionLogEntry[]): Promise<string> {
  let lines = ""
  let until = performance.now() + SLICE_MS
  for (const entry of entries) {
    lines += `${lineOf(entry)}\n`
    if (performance.now() < until) continue
    await new Promise((resume) => setImmediate(resume))
    until = performance.now() + SLICE_MS
  }
  return lines
}

/** A call is the host's: what JSON cannot say of it is left out, and said to be. */
function lineOf(entry: DecisionLogEntry): string {
  try {
    return JSON.stringify(entry, plain)
  } catch {
    if (entry.kind !== "decision") throw new TypeError(`a ${entry.kind} of the decision log is not JSON`)
    return JSON.stringify({ ...entry, call: { action: actionOf(entry.call) }, incomplete: true })
  }
}

/** One call that cannot be looked at must not cost the others of its batch. */
function actionOf(call: unknown): string {
  try {
    return String((call as { action?: unknown } | null)?.action)
  } catch {
    return "unknown"
  }
}

const plain = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value)

async function library() {
  try {
    return await import("rotating-file-stream")
  } catch (cause) {
    throw libraryMissing("decisionLogFile()", "rotating-file-stream", "rotating-file-stream", cause)
  }
}

function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name} must be an integer of at least 1, got ${value}`)
  }
}

const unavailable = (message: string, cause?: unknown): SerinError =>
  new SerinError("DECISION_LOG_UNAVAILABLE", message, { cause })
