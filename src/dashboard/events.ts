import { createHub } from "../serve/hub.js"
import { sharedReads } from "../serve/reads.js"
import { refuse } from "./answer.js"
import { createLive, type Live } from "./live.js"
import type { Context, Route } from "./route.js"

/** A stream ends by itself, and the page opens the next: whoever lost the right to read loses the stream as well. Ms. */
const LIFE_MS = 300_000
const MAX_STREAMS = 1000

/** Changes of a rollout as server-sent events, each of which is the whole of `status`. */
export function eventsRoute(context: Context): Route {
  const live = createLive(
    context,
    createHub(context.watched, sharedReads(context.watched, context.clock), context.clock),
  )
  let open = 0
  return {
    method: "GET",
    path: "events",
    access: "read",
    answer({ request, rollout }) {
      if (open >= MAX_STREAMS) return refuse(503, "UNAVAILABLE", "too many streams are open", { "retry-after": "5" })
      open++
      const signals = [request.signal, context.signal]
      const body = viewStream({ live, rollout, context, signals, onEnd: () => void open-- })
      // nginx reads the last one: it would keep events until its buffer is full.
      const headers = { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" }
      return new Response(body, { headers })
    },
  }
}

interface Streaming {
  readonly live: Live
  readonly rollout: string
  readonly context: Context
  readonly signals: readonly AbortSignal[]
  readonly onEnd: () => void
}

/** For a slow reader the newest view waits, and no other. */
function viewStream({ live, rollout, context, signals, onEnd }: Streaming): ReadableStream<Uint8Array> {
  let waiting: Uint8Array | null = null
  let beat: Uint8Array | null = new TextEncoder().encode("retry: 1000\n\n")
  let ended = false
  let cancelled = false
  let wake = (): void => {}
  const unsubscribe = live.subscribe(rollout, (chunk, kind) => {
    if (kind === "view") waiting = chunk
    else beat = chunk
    wake()
  })
  const cancelLife = context.clock.schedule(end, LIFE_MS)
  for (const signal of signals) signal.addEventListener("abort", end, { once: true })
  if (signals.some(({ aborted }) => aborted)) end()

  function end(): void {
    if (ended) return
    ended = true
    unsubscribe()
    for (const signal of signals) signal.removeEventListener("abort", end)
    cancelLife()
    onEnd()
    wake()
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (waiting === null && beat === null && !ended) await new Promise<void>((resolve) => (wake = resolve))
        if (cancelled) return
        const chunk = waiting ?? beat
        if (waiting !== null) waiting = null
        else beat = null
        if (chunk !== null) controller.enqueue(chunk)
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
