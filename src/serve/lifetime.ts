import { setMaxListeners } from "node:events"

/** A signal on which as many may listen as there are streams. */
export function lifetimeWithin(signal: AbortSignal | undefined): AbortSignal {
  const own = new AbortController()
  setMaxListeners(0, own.signal)
  signal?.addEventListener("abort", () => own.abort(), { once: true })
  if (signal?.aborted === true) own.abort()
  return own.signal
}
