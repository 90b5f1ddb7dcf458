import { requireMethods } from "../model/options.js"
import { DEFAULT_KINDS, MESSAGE_KINDS } from "./message.js"
import type { Message, MessageKind } from "./message.js"

/** What a channel is told with each try to send. */
export interface SendOptions {
  /** Aborts when nobody waits for this try any more. */
  readonly signal: AbortSignal
  /** The same in every try: what arrived before may be dropped by it. */
  readonly idempotencyKey: string
}

/**
 * A way to tell people. `send` is one try, and rejects when nobody was told; it is tried again by whoever calls it, with a back-off. A
 * `SerinError` with `CHANNEL_REFUSED` says that to try again is of no use; `retryAfterMs` of any error is waited for.
 */
export interface NotifyChannel {
  /** Among the channels of a rollout it is this one's alone: what it was told is remembered by it. */
  readonly name: string
  /** Default: everything that a human must know. */
  readonly on?: readonly MessageKind[] | undefined
  send(message: Message, options: SendOptions): Promise<void>
}

/** What every channel takes. */
export interface ChannelOptions {
  /** 1 to 63 of a-z, 0-9, `.`, `_` and `-`. Default: what kind of channel it is. */
  readonly name?: string | undefined
  /** What it is told. Default: everything that a human must know. */
  readonly on?: readonly MessageKind[] | undefined
}

const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/
const MAX_CHANNELS = 16

/** Throw `TypeError` or `RangeError` for what is no list of channels that can be told apart. */
export function requireChannels(channels: readonly NotifyChannel[]): void {
  if (!Array.isArray(channels)) {
    throw new TypeError(`notify must be a list of channels, got ${typeof channels}; write notify: [slack({ url })]`)
  }
  if (channels.length > MAX_CHANNELS) {
    throw new RangeError(
      `notify may have ${MAX_CHANNELS} channels, got ${channels.length}; tell a relay, and let it tell the others`,
    )
  }
  const names = new Set<string>()
  for (const [i, channel] of channels.entries()) {
    const option = `notify[${i}]`
    requireMethods(option, channel, ["send"], "pass webhook({ … }), slack({ … }), command({ … }) or one of your own")
    requireNamed(option, channel)
    if (names.has(channel.name)) {
      throw new TypeError(`two channels of notify are called ${channel.name}; give each a name of its own`)
    }
    names.add(channel.name)
  }
}

/** Throw `TypeError` for a name that cannot be one, or for kinds of message that there are not. */
export function requireNamed(option: string, { name, on }: Pick<NotifyChannel, "name" | "on">): void {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new TypeError(`${option}.name must be 1 to 63 of a-z, 0-9, '.', '_' and '-', got ${JSON.stringify(name)}`)
  }
  if (on === undefined) return
  if (!Array.isArray(on) || on.length === 0) {
    throw new TypeError(
      `${option}.on must name one kind of message at least; leave it out for ${DEFAULT_KINDS.join(", ")}`,
    )
  }
  const unknown = on.find((kind) => !(MESSAGE_KINDS as readonly unknown[]).includes(kind))
  if (unknown !== undefined) {
    throw new TypeError(`${option}.on has no ${JSON.stringify(unknown)}; its kinds are ${MESSAGE_KINDS.join(", ")}`)
  }
}

/** Tell whether a channel wants to be told of it. */
export const wants = ({ on = DEFAULT_KINDS }: NotifyChannel, kind: MessageKind): boolean => on.includes(kind)
