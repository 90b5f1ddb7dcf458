import { requireClock, systemClock } from "../model/clock.js"
import { refuseUnknown, type KeysOf } from "../model/options.js"
import { requireNamed, type ChannelOptions, type NotifyChannel } from "../notify/notify-channel.js"
import { DEFAULT_TIMEOUT_MS, post, requireTimeout, requireUrl, type HttpOptions } from "./post.js"
import { signatureHeaders, webhookKeys } from "./webhook-signature.js"

/** Options of `webhook()`. */
export interface WebhookOptions extends ChannelOptions, HttpOptions {
  /** https, or http on this machine. No redirect is followed. */
  readonly url: string | URL
  /** `whsec_` and base64 of 24 to 64 bytes; while it is changed, the new one and then the old. The receiver verifies by it. */
  readonly secret: string | readonly string[]
}

const OPTIONS: KeysOf<WebhookOptions> = {
  name: true,
  on: true,
  url: true,
  secret: true,
  timeoutMs: true,
  allowHttp: true,
  fetch: true,
  clock: true,
}

/**
 * Tell a server: the message as JSON, signed as Standard Webhooks says. Throws `TypeError` and `RangeError` for options that cannot be meant;
 * none of their messages shows the secret, or more of the address than its host.
 */
export function webhook(options: WebhookOptions): NotifyChannel {
  refuseUnknown("webhook", options, OPTIONS)
  const { name = "webhook", on, allowHttp = false, fetch = globalThis.fetch, clock = systemClock } = options
  requireNamed("webhook", { name, on })
  requireClock(clock)
  const url = requireUrl("webhook.url", options.url, allowHttp)
  const keys = webhookKeys(options.secret)
  const timeoutMs = requireTimeout("webhook.timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  return {
    name,
    on,
    async send(message, { signal, idempotencyKey }) {
      const body = JSON.stringify(message)
      const headers = signatureHeaders(keys, idempotencyKey, clock.now(), body)
      await post({ url, body, headers, timeoutMs, fetch, clock, signal })
    },
  }
}
