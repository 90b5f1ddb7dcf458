import type { Clock } from "../model/clock.js"
import { callSafely } from "./document.js"
import { eventReader } from "./event-lines.js"
import type { HttpClient } from "./http-client.js"

/** A connection that is silent for longer than this many heartbeats is dropped: one may be late, two are not. */
const MISSED = 2.5
/** Back-off after a failure, ms: at random up to the first, twice as much after each more, never more than the last. */
const FIRST_DELAY_MS = 50
const LAST_DELAY_MS = 2000
/** Who is not let in asks again, and not soon. Ms. */
const UNAUTHORIZED_MS = 30_000
/** A server that has no event stream, or a proxy that keeps it to itself, may be another one by then. Ms. */
const STREAM_AGAIN_MS = 60_000
/** Longest wait that is asked for, ms: a silence is noticed as soon after it as one on a stream. */
const WAIT_MS = 5000
const MAX_BYTES = 65_536

export interface WatchOptions {
  readonly client: HttpClient
  /** Address of the rollout: `https://host/v1/refund-agent`. */
  readonly url: string
  readonly clock: Clock
  readonly heartbeatMs: number
  /** For the head of an answer, ms. */
  readonly timeoutMs: number
}

/** How a try ended: `silent`: it was open, and nothing ever came; `none`: the server has no such thing. */
type Ended = "heard" | "silent" | "none" | "failed" | "unauthorized"

/** Hears of changes of a rollout's documents: by one event stream for all of them, else by long polls, else not at all. */
export interface RolloutWatch {
  add(document: string, hint: () => void, signal: AbortSignal): void
  close(): void
}

export function watchRollout({ client, url, clock, heartbeatMs, timeoutMs }: WatchOptions): RolloutWatch {
  const hints = new Map<string, Set<() => void>>()
  const lifetime = new AbortController()
  /** Ends what is under way, because other documents are watched now. */
  let round = new AbortController()
  let running = false

  const tell = (document: string): void => {
    for (const hint of hints.get(document) ?? []) callSafely(hint)
  }

  async function run(): Promise<void> {
    let failures = 0
    let pollUntil = Number.NEGATIVE_INFINITY
    while (hints.size > 0 && !lifetime.signal.aborted) {
      round = new AbortController()
      // One tick: a reader that watches two documents does so at once.
      await Promise.resolve()
      if (round.signal.aborted) continue
      const since = clock.monotonic()
      const polls = since < pollUntil
      const ended = await (polls ? poll(pollUntil, round.signal) : stream(round.signal))
      if (round.signal.aborted) continue
      if (!polls && (ended === "none" || ended === "silent")) {
        pollUntil = clock.monotonic() + STREAM_AGAIN_MS
        continue
      }
      if (polls && ended === "failed") pollUntil = Number.NEGATIVE_INFINITY
      // What ends as soon as it has begun is a failure as well, or it would be begun for ever.
      failures = ended === "heard" && clock.monotonic() - since >= heartbeatMs ? 0 : failures + 1
      await sleep(polls && ended === "none" ? pollUntil - clock.monotonic() : delay(ended, failures), round.signal)
    }
    running = false
  }

  /** Listen until the stream ends, and hint at each event. */
  async function stream(signal: AbortSignal): Promise<Ended> {
    const own = new AbortController()
    const stop = (): void => own.abort()
    signal.addEventListener("abort", stop, { once: true })
    let cancel = (): void => {}
    let heard = false
    try {
      const documents = [...hints.keys()].join(",")
      const response = await client.stream(`${url}/events?documents=${documents}`, {
        headers: { accept: "text/event-stream" },
        timeoutMs,
        signal: own.signal,
      })
      // A proxy that waits for the end of an answer keeps its head as well.
      if (response === null) return "silent"
      const { statusCode: status = 0, headers } = response
      if (status === 200 && !/^text\/event-stream\b/i.test(headers["content-type"] ?? "")) return "none"
      if (status !== 200) return endOf(status)
      const read = eventReader()
      await new Promise<void>((resolve) => {
        const watchdog = (): void => {
          cancel()
          cancel = clock.schedule(resolve, MISSED * heartbeatMs)
        }
        watchdog()
        response.on("data", (piece: Buffer) => {
          heard = true
          watchdog()
          const events = read(piece)
          if (events === null) return resolve()
          for (const name of events) tell(name)
        })
        response.on("close", resolve)
      })
      return heard ? "heard" : "silent"
    } catch {
      return "failed"
    } finally {
      cancel()
      stop()
      signal.removeEventListener("abort", stop)
    }
  }

  /** Wait for each document on the server's side, until all is over or one of them fails. */
  async function poll(until: number, signal: AbortSignal): Promise<Ended> {
    const own = new AbortController()
    const stop = (): void => own.abort()
    signal.addEventListener("abort", stop, { once: true })
    const polls = [...hints.keys()].map(async (document) => {
      const ended = await pollOne(document, until, own.signal)
      if (ended !== "heard") stop()
      return ended
    })
    const ends = await Promise.all(polls)
    signal.removeEventListener("abort", stop)
    return ends.find((ended) => ended !== "heard") ?? "heard"
  }

  async function pollOne(document: string, until: number, signal: AbortSignal): Promise<Ended> {
    let etag: string | undefined
    while (!signal.aborted && clock.monotonic() < until) {
      const since = clock.monotonic()
      try {
        const { status, headers } = await client.ask(`${url}/${document}?wait=${WAIT_MS / 1000}`, {
          method: "HEAD",
          headers: { accept: "application/json", ...(etag !== undefined && { "if-none-match": etag }) },
          // Who says nothing of what it has is not waited with.
          timeoutMs: timeoutMs + (etag === undefined ? 0 : WAIT_MS),
          maxBytes: MAX_BYTES,
          signal,
          keepAlive: false,
        })
        if (status !== 200 && status !== 304 && status !== 404) return endOf(status)
        // It did not wait: it is no server of ours, and to ask it again and again would be no watch.
        if (headers["serin-wait"] === undefined || headers.etag === undefined) return "none"
        const changed = headers.etag !== etag
        if (changed) tell(document)
        etag = headers.etag
        // A document that changes all the time, and a proxy that answers at once, are not asked all the time.
        const took = clock.monotonic() - since
        if (took < WAIT_MS / 2) await sleep(changed ? FIRST_DELAY_MS : LAST_DELAY_MS, signal)
      } catch {
        return signal.aborted ? "heard" : "failed"
      }
    }
    return "heard"
  }

  function sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        signal.removeEventListener("abort", end)
        resolve()
      }
      const cancel = clock.schedule(end, ms)
      signal.addEventListener("abort", end, { once: true })
      if (signal.aborted) end()
    })
  }

  return {
    add(document, hint, signal) {
      if (signal.aborted || lifetime.signal.aborted) return
      const own = (): void => hint()
      const isNew = !hints.has(document)
      hints.set(document, (hints.get(document) ?? new Set()).add(own))
      signal.addEventListener(
        "abort",
        () => {
          const left = hints.get(document)
          if (left?.delete(own) !== true || left.size > 0) return
          hints.delete(document)
          if (hints.size === 0) round.abort()
        },
        { once: true },
      )
      if (!running) {
        running = true
        void run()
      } else if (isNew) round.abort()
    },
    close() {
      lifetime.abort()
      hints.clear()
      round.abort()
    },
  }
}

/** What a status says of a way to hear of changes. */
function endOf(status: number): Ended {
  if (status === 401 || status === 403) return "unauthorized"
  return status === 404 || status === 405 || status === 406 || status === 501 ? "none" : "failed"
}

/** Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. A server that comes back is not met by all at once. */
function delay(ended: Ended, failures: number): number {
  if (ended === "unauthorized") return UNAUTHORIZED_MS * (0.5 + Math.random() / 2)
  return Math.random() * Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 10))
}
