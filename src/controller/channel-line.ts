import { isSerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { oneAtATime } from "../model/one-at-a-time.js"
import type { Message } from "../notify/message.js"
import type { NotifyChannel } from "../notify/notify-channel.js"
import { inTime } from "./deadline.js"
import type { Due } from "./due.js"
import { messageOf } from "./message.js"
import { KEPT_GIVEN_UP, MAX_GIVEN_UP_WHY } from "./notified.js"
import type { Told } from "./notified.js"
import type { ToldBook } from "./told-book.js"

/** What became of a message. */
export interface Delivery {
  readonly channel: string
  readonly key: string
  readonly kind: Message["kind"]
  readonly outcome: "delivered" | "given_up"
  /** How often it was tried. */
  readonly tries: number
  /** Why it was given up. */
  readonly problem?: string | undefined
}

export interface ChannelLineOptions {
  readonly channel: NotifyChannel
  readonly book: ToldBook
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** Whether this is the time to tell anything. */
  readonly isOpen: () => boolean
  /** What is to be told next; null: nothing. */
  readonly due: (told: Told) => Due | null
  /** From when on a message is late, on the monotonic clock, ms. */
  readonly lateSince: (message: Message) => number
  readonly delivered: (delivery: Delivery) => void
  /** Breaks off what is on its way. */
  readonly signal: AbortSignal
}

/** What waits for one channel, told in order and at its own pace. */
export interface ChannelLine {
  /** There may be something to tell. */
  go(): void
  /** What this channel is not told, and why. */
  failure(): string | undefined
  /** Begin no more tries; resolves when what is on its way is over. Never rejects. */
  close(): Promise<void>
}

/** Longest time that a message is tried, ms. */
export const GIVE_UP_MS = 15 * 60_000
/** Longest time of one try, ms: a channel that never answers must not hold up those after it for ever. */
const TRY_MS = 35_000
const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 60_000

export function createChannelLine(options: ChannelLineOptions): ChannelLine {
  const { channel, book, clock, random, isOpen, due, lateSince, delivered, signal } = options
  const { name } = channel
  let failing: { readonly key: string; readonly tries: number } | null = null
  /** In a row, over all messages. */
  let failures = 0
  let failure: string | undefined
  let waiting = false
  let cancel = (): void => {}
  let telling = Promise.resolve()

  const isTime = (): boolean => isOpen() && !waiting

  const tell = oneAtATime(async () => {
    try {
      while (isTime()) {
        const told = book.told(name)
        const next = due(told)
        if (next === null) return
        if (next.step === "send") {
          if (!(await send(next.message, told, next.told))) return
        } else if (next.step === "announce") {
          // Not sent before it is written: the next leader could not know what was sent.
          if (!(await book.note(next.told))) return
        } else await book.note(next.told)
      }
    } catch (error) {
      failure = `${name} is not told: ${messageOf(error)}`
    }
  })

  /** False: this is not the time to go on. */
  async function send(message: Message, before: Told, after: Told): Promise<boolean> {
    const { key, kind } = message
    const tries = (failing?.key === key ? failing.tries : 0) + 1
    try {
      await inTime(
        clock,
        TRY_MS,
        (signal) => channel.send(message, { signal, idempotencyKey: key }),
        "CHANNEL_UNAVAILABLE",
        signal,
      )
    } catch (error) {
      if (signal.aborted) return false
      failures++
      const waitMs = Math.max(retryMs(failures, random), retryAfterOf(error))
      const why = messageOf(error)
      if (isFinal(error)) {
        await giveUp(message, before, after, why, tries)
        return true
      }
      failing = { key, tries }
      failure = `${name} is not told of ${key}: ${why}`
      if (clock.monotonic() + waitMs - lateSince(message) > GIVE_UP_MS) {
        await giveUp(message, before, after, why, tries)
      }
      rest(Math.min(waitMs, GIVE_UP_MS))
      return false
    }
    failing = null
    failures = 0
    failure = undefined
    // It is known here, whether it can be written or not.
    await book.note(after)
    delivered({ channel: name, key, kind, outcome: "delivered", tries })
    return true
  }

  async function giveUp({ key, kind }: Message, before: Told, after: Told, why: string, tries: number): Promise<void> {
    failing = null
    failure = `${name} was not told of ${key}, which was given up: ${why}`
    const entry = { key, at: clock.now(), why: why.slice(0, MAX_GIVEN_UP_WHY) }
    const givenUp = [...before.givenUp, entry].slice(-KEPT_GIVEN_UP)
    await book.note({ ...after, undelivered: before.undelivered + 1, givenUp })
    delivered({ channel: name, key, kind, outcome: "given_up", tries, problem: why })
  }

  function rest(ms: number): void {
    waiting = true
    cancel = clock.schedule(() => {
      waiting = false
      go()
    }, ms)
  }

  function go(): void {
    if (!waiting) telling = tell()
  }

  return {
    go,
    failure: () => failure,
    close() {
      cancel()
      return telling
    },
  }
}

/** Full jitter below a ceiling that doubles from 2 s to a minute. Source: Brooker, "Exponential Backoff And Jitter", 2015. */
function retryMs(failures: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures)
  return FIRST_RETRY_MS / 4 + random() * (ceiling - FIRST_RETRY_MS / 4)
}

const isFinal = (error: unknown): boolean => isSerinError(error) && error.code === "CHANNEL_REFUSED"

function retryAfterOf(error: unknown): number {
  const ms =
    typeof error === "object" && error !== null ? (error as { retryAfterMs?: unknown }).retryAfterMs : undefined
  return typeof ms === "number" && ms > 0 ? ms : 0
}
