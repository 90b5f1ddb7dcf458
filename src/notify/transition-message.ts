import { phaseWords, nextSteps, type Say } from "../operate/next-step.js"
import { armWeights, phaseOf } from "../rollout/phase.js"
import type { HoldReason, RolloutState } from "../rollout/state.js"
import { MESSAGE_KINDS } from "./message.js"
import type { CriterionNumbers, Message, MessageKind, Standing } from "./message.js"

/** What a message says besides what the states say. */
export interface Telling {
  /** Writes a command that works on the rollout. */
  readonly say: Say
  /** Where people look at the rollout. */
  readonly dashboard?: string | undefined
  /** Make the link by which this channel may approve the stage in force; undefined where there is none. */
  readonly approve?: ((after: RolloutState) => string | undefined) | undefined
  readonly undelivered?: number | undefined
}

/** Longest text of somebody's own words, characters. */
const MAX_WHY = 1000

/**
 * Say what a step means to people; null: nothing. `before` is the revision that was told of last, null for a channel that was never told
 * anything. The same states give the same message, whoever asks and when: a message may be sent twice.
 */
export function transitionMessage(before: RolloutState | null, after: RolloutState, telling: Telling): Message | null {
  const kind = before === null ? "standing" : kindOf(before, after)
  return kind === null ? null : messageAbout(kind, before, after, telling)
}

/** Say in one message what many revisions did. `kinds`: of the messages that it stands for. */
export function summaryMessage(
  before: RolloutState,
  after: RolloutState,
  kinds: readonly MessageKind[],
  telling: Telling,
): Message {
  const kind = kinds.toSorted((a, b) => urgency(a) - urgency(b))[0] ?? "standing"
  const message = messageAbout(kind, before, after, telling)
  const count = after.revision - before.revision
  const what = [...new Set(kinds)].join(", ")
  return {
    ...message,
    title: `${after.rollout}: ${count} changes${what === "" ? "" : ` (${what})`}; now ${message.after.words}`,
    next: [...message.next, `\`${telling.say("history")}\` has each of them`],
    covers: { from: before.revision + 1, to: after.revision },
  }
}

/** Say that for a while no judgement was written, and that there is one who judges now. */
export function unjudgedMessage(
  state: RolloutState,
  unjudged: { since: number; until: number },
  telling: Telling,
): Message {
  const { approve: _, ...without } = telling
  const message = messageAbout("unjudged", state, state, without)
  const [from, to] = [unjudged.since, unjudged.until].map((ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z"))
  return {
    ...message,
    key: `${message.key}/unjudged`,
    at: unjudged.until,
    event: "unjudged",
    title: `${state.rollout}: nobody judged it for a while (${message.after.words})`,
    why: `no judgement was written from ${from} to ${to}; somebody judges it again`,
    criterion: undefined,
    next: [`find out why no controller ran, or none reached its store: \`${telling.say("status")}\``],
    unjudged: { since: unjudged.since, until: unjudged.until },
  }
}

/** A message that says nothing but that it arrives. `now` is ms since the epoch. */
export function testMessage(rollout: string, now: number): Message {
  const standing = { phase: "idle", weightBp: 0, words: "idle" } as const
  return {
    format: "serin/message/1",
    key: `${rollout}/test/${now}`,
    kind: "test",
    rollout,
    generation: 0,
    revision: 0,
    at: now,
    stable: "-",
    canary: null,
    before: null,
    after: standing,
    event: "test",
    by: { kind: "human", id: "serin notify --test" },
    title: `${rollout}: a test message; nothing has happened`,
    why: "somebody tries whether messages arrive here",
    holds: [],
    next: [],
    links: {},
  }
}

function messageAbout(kind: MessageKind, before: RolloutState | null, after: RolloutState, telling: Telling): Message {
  const { rollout, generation, revision, stable, canary, holds, last } = after
  const standing = standingOf(after)
  const was = before === null ? null : standingOf(before)
  const waits = holds.some(({ reason }) => reason === "approval")
  return {
    format: "serin/message/1",
    key: `${rollout}/${generation}/${revision}`,
    kind,
    rollout,
    generation,
    revision,
    at: last.at,
    stable,
    canary,
    before: was,
    after: standing,
    event: last.event,
    by: last.actor,
    title: titleOf(kind, was, standing, after),
    why: oneLine(whyOf(after)),
    criterion: causeOf(after),
    holds: holds.map((hold) => (hold.note === undefined ? hold : { ...hold, note: oneLine(hold.note) })),
    // As it was then: a message that is tried again stays the same.
    next: nextSteps(after, last.at, telling.say),
    links: { dashboard: telling.dashboard, approve: waits ? telling.approve?.(after) : undefined },
    undelivered: telling.undelivered,
  }
}

const urgency = (kind: MessageKind): number => MESSAGE_KINDS.indexOf(kind)

/** Reasons for which somebody has to look, most urgent first, and what a message about one is. */
const HELD: readonly (readonly [HoldReason, MessageKind])[] = [
  ["breach", "breach"],
  ["approval", "approval"],
  ["no_data", "no_data"],
  ["paused", "held"],
  ["srm", "held"],
  ["inconclusive", "held"],
  ["releases", "held"],
  ["fuse", "held"],
  ["sample", "waiting"],
]

function kindOf(before: RolloutState, after: RolloutState): MessageKind | null {
  if (after.kill !== "off" && after.kill !== before.kill) return "killed"
  if (after.generation !== before.generation) return "started"
  if (after.ended !== null && after.ended.kind !== before.ended?.kind) return after.ended.kind
  const had = reasonsIn(before)
  const has = reasonsIn(after)
  const added = HELD.find(([reason]) => has.has(reason) && !had.has(reason))
  if (added !== undefined && added[1] !== "waiting") return added[1]
  if (after.ramp.length > before.ramp.length) return "advanced"
  if (after.approvals.length > before.approvals.length) return "approved"
  // An approval that has lapsed is asked for again.
  if (after.approvals.length < before.approvals.length) return "held"
  if (before.kill !== "off" && after.kill === "off") return "released"
  const lifted = HELD.find(([reason]) => had.has(reason) && !has.has(reason))
  if (lifted !== undefined && lifted[1] !== "waiting") return "released"
  return added === undefined && lifted === undefined ? null : "waiting"
}

/** That nobody has called yet is no lack of evidence: it is a wait for sessions. */
const reasonsIn = ({ holds }: RolloutState): ReadonlySet<HoldReason> =>
  new Set(holds.map(({ reason, note }) => (reason === "no_data" && note === "zero" ? "sample" : reason)))

function titleOf(
  kind: MessageKind,
  was: Standing | null,
  is: Standing,
  { rollout, holds, canary, last }: RolloutState,
): string {
  const moved = was === null || was.words === is.words ? is.words : `${is.words} (was ${was.words})`
  const held = holds.length === 0 ? "" : `, held by ${holds.map(({ reason }) => reason).join(", ")}`
  switch (kind) {
    case "approval":
      return `${rollout}: ${canary} waits for an approval, ${is.words}`
    case "breach":
      return `${rollout}: ${canary} breaks a limit, ${moved}${held}`
    case "no_data":
      return `${rollout}: no evidence, ${moved}${held}`
    case "started":
      return `${rollout}: ${canary} is put to the test, ${is.words}`
    case "approved":
      return `${rollout}: approved by ${oneLine(last.actor.id)}, ${is.words}`
    case "released":
      return `${rollout}: goes on, ${is.words}${held}`
    default:
      return `${rollout}: ${moved}${held}`
  }
}

function standingOf(state: RolloutState): Standing {
  const phase = phaseOf(state)
  return {
    phase: phase.phase,
    weightBp: armWeights(state, Number.POSITIVE_INFINITY).canary,
    words: phaseWords(phase),
  }
}

/** What a controller did it says in the words of its verdict; a human's words stand for themselves. */
function whyOf({ last }: RolloutState): string {
  const { reason, verdict, actor } = last
  if (verdict === undefined || actor.kind === "human" || verdict.reason === reason) return reason
  return `${reason}: ${verdict.reason}`
}

function causeOf({ last: { verdict } }: RolloutState): CriterionNumbers | undefined {
  const cause = verdict?.criteria.find(({ criterion }) => criterion === verdict.cause)
  if (cause === undefined) return undefined
  const { criterion, result, unit, max, estimate, lower, upper, sessions, reason } = cause
  return { criterion, result, unit, max, estimate, lower, upper, sessions, reason: oneLine(reason) }
}

/** Attack: a reason with line ends, escapes of a terminal, or marks that turn text around, which looks like another message. */
function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim()
  // By characters, not by halves of them.
  return line.length > MAX_WHY ? `${[...line].slice(0, MAX_WHY).join("")}…` : line
}
