import type { Redis } from "ioredis"
import { callSafely } from "./document.js"
import { orGiveUp } from "../model/or-give-up.js"
import { backOff, pause, withPatience } from "./patience.js"
import { reset } from "./redis-line.js"

/** Time between two signs of life of the connection that hears of changes, and the longest wait for one, ms. */
const HEARTBEAT_MS = 2000

export interface RedisHints {
  /** Call `hint` when something is published on the channel, and whenever something may have been missed. */
  add(channel: string, hint: () => void, signal: AbortSignal): void
}

/**
 * Listen on one connection for all channels. A connection that is silent is asked for a sign of life; when it gives none it is
 * replaced, and every listener is told, for nobody knows what was published meanwhile.
 */
export function redisHints(open: () => Promise<Redis>, lifetime: AbortSignal): RedisHints {
  const channels = new Map<string, Set<() => void>>()
  let running = false
  let wake = (): void => {}

  const tell = (channel: string): void => channels.get(channel)?.forEach((hint) => callSafely(hint))
  const isWanted = (): boolean => channels.size > 0 && !lifetime.aborted

  async function run(): Promise<void> {
    running = true
    const wait = backOff()
    while (isWanted()) {
      try {
        const client = await open()
        wait.reset()
        await listen(client)
      } catch {
        // A hint is a courtesy: the reader polls, and is told why the store does not answer.
      }
      if (isWanted()) await pause(wait.next(), lifetime)
    }
    running = false
  }

  /** Until the connection fails or nobody listens any more. */
  async function listen(client: Redis): Promise<void> {
    const subscribed = new Set<string>()
    client.on("message", tell)
    client.once("end", () => wake())
    try {
      while (isWanted()) {
        const added = [...channels.keys()].filter((channel) => !subscribed.has(channel))
        const left = [...subscribed].filter((channel) => !channels.has(channel))
        if (added.length > 0) await inTime(() => client.subscribe(...added))
        if (left.length > 0) await inTime(() => client.unsubscribe(...left))
        for (const channel of left) subscribed.delete(channel)
        for (const channel of added) {
          subscribed.add(channel)
          tell(channel)
        }
        if (added.length === 0 && left.length === 0) await idle()
        await inTime(() => client.ping())
      }
    } finally {
      reset(client)
    }
  }

  async function idle(): Promise<void> {
    const woken = new AbortController()
    wake = () => woken.abort()
    await pause(HEARTBEAT_MS, woken.signal)
  }

  function inTime(ask: () => Promise<unknown>): Promise<unknown> {
    return withPatience(HEARTBEAT_MS, lifetime, ({ signal }) => orGiveUp(signal, ask()))
  }

  lifetime.addEventListener("abort", () => wake(), { once: true })

  return {
    add(channel, hint, signal) {
      if (signal.aborted || lifetime.aborted) return
      const own = (): void => hint()
      const hints = channels.get(channel) ?? new Set()
      channels.set(channel, hints.add(own))
      const leave = (): void => {
        hints.delete(own)
        if (hints.size === 0 && channels.get(channel) === hints) channels.delete(channel)
        wake()
      }
      signal.addEventListener("abort", leave, { once: true })
      if (running) wake()
      else void run()
    },
  }
}
