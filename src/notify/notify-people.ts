import { refuseUnknown } from "../model/options.js"
import type { Say } from "../operate/next-step.js"
import { isUnderWay, phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import { approvalKeys, signGrant } from "./approval-token.js"
import { requireChannels, type NotifyChannel } from "./notify-channel.js"
import type { Telling } from "./transition-message.js"

/** Links by which a stage may be approved. */
export interface ApprovalLinks {
  /**
   * 32 characters or more, known to who leads and to the dashboard, and used for nothing else; while it is changed, the new one and then
   * the old.
   */
  readonly secret: string | readonly string[]
  /** Names of the channels whose messages have the link: whoever reads such a message may approve. */
  readonly channels: readonly string[]
}

export interface NotifyPeopleOptions {
  readonly channels: readonly NotifyChannel[]
  readonly dashboardUrl?: string | URL | undefined
  readonly approvals?: ApprovalLinks | undefined
  /** Default: `serin` and the verb. */
  readonly say?: Say | undefined
}

/** How long a link is good, from when the approval was asked for, ms. */
const VALID_MS = 24 * 3_600_000

/** Whom to tell, and what to say to whom besides what the states say. Throws `TypeError` and `RangeError` for what cannot be meant. */
export function notifyPeople(options: NotifyPeopleOptions) {
  const { channels, dashboardUrl, approvals, say = (verb) => `serin ${verb}` } = options
  requireChannels(channels)
  const dashboard = dashboardUrl === undefined ? undefined : requireDashboard(dashboardUrl)
  const approve = approvals === undefined ? undefined : linksOf(approvals, channels, dashboard)
  const telling = (channel: NotifyChannel): Telling => {
    const mayApprove = approvals?.channels.includes(channel.name) === true
    return { say, dashboard: dashboard?.href, approve: mayApprove ? approve?.(channel) : undefined }
  }
  return { channels, telling }
}

type Approve = (channel: NotifyChannel) => (after: RolloutState) => string | undefined

function linksOf(approvals: ApprovalLinks, channels: readonly NotifyChannel[], dashboard: URL | undefined): Approve {
  refuseUnknown("approvals", approvals, { secret: true, channels: true })
  const keys = approvalKeys(approvals.secret)
  if (dashboard === undefined) throw new TypeError("approvals need dashboardUrl: the address that links lead to")
  if (!Array.isArray(approvals.channels)) {
    throw new TypeError(`approvals.channels must be a list of names of channels, got ${typeof approvals.channels}`)
  }
  const unknown = approvals.channels.find((name) => !channels.some((channel) => channel.name === name))
  if (unknown !== undefined) {
    const names = channels.map(({ name }) => name).join(", ")
    throw new TypeError(`approvals.channels has ${JSON.stringify(unknown)}, which is no channel; there are ${names}`)
  }
  return (channel) => (after) => {
    const phase = phaseOf(after)
    if (!isUnderWay(phase)) return undefined
    const { rollout, generation, revision, last } = after
    // By the revision's own time: a message that is sent again has the same link.
    const expires = Math.max(0, Math.floor(last.at + VALID_MS))
    const token = signGrant({ rollout, generation, stage: phase.stage, revision, to: channel.name, expires }, keys)
    const url = new URL(`${dashboard.pathname.replace(/\/*$/, "")}/api/${rollout}/approve`, dashboard)
    url.searchParams.set("token", token)
    return url.href
  }
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
