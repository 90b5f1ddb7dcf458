import type { Clock } from "./clock.js"
import { orGiveUp } from "./or-give-up.js"

export interface Limits {
  readonly clock: Clock
  /** Longest wait, ms. */
  readonly ms: number
  /** Whoever waits, and may give up earlier. */
  readonly stop?: AbortSignal | undefined
  /** Whether the wait keeps the process alive. Default false. */
  readonly keepAlive?: boolean | undefined
}

/** What work ended in that was given up. */
export const GIVEN_UP = Symbol("given up")

/**
 * Do work under a signal of its own. It aborts after `ms` and when `stop` does: the answer is then `GIVEN_UP`, whatever comes later. It aborts
 * when the work is over, too, for a body that is still being read. Rejects with what the work rejects with in time.
 */
export async function within<T>(
  { clock, ms, stop, keepAlive = false }: Limits,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | typeof GIVEN_UP> {
  const own = new AbortController()
  const abort = (): void => own.abort()
  // A timer and a listener of our own: `AbortSignal.any` forgets time-outs on Node.js 20.
  const cancel = clock.schedule(abort, ms, { keepAlive })
  stop?.addEventListener("abort", abort, { once: true })
  if (stop?.aborted === true) abort()
  try {
    return await orGiveUp(own.signal, work(own.signal))
  } catch (error) {
    if (own.signal.aborted) return GIVEN_UP
    throw error
  } finally {
    cancel()
    stop?.removeEventListener("abort", abort)
    own.abort()
  }
}
