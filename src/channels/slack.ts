import { requireClock, systemClock } from "../model/clock.js"
import { refuseUnknown, type KeysOf } from "../model/options.js"
import { requireNamed, type ChannelOptions, type NotifyChannel } from "../notify/notify-channel.js"
import { DEFAULT_TIMEOUT_MS, post, requireTimeout, requireUrl, type HttpOptions } from "./post.js"
import { slackPayload } from "./slack-payload.js"

/** Options of `slack()`. */
export interface SlackOptions extends ChannelOptions, HttpOptions {
  /** Address of an incoming webhook. Whoever has it may post: it is a secret. */
  readonly url: string | URL
}

const OPTIONS: KeysOf<SlackOptions> = {
  name: true,
  on: true,
  url: true,
  timeoutMs: true,
  allowHttp: true,
  fetch: true,
  clock: true,
}

/** Tell a channel of Slack, or of what speaks as Slack does. Throws `TypeError` and `RangeError` as `webhook` does. */
export function slack(options: SlackOptions): NotifyChannel {
  refuseUnknown("slack", options, OPTIONS)
  const { name = "slack", on, allowHttp = false, fetch = globalThis.fetch, clock = systemClock } = options
  requireNamed("slack", { name, on })
  requireClock(clock)
  const url = requireUrl("slack.url", options.url, allowHttp)
  const timeoutMs = requireTimeout("slack.timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  return {
    name,
    on,
    async send(message, { signal, idempotencyKey }) {
      const body = JSON.stringify(slackPayload(message))
      // Slack itself drops no repetition; what stands between may.
      await post({ url, body, headers: { "idempotency-key": idempotencyKey }, timeoutMs, fetch, clock, signal })
    },
  }
}
