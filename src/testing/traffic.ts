import type { Call } from "../model/call.js"
import { bySession, callOf, type RecordedCall } from "./calls.js"
import { sfc32 } from "./sfc32.js"

/** Options of `replaySessions()`. */
export interface ReplayOptions {
  /** An integer in [0, 2^53): the same seed gives the same stream. */
  readonly seed: number
  /** Mean rate at which sessions start, above 0. */
  readonly sessionsPerMinute: number
  /** Ms since the epoch; the first session starts one gap later. */
  readonly startAt: number
  /** Mean time between two calls of a session, ms; 0 plays a session at once. */
  readonly meanGapMs: number
}

/** One call of the stream. Times are whole ms since the epoch. */
export interface ReplayedCall {
  readonly at: number
  /** New for each session that is played. */
  readonly sessionId: string
  /** When the session made its first call. */
  readonly startedAt: number
  readonly call: Call
  readonly recorded: RecordedCall
}

/** A session that is being played: `calls[next]` is due at `at`. */
interface Playing {
  readonly sessionId: string
  readonly startedAt: number
  readonly calls: readonly RecordedCall[]
  next: number
  at: number
}

/**
 * Play recorded sessions for ever, in order of time: sessions arrive as a Poisson process and are drawn with replacement;
 * the gaps between the calls of one are exponential. Lazy: a call is made when it is asked for.
 */
export function replaySessions(
  calls: readonly RecordedCall[],
  options: ReplayOptions,
): Generator<ReplayedCall, never, void> {
  const { seed, sessionsPerMinute, startAt, meanGapMs } = options
  if (calls.length === 0) throw new RangeError("calls must have at least one call, got none")
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`options.seed must be an integer in [0, 2^53), got ${seed}`)
  }
  if (!(Number.isFinite(sessionsPerMinute) && sessionsPerMinute > 0)) {
    throw new RangeError(`options.sessionsPerMinute must be a finite number above 0, got ${sessionsPerMinute}`)
  }
  if (!Number.isFinite(startAt)) throw new RangeError(`options.startAt must be a finite number of ms, got ${startAt}`)
  if (!(Number.isFinite(meanGapMs) && meanGapMs >= 0)) {
    throw new RangeError(`options.meanGapMs must be a finite number of at least 0, got ${meanGapMs}`)
  }
  return play(
    bySession(calls, ({ session }) => session),
    options,
  )
}

function* play(
  sessions: readonly (readonly RecordedCall[])[],
  { seed, sessionsPerMinute, startAt, meanGapMs }: ReplayOptions,
): Generator<ReplayedCall, never, void> {
  const random = sfc32(seed)
  const gap = (meanMs: number) => -meanMs * Math.log(1 - random()) // the exponential distribution's inverse
  const queue: Playing[] = []
  let arrival = startAt
  for (let number = 0; ; number++) {
    arrival += gap(60_000 / sessionsPerMinute)
    for (let due = queue.at(-1); due !== undefined && due.at <= arrival; due = queue.at(-1)) {
      queue.pop()
      const recorded = due.calls[due.next++]
      if (recorded === undefined) continue
      yield {
        at: Math.floor(due.at),
        sessionId: due.sessionId,
        startedAt: due.startedAt,
        call: callOf(recorded),
        recorded,
      }
      due.at += gap(meanGapMs)
      enqueue(queue, due)
    }
    const calls = sessions[Math.floor(random() * sessions.length)] ?? []
    const sessionId = `replay-${seed}-${number}`
    enqueue(queue, { sessionId, startedAt: Math.floor(arrival), calls, next: 0, at: arrival })
  }
}

/** Keep the queue sorted with what is due first at its end; of two that are due at once the first in stays first. */
function enqueue(queue: Playing[], session: Playing): void {
  let low = 0
  let high = queue.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((queue[middle]?.at ?? 0) > session.at) low = middle + 1
    else high = middle
  }
  queue.splice(low, 0, session)
}
