import { createHash } from "node:crypto"
import type { ReadStream } from "node:fs"
import { linesIn, MAX_LINE, type Lines } from "../decision-log/lines.js"
import { describeProblems, SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import { whyUnread } from "../model/file-error.js"
import { DECISION_FORMAT } from "../model/decision-entry.js"
import { readCall, type RecordedCall } from "./calls.js"

/** Recorded calls, one after the other: for recordings that are larger than memory. */
export interface CallStream extends AsyncIterable<RecordedCall> {
  /** Bytes of the file that were read so far. */
  bytes(): number
  /** sha-256 of what was read, `.gz` unpacked: `sha256:` and hexadecimals. Null before its end, and where it was not asked for. */
  digest(): string | null
}

/** Options of `streamCalls()`. */
export interface StreamOptions {
  /** Take the digest: it costs as much as parsing. Default false. */
  readonly digest?: boolean | undefined
}

const SHOWN_PROBLEMS = 20

/**
 * Read recorded calls from a file of JSON lines, `.gz` or not, line by line as `parseCalls` does. May be iterated once. Bad lines lose none of the others: when all calls
 * were given, it fails with `CALLS_INVALID`, which has the first twenty, then their count; as it does for a file that cannot be read, is not UTF-8, or has no calls.
 * A last line of a decision log that has no end is passed over when it is half an entry: a process is writing it, or died.
 */
export function streamCalls(path: string, options: StreamOptions = {}): CallStream {
  const hash = options.digest === true ? createHash("sha256") : null
  let source: ReadStream | null = null
  let digest: string | null = null

  async function* read(): AsyncGenerator<RecordedCall, void, void> {
    const problems: Problem[] = []
    let [number, calls, bad] = [0, 0, 0]
    let isLog = false
    for await (const { lines, ended } of linesOf()) {
      for (const line of lines) {
        number += 1
        if (line === "" || line.trim() === "") continue
        const call = line.length > MAX_LINE ? `is longer than ${MAX_LINE} characters` : readCall(line)
        if (number === 1) isLog = line.includes(`"${DECISION_FORMAT}"`)
        if (call === null) continue
        if (typeof call !== "string") {
          calls += 1
          yield call
        } else if ((ended || !isLog) && ++bad <= SHOWN_PROBLEMS) {
          problems.push({ where: `${path}:${number}`, message: call })
        }
      }
    }
    digest = hash && `sha256:${hash.digest("hex")}`
    if (bad > SHOWN_PROBLEMS) problems.push({ where: path, message: `and ${bad - SHOWN_PROBLEMS} more bad lines` })
    if (bad === 0 && calls === 0) {
      problems.push({ where: path, message: "has no calls", fix: "record at least one, a line each" })
    }
    if (problems.length > 0) throw new SerinError("CALLS_INVALID", describeProblems(problems), { problems })
  }

  async function* linesOf(): AsyncGenerator<Lines, void, void> {
    const onBytes = hash === null ? undefined : (bytes: Uint8Array): void => void hash.update(bytes)
    try {
      yield* linesIn(path, { fatal: true, onBytes, onOpen: (opened) => void (source = opened) })
    } catch (cause) {
      const message = `cannot be read: ${whyUnread(cause)}`
      throw new SerinError("CALLS_INVALID", `${path}: ${message}`, { cause, problems: [{ where: path, message }] })
    }
  }

  return { [Symbol.asyncIterator]: read, bytes: () => source?.bytesRead ?? 0, digest: () => digest }
}
