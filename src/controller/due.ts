import type { Message, MessageKind } from "../notify/message.js"
import { wants, type NotifyChannel } from "../notify/notify-channel.js"
import { summaryMessage, transitionMessage, unjudgedMessage, type Telling } from "../notify/transition-message.js"
import type { RolloutState } from "../rollout/state.js"
import { untold } from "./notified.js"
import type { Gap, Told } from "./notified.js"

/** What a channel is to be told next. */
export type Due =
  /** `told`: what is known of the channel once it arrived. */
  | { readonly step: "send"; readonly message: Message; readonly told: Told }
  /** Nothing of it is for this channel. */
  | { readonly step: "skip"; readonly told: Told }
  /** One message will stand for many revisions: first it is written for which, so that whoever leads next sends the same. */
  | { readonly step: "announce"; readonly told: Told }

/** Messages that a channel is told one by one; more become one. */
export const MAX_IN_A_ROW = 10

/**
 * Say what a channel is to be told next; null: nothing. `states` are revisions in order, one after the other, up to the newest; the earliest
 * may be later than what the channel was told last, where the store keeps no more.
 */
export function dueNow(
  channel: NotifyChannel,
  told: Told,
  states: readonly RolloutState[],
  gaps: readonly Gap[],
  telling: Telling,
): Due | null {
  const newest = states.at(-1)
  if (newest === undefined) return null
  const about = { ...telling, undelivered: told.undelivered === 0 ? undefined : told.undelivered }
  // A record that is ahead of the state is of one that was lost, or is forged: it must not keep people from being told.
  if (told.revision > newest.revision)
    return firstDue(channel, { ...untold(told.name), givenUp: told.givenUp }, states, gaps, about)
  if (told.revision === 0) return firstDue(channel, told, states, gaps, about)
  const gap = gaps.find(({ until }) => until > told.gap)
  if (gap !== undefined) return gapDue(channel, told, states, gap, about)
  if (newest.revision <= told.revision) return null
  const before = states.find(({ revision }) => revision === told.revision)
  const later = states.filter(({ revision }) => revision > told.revision)
  const kinds = kindsOf(channel, before, later)
  if (told.covering !== undefined || before === undefined || kinds.length > MAX_IN_A_ROW) {
    return manyDue(channel, told, before, later, about)
  }
  return oneDue(channel, told, before, later[0]!, about)
}

/** A channel that was never told anything is told where the rollout stands. */
function firstDue(
  channel: NotifyChannel,
  told: Told,
  states: readonly RolloutState[],
  gaps: readonly Gap[],
  telling: Telling,
): Due {
  const newest = states.at(-1)!
  // What was before it is none of its business.
  const gap = Math.max(told.gap, ...gaps.map(({ until }) => until))
  if (!wants(channel, "standing")) return { step: "skip", told: { ...told, revision: newest.revision, gap } }
  if (told.covering === undefined) return { step: "announce", told: { ...told, gap, covering: newest.revision } }
  const state = upTo(states, told.covering)
  return { step: "send", message: transitionMessage(null, state, telling)!, told: movedTo(told, state.revision) }
}

function gapDue(channel: NotifyChannel, told: Told, states: readonly RolloutState[], gap: Gap, telling: Telling): Due {
  const after = { ...told, gap: gap.until }
  if (!wants(channel, "unjudged")) return { step: "skip", told: after }
  return {
    step: "send",
    message: unjudgedMessage(upTo(states, gap.revision), gap, telling),
    told: { ...after, undelivered: 0 },
  }
}

function oneDue(channel: NotifyChannel, told: Told, before: RolloutState, after: RolloutState, telling: Telling): Due {
  const message = transitionMessage(before, after, telling)
  const moved = movedTo(told, after.revision)
  const isWanted = message !== null && message.kind !== "test" && wants(channel, message.kind)
  return isWanted
    ? { step: "send", message, told: moved }
    : { step: "skip", told: { ...told, revision: after.revision } }
}

function manyDue(
  channel: NotifyChannel,
  told: Told,
  before: RolloutState | undefined,
  later: readonly RolloutState[],
  telling: Telling,
): Due {
  const { covering } = told
  if (covering === undefined) return { step: "announce", told: { ...told, covering: later.at(-1)!.revision } }
  const covered = later.filter(({ revision }) => revision <= covering)
  const last = covered.at(-1) ?? later[0]!
  // The oldest that is kept stands for what came before it.
  const from = before ?? { ...(covered[0] ?? last), revision: told.revision }
  const message = summaryMessage(from, last, kindsOf(channel, from, covered), telling)
  return { step: "send", message, told: movedTo(told, last.revision) }
}

function kindsOf(
  channel: NotifyChannel,
  before: RolloutState | undefined,
  later: readonly RolloutState[],
): readonly MessageKind[] {
  const plain: Telling = { say: (verb) => verb }
  return later.flatMap((state, i) => {
    const previous = later[i - 1] ?? before
    const message = previous === undefined ? null : transitionMessage(previous, state, plain)
    return message === null || message.kind === "test" || !wants(channel, message.kind) ? [] : [message.kind]
  })
}

const movedTo = (told: Told, revision: number): Told => ({ ...told, revision, covering: undefined, undelivered: 0 })

/** The newest state up to a revision; the oldest that is kept where none is. */
const upTo = (states: readonly RolloutState[], revision: number): RolloutState =>
  states.findLast((state) => state.revision <= revision) ?? states[0]!
