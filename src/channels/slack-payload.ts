import { cut } from "../model/cut.js"
import type { Message } from "../notify/message.js"

/** Blocks of Slack's Block Kit, as far as they are used. */
export type SlackBlock =
  | { readonly type: "header"; readonly text: SlackText }
  | { readonly type: "section"; readonly text: SlackText }
  | { readonly type: "context"; readonly elements: readonly SlackText[] }

type SlackText =
  | { readonly type: "plain_text"; readonly text: string; readonly emoji: false }
  | { readonly type: "mrkdwn"; readonly text: string; readonly verbatim: true }

export interface SlackPayload {
  /** What notifications show, and what a receiver without blocks does. */
  readonly text: string
  readonly blocks: readonly SlackBlock[]
}

/** Characters, by Slack's reference of blocks. */
const MAX_HEADER = 150
const MAX_TEXT = 3000

/**
 * Write a message as Slack reads it. What others wrote (a reason, a name, a note) is either plain text, in which nothing is markup, or escaped:
 * attack: a reason with `<!channel>`, or with a link that says another address.
 */
export function slackPayload({
  title,
  why,
  by,
  at,
  before,
  after,
  criterion,
  next,
  links,
  key,
  undelivered,
}: Message): SlackPayload {
  const steps = next.map((step) => `• ${escaped(step)}`)
  const approve = links.approve === undefined ? [] : [link(links.approve, "Approve this stage…")]
  const dashboard = links.dashboard === undefined ? [] : [link(links.dashboard, "Dashboard")]
  const more = [...approve, ...dashboard].join("  ·  ")
  const blocks: (SlackBlock | undefined)[] = [
    { type: "header", text: plain(title, MAX_HEADER) },
    why === "" ? undefined : { type: "section", text: plain(why, MAX_TEXT) },
    criterion === undefined || why.includes(criterion.reason)
      ? undefined
      : { type: "section", text: plain(`${criterion.criterion}: ${criterion.reason}`, MAX_TEXT) },
    steps.length === 0 ? undefined : { type: "section", text: mrkdwn(steps.join("\n")) },
    more === "" ? undefined : { type: "section", text: mrkdwn(more) },
    undelivered === undefined
      ? undefined
      : { type: "section", text: plain(`${undelivered} messages before this one could not be delivered`, MAX_TEXT) },
    {
      type: "context",
      elements: [plain(`${moved(before?.words, after.words)}, by ${by.id}, ${isoTime(at)}, ${key}`, MAX_TEXT)],
    },
  ]
  return {
    text: escaped(cut(why === "" ? title : `${title}: ${why}`, MAX_TEXT)),
    blocks: blocks.filter((block) => block !== undefined),
  }
}

const moved = (before: string | undefined, after: string): string =>
  before === undefined || before === after ? after : `${before} → ${after}`

const isoTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z")

const plain = (text: string, most: number): SlackText => ({ type: "plain_text", text: cut(text, most), emoji: false })

/** Of texts that are escaped already; `verbatim`: nothing in them becomes a mention or a link by itself. */
const mrkdwn = (text: string): SlackText => ({ type: "mrkdwn", text: cut(text, MAX_TEXT), verbatim: true })

/** The three control characters of Slack's texts. */
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** In an address, `|` would begin its label. */
const link = (url: string, label: string): string => `<${escaped(url).replaceAll("|", "%7C")}|${label}>`
