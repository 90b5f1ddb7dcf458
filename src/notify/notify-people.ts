import type { Say } from "../operate/next-step.js"
import { requireChannels, type NotifyChannel } from "./notify-channel.js"
import type { Telling } from "./transition-message.js"

export interface NotifyPeopleOptions {
  readonly channels: readonly NotifyChannel[]
  readonly dashboardUrl?: string | URL | undefined
  /** Default: `serin` and the verb. */
  readonly say?: Say | undefined
}

/** Whom to tell, and what to say to whom besides what the states say. Throws `TypeError` and `RangeError` for what cannot be meant. */
export function notifyPeople({ channels, dashboardUrl, say = (verb) => `serin ${verb}` }: NotifyPeopleOptions) {
  requireChannels(channels)
  const dashboard = dashboardUrl === undefined ? undefined : requireDashboard(dashboardUrl)
  const telling = (_: NotifyChannel): Telling => ({ say, dashboard: dashboard?.href })
  return { channels, telling }
}

/** It goes into messages, as it is: an address that a browser opens, without credentials. */
function requireDashboard(value: string | URL): URL {
  const url = URL.canParse(String(value)) ? new URL(value) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new TypeError(
      `dashboardUrl must be an address like https://serin.example/, without a password, got ${url === null ? JSON.stringify(value) : `${url.protocol}//${url.host}`}`,
    )
  }
  return url
}
