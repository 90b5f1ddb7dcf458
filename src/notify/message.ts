import type { CriterionVerdict } from "../model/verdict.js"
import type { Phase } from "../rollout/phase.js"
import type { Actor, Hold } from "../rollout/state.js"

/** What a message can be about, most urgent first. */
export const MESSAGE_KINDS = [
  "killed",
  "contained",
  "rolled_back",
  "breach",
  "unjudged",
  "approval",
  "no_data",
  "held",
  "released",
  "approved",
  "started",
  "promoted",
  "standing",
  "advanced",
  "waiting",
] as const

/** What a message is about. */
export type MessageKind = (typeof MESSAGE_KINDS)[number]

/**
 * What a channel is told unless it says otherwise: everything that a human must know or do, and that it is over. Not each step of a ramp that
 * goes as planned, and not that a stage waits for its sessions.
 */
export const DEFAULT_KINDS: readonly MessageKind[] = MESSAGE_KINDS.filter(
  (kind) => kind !== "advanced" && kind !== "waiting",
)

/** Where a rollout stands. */
export interface Standing {
  readonly phase: Phase["phase"]
  /** Share of new sessions that the canary gets, basis points. */
  readonly weightBp: number
  /** The same in a few words. */
  readonly words: string
}

/** What people are told. Published and versioned: the body of a webhook, and what a command reads from its stdin. */
export interface Message {
  readonly format: "serin/message/1"
  /** `<rollout>/<generation>/<revision>`: the same in every try and from every leader. Told twice, it is one message. */
  readonly key: string
  readonly kind: MessageKind | "test"
  readonly rollout: string
  readonly generation: number
  readonly revision: number
  /** When it happened, ms since the epoch. */
  readonly at: number
  readonly stable: string
  readonly canary: string | null
  /** Null in the first message of a channel. */
  readonly before: Standing | null
  readonly after: Standing
  /** What made the revision, as the state names it. */
  readonly event: string
  readonly by: Actor
  /** One line. */
  readonly title: string
  /** One sentence; text of whoever acted, or of the verdict. */
  readonly why: string
  /** The criterion that weighs most in a breach. */
  readonly criterion?: CriterionNumbers | undefined
  readonly holds: readonly Hold[]
  /** What to do, a line each, with the command to type. */
  readonly next: readonly string[]
  readonly links: { readonly dashboard?: string | undefined; readonly approve?: string | undefined }
  /** It stands for all of these revisions. Absent: for its own alone. */
  readonly covers?: { readonly from: number; readonly to: number } | undefined
  /** From when to when no judgement was written, ms since the epoch. */
  readonly unjudged?: { readonly since: number; readonly until: number } | undefined
  /** Messages before this one that this channel never got. */
  readonly undelivered?: number | undefined
}

/** For rates, differences of rates in [-1, 1]; see `CriterionVerdict`. */
export type CriterionNumbers = Pick<
  CriterionVerdict,
  "criterion" | "result" | "unit" | "max" | "estimate" | "lower" | "upper" | "sessions" | "reason"
>
