import type { Clock } from "../model/clock.js"
import type { Versioned } from "../rollout/store.js"
import { etagOf } from "./answer.js"
import type { Hub } from "./hub.js"
import type { Read } from "./reads.js"

/** A stream ends by itself, and the client opens the next: whoever lost the right to read loses the stream as well. Ms. */
const LIFE_MS = 300_000

export interface EventStreamOptions {
  /** Name and key of every document that is told of. */
  readonly documents: readonly (readonly [name: string, key: string])[]
  readonly hub: Hub
  readonly read: Read
  readonly clock: Clock
  readonly heartbeatMs: number
  /** Any of them ends the stream. */
  readonly signals: readonly AbortSignal[]
  /** Called once, however the stream ends. */
  readonly onEnd: () => void
}

/**
 * Hints of changes as server-sent events, and a comment as heartbeat. Nothing is made before it is asked for: whatever happens while a
 * reader is slow, one event per document and one heartbeat wait for it.
 */
export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { documents, hub, read, clock, heartbeatMs, signals, onEnd } = options
  const waiting = new Map<string, Versioned | null>()
  const sent = new Map<string, string>()
  const encoder = new TextEncoder()
  let greeting = "retry: 1000\n:\n\n"
  let beat = false
  let ended = false
  let cancelled = false
  let wake = (): void => {}

  const tell = (name: string, found: Versioned | null): void => {
    if (sent.get(name) === etagOf(found)) return
    waiting.set(name, found)
    wake()
  }
  const unsubscribe = documents.map(([name, key]) => hub.subscribe(key, (found) => tell(name, found)))
  for (const [name, key] of documents) {
    // A store that does not answer is told of when the document is asked for.
    read(key).then(
      (found) => tell(name, found),
      () => {},
    )
  }
  let cancelBeat = clock.schedule(onBeat, heartbeatMs)
  const cancelLife = clock.schedule(end, LIFE_MS)
  for (const signal of signals) signal.addEventListener("abort", end, { once: true })
  if (signals.some(({ aborted }) => aborted)) end()

  function onBeat(): void {
    beat = true
    wake()
    cancelBeat = clock.schedule(onBeat, heartbeatMs)
  }

  function end(): void {
    if (ended) return
    ended = true
    for (const one of unsubscribe) one()
    for (const signal of signals) signal.removeEventListener("abort", end)
    cancelBeat()
    cancelLife()
    onEnd()
    wake()
  }

  /** All that waits, as one chunk; empty: nothing does. */
  function take(): string {
    const events = [...waiting].map(([name, found]) => {
      sent.set(name, etagOf(found))
      const data = JSON.stringify({ revision: found?.revision ?? 0, etag: etagOf(found) })
      return `event: ${name}\nid: ${name}:${found?.revision ?? 0}\ndata: ${data}\n\n`
    })
    const text = `${greeting}${events.join("")}${beat && events.length === 0 ? ":\n\n" : ""}`
    waiting.clear()
    greeting = ""
    beat = false
    return text
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let text = take()
        for (;;) {
          if (text !== "" || ended) break
          await new Promise<void>((resolve) => (wake = resolve))
          text = take()
        }
        if (cancelled) return
        if (text !== "") controller.enqueue(encoder.encode(text))
        if (ended) controller.close()
      },
      cancel() {
        cancelled = true
        end()
      },
    },
    { highWaterMark: 0 },
  )
}
