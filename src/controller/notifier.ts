import { createListeners } from "../model/listeners.js"
import type { Clock } from "../model/clock.js"
import { oneAtATime } from "../model/one-at-a-time.js"
import type { NotifyChannel } from "../notify/notify-channel.js"
import type { Telling } from "../notify/transition-message.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { createChannelLine } from "./channel-line.js"
import type { Delivery } from "./channel-line.js"
import { inTime } from "./deadline.js"
import { dueNow } from "./due.js"
import { messageOf } from "./message.js"
import { createToldBook } from "./told-book.js"
import { findUnjudged, UNJUDGED_MS } from "./unjudged.js"
import { pastStates } from "./verbs.js"

export type { Delivery } from "./channel-line.js"

/** Whom to tell, and what to say besides what the states say. */
export interface NotifyOptions {
  readonly channels: readonly NotifyChannel[]
  /** For one channel: what is in a link may be for it alone. */
  readonly telling: (channel: NotifyChannel) => Telling
  /** Told of each message that arrived, or was given up. */
  readonly onDelivery?: ((delivery: Delivery) => void) | undefined
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

/** Longest wait, as a process ends, for what is on its way, ms. */
const LAST_MS = 1000
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
  /** When a revision was first seen here, and a gap by its begin, on the monotonic clock: from then on it is late. */
  const seenAt = new Map<number, number>()
  const gapSeenAt = new Map<number, number>()
  /** Of the lead for which the book was opened. */
  let opened: number | null = null
  let lookedAt: number | null = null
  let problem: string | undefined
  const lines = channels.map((channel) => {
    const about = telling(channel)
    return createChannelLine({
      channel,
      book,
      clock,
      random,
      isOpen: () => leading() !== null && leading() === opened && !ending.signal.aborted,
      due: (told) => dueNow(channel, told, states, book.gaps(), about),
      lateSince: ({ revision, unjudged }) =>
        (unjudged === undefined ? seenAt.get(revision) : gapSeenAt.get(unjudged.since)) ?? clock.monotonic(),
      delivered: deliveries.tell,
      signal: lifetime.signal,
    })
  })
  let looking = Promise.resolve()

  const lookNow = oneAtATime(async () => {
    try {
      await catchUp()
      problem = undefined
    } catch (error) {
      problem = `nobody is told of what happens: ${messageOf(error)}`
    }
  }, ending.signal)

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
    see(gapSeenAt, new Set(book.gaps().map(({ since }) => since)))
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
      // Who was never told anything is told of the newest alone.
      if (state.revision <= least || least === Number.POSITIVE_INFINITY || found.length >= MAX_READ) break
    }
    states = found
    see(seenAt, new Set(found.map(({ revision }) => revision)))
  }

  /** Note since when each is known here, and forget what there is no more. */
  function see(at: Map<number, number>, there: ReadonlySet<number>): void {
    for (const one of there) if (!at.has(one)) at.set(one, clock.monotonic())
    for (const one of at.keys()) if (!there.has(one)) at.delete(one)
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
    look() {
      if (channels.length > 0) looking = lookNow()
    },
    problem: () =>
      problem ?? lines.map((line) => line.failure()).find((failure) => failure !== undefined) ?? book.problem(),
    close,
  }
}
