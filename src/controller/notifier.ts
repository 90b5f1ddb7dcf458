import { isSerinError } from "../errors.js"
import { createListeners } from "../model/listeners.js"
import type { Clock } from "../model/clock.js"
import type { Message } from "../notify/message.js"
import type { NotifyChannel } from "../notify/notify-channel.js"
import type { Telling } from "../notify/transition-message.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { inTime } from "./deadline.js"
import { dueNow } from "./due.js"
import { messageOf } from "./message.js"
import { KEPT_GIVEN_UP, MAX_GIVEN_UP_WHY } from "./notified.js"
import type { Told } from "./notified.js"
import { createToldBook } from "./told-book.js"
import { findUnjudged, UNJUDGED_MS } from "./unjudged.js"
import { pastStates } from "./verbs.js"

/** Whom to tell, and what to say besides what the states say. */
export interface NotifyOptions {
  readonly channels: readonly NotifyChannel[]
  /** For one channel: what is in a link may be for it alone. */
  readonly telling: (channel: NotifyChannel) => Telling
  /** Told of each message that arrived, or was given up. */
  readonly onDelivery?: ((delivery: Delivery) => void) | undefined
}

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

export interface NotifierOptions extends NotifyOptions {
  /** With deadlines. */
  readonly store: StateStore
  readonly rollout: string
  readonly clock: Clock
  /** Only who leads tells. */
  readonly leading: () => number | null
  /** The state in force here. */
  readonly state: () => RolloutState | null
  /** Time between two judgements, ms. */
  readonly everyMs: number
  /** In [0, 1). */
  readonly random?: (() => number) | undefined
}

/**
 * Tells people of each revision, once, in order, each channel at its own pace. It is all background: it makes nobody wait and throws nothing.
 * A message that was sent, and of which that could not be written before this process died, is sent again by the next leader under the same key.
 */
export interface Notifier {
  /** There may be something to tell. */
  look(): void
  /** What people are not told, or may be told twice. */
  problem(): string | undefined
  /** Stop, after what is on its way, for a second at the most. Never rejects. */
  close(): Promise<void>
}

/** Longest time that a message is tried, ms. */
export const GIVE_UP_MS = 15 * 60_000
/** Longest time of one try, ms: a channel that never answers must not hold up those after it for ever. */
const TRY_MS = 35_000
/** Longest wait, as a process ends, for what is on its way, ms. */
const LAST_MS = 1000
const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 60_000
/** Revisions that are read to find out what happened. */
const MAX_READ = 200

export function createNotifier(options: NotifierOptions): Notifier {
  const { store, rollout, clock, leading, channels, telling, random = Math.random } = options
  const book = createToldBook(store, rollout)
  const deliveries = createListeners<Delivery>()
  if (options.onDelivery !== undefined) deliveries.add(options.onDelivery)
  const lifetime = new AbortController()
  /** Nothing more is begun. */
  const ending = new AbortController()
  const unjudgedMs = Math.max(UNJUDGED_MS, 3 * options.everyMs)
  /** Revisions in order, from the last that every channel was told of. */
  let states: readonly RolloutState[] = []
  /** When a revision was first seen here, on the monotonic clock: from then on it is late. */
  const seenAt = new Map<number, number>()
  /** Of the lead for which the book was opened. */
  let opened: number | null = null
  let lookedAt: number | null = null
  let looking: Promise<void> | null = null
  /** Something happened while it was looked. */
  let again = false
  let problem: string | undefined
  const lines = channels.map((channel) => createLine(channel))

  async function catchUp(): Promise<void> {
    const epoch = leading()
    if (epoch === null) return void (opened = null)
    const isNew = epoch !== opened
    const slept = lookedAt !== null && clock.now() - lookedAt >= unjudgedMs
    if (isNew) await book.open()
    const state = options.state()
    if (state !== null && (isNew || slept)) await lookForGap(state)
    lookedAt = clock.now()
    await book.settle()
    const newest = states.at(-1)?.revision ?? 0
    if (isNew || (state !== null && state.revision > newest)) await read()
    opened = epoch
    for (const line of lines) line.go()
  }

  async function lookForGap(state: RolloutState): Promise<void> {
    const gap = await findUnjudged(store, state, clock.now(), unjudgedMs)
    if (gap !== null && !book.gaps().some(({ since }) => since === gap.since)) await book.noteGap(gap)
  }

  async function read(): Promise<void> {
    const needed = channels.map(({ name }) => {
      const { revision, covering } = book.told(name)
      return revision > 0 ? revision : (covering ?? Number.POSITIVE_INFINITY)
    })
    const least = Math.min(...needed)
    const found: RolloutState[] = []
    for await (const state of pastStates(store, rollout)) {
      if (state.rollout !== rollout) continue
      found.unshift(state)
      if (!seenAt.has(state.revision)) seenAt.set(state.revision, clock.monotonic())
      // Who was never told anything is told of the newest alone.
      if (state.revision <= least || least === Number.POSITIVE_INFINITY || found.length >= MAX_READ) break
    }
    states = found
    for (const revision of seenAt.keys()) if (revision < (found[0]?.revision ?? 0)) seenAt.delete(revision)
  }

  function look(): void {
    if (ending.signal.aborted || channels.length === 0) return
    if (looking === null) looking = lookOnce().finally(() => (looking = null))
    else again = true
  }

  async function lookOnce(): Promise<void> {
    do {
      again = false
      try {
        await catchUp()
        problem = undefined
      } catch (error) {
        problem = `nobody is told of what happens: ${messageOf(error)}`
      }
    } while (again && !ending.signal.aborted)
  }

  /** What waits for one channel, told in order. */
  function createLine(channel: NotifyChannel) {
    const { name } = channel
    const about = telling(channel)
    let failing: { readonly key: string; readonly tries: number } | null = null
    /** In a row, over all messages. */
    let failures = 0
    let failure: string | undefined
    let running: Promise<void> | null = null
    let waiting = false
    let cancel = (): void => {}

    async function run(): Promise<void> {
      while (leading() !== null && leading() === opened && !ending.signal.aborted) {
        const told = book.told(name)
        const due = dueNow(channel, told, states, book.gaps(), about)
        if (due === null) return
        if (due.step === "send") {
          if (!(await send(due.message, told, due.told))) return
        } else if (due.step === "announce") {
          // Not sent before it is written: the next leader could not know what was sent.
          if (!(await book.note(due.told))) return
        } else await book.note(due.told)
      }
    }

    /** False: this is not the time to go on. */
    async function send(message: Message, before: Told, after: Told): Promise<boolean> {
      const { key } = message
      const since = seenAt.get(message.revision) ?? clock.monotonic()
      const tries = (failing?.key === key ? failing.tries : 0) + 1
      try {
        await inTime(
          clock,
          TRY_MS,
          (signal) => channel.send(message, { signal, idempotencyKey: key }),
          "CHANNEL_UNAVAILABLE",
          lifetime.signal,
        )
      } catch (error) {
        if (lifetime.signal.aborted) return false
        failures++
        const waitMs = Math.max(retryMs(failures, random), retryAfterOf(error))
        const why = messageOf(error)
        if (isFinal(error)) {
          await giveUp(message, before, after, why, tries)
          return true
        }
        failing = { key, tries }
        failure = `${name} is not told of ${key}: ${why}`
        if (clock.monotonic() + waitMs - since > GIVE_UP_MS) await giveUp(message, before, after, why, tries)
        rest(Math.min(waitMs, GIVE_UP_MS))
        return false
      }
      failing = null
      failures = 0
      failure = undefined
      // It is known here, whether it can be written or not.
      await book.note(after)
      deliveries.tell({ channel: name, key, kind: message.kind, outcome: "delivered", tries })
      return true
    }

    async function giveUp(
      { key, kind }: Message,
      before: Told,
      after: Told,
      why: string,
      tries: number,
    ): Promise<void> {
      failing = null
      failure = `${name} was not told of ${key}, which was given up: ${why}`
      const entry = { key, at: clock.now(), why: why.slice(0, MAX_GIVEN_UP_WHY) }
      const givenUp = [...before.givenUp, entry].slice(-KEPT_GIVEN_UP)
      await book.note({ ...after, undelivered: before.undelivered + 1, givenUp })
      deliveries.tell({ channel: name, key, kind, outcome: "given_up", tries, problem: why })
    }

    function rest(ms: number): void {
      waiting = true
      cancel = clock.schedule(() => {
        waiting = false
        go()
      }, ms)
    }

    function go(): void {
      if (waiting) return
      running ??= run()
        .catch((error: unknown) => void (failure = `${name} is not told: ${messageOf(error)}`))
        .finally(() => (running = null))
    }

    return {
      go,
      failure: () => failure,
      async close() {
        cancel()
        await running
      },
    }
  }

  /** What is on its way is waited for a little: broken off, it would be sent again by the next leader. */
  async function close(): Promise<void> {
    ending.abort()
    const ended = Promise.all([looking, ...lines.map((line) => line.close())])
    await inTime(clock, LAST_MS, () => ended).catch(() => {})
    lifetime.abort()
    await ended
    await book.settle()
  }

  return {
    look,
    problem: () =>
      problem ?? lines.map((line) => line.failure()).find((failure) => failure !== undefined) ?? book.problem(),
    close,
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
