import type { Clock } from "../model/clock.js"
import { DECISION_FORMAT } from "../model/decision-entry.js"
import type { DecisionLogEntry, DecisionSink } from "../model/decision-entry.js"
import type { Complain } from "../telemetry/complaint.js"
import { letGo } from "./judge.js"

/** What became of entries: `dropped`, there was no room; `failed`, the redaction or the sink failed. */
export type LogResult = "written" | "dropped" | "failed"

export interface LogQueueOptions {
  readonly sink: DecisionSink
  /** Entries that may wait. */
  readonly limit: number
  readonly redact?: ((entry: DecisionLogEntry) => DecisionLogEntry | null) | undefined
  readonly clock: Clock
  readonly count: (result: LogResult, amount: number) => void
  readonly complain: Complain
}

/** Entries on their way to a sink. Nothing of the sink reaches the host: it may throw, reject, be slow or never answer. */
export interface LogQueue {
  /** Take an entry, or drop and count it when the queue is full. */
  push(entry: DecisionLogEntry): void
  /** Resolve when what was pushed has been handled, 2 s later at the latest. */
  flush(): Promise<void>
  /** Take nothing any more; what is still waiting after a flush is dropped. */
  close(): Promise<void>
}

/** Longest run of redaction before the event loop gets its turn, ms. */
const SLICE_MS = 2
const MAX_BATCH = 256
/** Longest wait for the sink when somebody waits for the queue, ms. */
const FLUSH_MS = 2000

/** Make the queue. Entries are redacted and handed over after the answer, in order, one batch at a time. */
export function createLogQueue({ sink, limit, redact, clock, count, complain }: LogQueueOptions): LogQueue {
  let entries: DecisionLogEntry[] = []
  let head = 0
  /** A drain is scheduled, or the sink is at work. */
  let busy = false
  let closed = false
  let waiting: (() => void)[] = []

  function drain(): void {
    const batch = takeBatch()
    if (batch.length === 0) return next()
    void hand(batch).then(next)
  }

  const later = (): void => void setImmediate(drain)

  function next(): void {
    if (head < entries.length) return later()
    busy = false
    for (const resolve of waiting.splice(0)) resolve()
  }

  function takeBatch(): DecisionLogEntry[] {
    const until = clock.monotonic() + SLICE_MS
    const batch: DecisionLogEntry[] = []
    while (head < entries.length && batch.length < MAX_BATCH) {
      const entry = redacted(entries[head++]!)
      if (entry !== null) batch.push(entry)
      if (redact !== undefined && clock.monotonic() > until) break
    }
    if (head === entries.length) clear()
    else if (head >= limit / 2) {
      entries = entries.slice(head)
      head = 0
    }
    return batch
  }

  /** Null: it is not to be written. A redaction that fails writes nothing: what it would have hidden is still there. */
  function redacted(entry: DecisionLogEntry): DecisionLogEntry | null {
    if (redact === undefined) return entry
    try {
      const answer = redact(entry)
      if (answer === null) return null
      // A promise, for one, would be written as an empty object.
      if (typeof answer === "object" && answer.format === DECISION_FORMAT) {
        // Who replays it must know that it may be another call.
        return answer === entry ? entry : { ...answer, redacted: true }
      }
      letGo(answer)
      complain("the decision log's redact answers neither an entry nor null, so the entry is left out", answer)
    } catch (error) {
      complain("the decision log's redact fails, so the entry is left out", error)
    }
    count("failed", 1)
    return null
  }

  async function hand(batch: readonly DecisionLogEntry[]): Promise<void> {
    try {
      await sink.write(batch)
      count("written", batch.length)
    } catch (error) {
      complain("the sink of the decision log fails", error)
      count("failed", batch.length)
    }
  }

  function clear(): void {
    entries = []
    head = 0
  }

  function flush(): Promise<void> {
    if (!busy) return Promise.resolve()
    return new Promise((resolve) => {
      // Somebody waits for this, so the process must live until it is over.
      const cancel = clock.schedule(resolve, FLUSH_MS, { keepAlive: true })
      waiting.push(() => {
        cancel()
        resolve()
      })
    })
  }

  return {
    push(entry) {
      if (closed || entries.length - head >= limit) return count("dropped", 1)
      entries.push(entry)
      if (busy) return
      busy = true
      later()
    },
    flush,
    async close() {
      closed = true
      await flush()
      if (head < entries.length) count("dropped", entries.length - head)
      clear()
    },
  }
}
