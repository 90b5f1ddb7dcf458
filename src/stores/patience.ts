import { SerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"
import type { SerinErrorCode } from "../errors.js"

/** What to do about a failure, in words, and what it is called where that is not `STORE_UNAVAILABLE`. */
export interface Advice {
  readonly code?: SerinErrorCode
  readonly fix?: string
}

/** How long one caller waits: until its own signal aborts, and no longer than the store's limit. */
export interface Patience {
  /** Aborts when the caller gave up or the time is over; its reason says which. */
  readonly signal: AbortSignal
  /** Time that is left, ms. */
  remainingMs(): number
}

/**
 * Do work for a caller who waits so long, ms. The timer keeps the process alive meanwhile, so that a program can wait for an answer on
 * connections that do not. `work` must watch the signal.
 */
export async function withPatience<T>(
  ms: number,
  caller: AbortSignal | undefined,
  work: (patience: Patience) => Promise<T>,
): Promise<T> {
  const own = new AbortController()
  const endAt = performance.now() + ms
  const giveUp = (): void => own.abort(new Error("the caller gave up", { cause: caller?.reason }))
  const timer = setTimeout(() => own.abort(new Error(`no answer within ${ms} ms`)), ms)
  if (caller?.aborted === true) giveUp()
  else caller?.addEventListener("abort", giveUp, { once: true })
  try {
    return await work({ signal: own.signal, remainingMs: () => Math.max(0, endAt - performance.now()) })
  } finally {
    clearTimeout(timer)
    caller?.removeEventListener("abort", giveUp)
  }
}

/** Throw `RangeError` for a time that no timer can wait, ms. */
export function checkTimeout(option: string, ms: number): void {
  if (!(ms > 0 && ms < 2 ** 31)) throw new RangeError(`${option} must be above 0 and below 2^31, got ${ms}`)
}

/** The same caller, with less time, ms. */
export function lessPatience<T>(patience: Patience, ms: number, work: (less: Patience) => Promise<T>): Promise<T> {
  return withPatience(Math.min(ms, patience.remainingMs()), patience.signal, work)
}

/** Times between tries to reach a server, ms: any up to twice the last one's limit, so that many processes do not come at once. */
export function backOff(): { next(): number; reset(): void } {
  const [first, most] = [50, 2000]
  let limit = first
  return {
    next() {
      const wait = Math.random() * limit
      limit = Math.min(most, limit * 2)
      return wait
    },
    reset: () => void (limit = first),
  }
}

/** A timer that keeps no process alive; true when it was not cut short. */
export function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false)
    const end = (whole: boolean): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", stop)
      resolve(whole)
    }
    const stop = (): void => end(false)
    const timer = setTimeout(() => end(true), ms)
    timer.unref()
    signal.addEventListener("abort", stop, { once: true })
  })
}

/** The failure of a read, or of a write of which nothing was done. */
export function refused(
  server: string,
  cause: unknown,
  { code = "STORE_UNAVAILABLE", fix = "" }: Advice = {},
): SerinError {
  if (cause instanceof SerinError) return cause
  return new SerinError(code, `${server}: ${errorText(cause)}${fix === "" ? "" : `; ${fix}`}`, { cause })
}

/** The failure of a write that was sent, and not answered. */
export function ambiguous(server: string, cause: unknown): SerinError {
  const message = `${server}: ${errorText(cause)}; the write was sent, and may be done or not`
  return new SerinError("STORE_AMBIGUOUS", message, { cause })
}
