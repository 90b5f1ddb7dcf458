import { z } from "zod"
import { describeProblems, SerinError } from "../errors.js"
import { exactly, parseDocument } from "../rollout/json-document.js"
import { ROLLOUT_NAME } from "../model/names.js"

/** A message that a channel never got. */
export interface GivenUp {
  readonly key: string
  /** When it was given up, ms since the epoch. */
  readonly at: number
  readonly why: string
}

/** What one channel was told. */
export interface Told {
  readonly name: string
  /** Up to this revision it was told, or there was nothing to tell; 0: it was never told anything. */
  readonly revision: number
  /** The message that is on its way stands for all revisions up to this one: whoever leads next sends the same. */
  readonly covering?: number | undefined
  /** Up to when it was told that nobody judged, ms since the epoch. */
  readonly gap: number
  /** Messages given up since the last that arrived. */
  readonly undelivered: number
  /** Newest last. */
  readonly givenUp: readonly GivenUp[]
}

/** A time in which no judgement was written, found by the leader of this revision. Times are ms since the epoch. */
export interface Gap {
  readonly revision: number
  readonly since: number
  readonly until: number
}

/** What people were told of a rollout: by it a new leader goes on where the last one stopped. */
export interface Notified {
  readonly format: "serin/notified/1"
  readonly rollout: string
  readonly channels: readonly Told[]
  /** Oldest first. */
  readonly gaps: readonly Gap[]
}

/** UTF-8 bytes. */
const MAX_NOTIFIED_BYTES = 256 * 1024
/** Also of channels that nobody names any more: they may come back. */
export const KEPT_CHANNELS = 32
export const KEPT_GIVEN_UP = 10
export const KEPT_GAPS = 5
/** Longest reason that is kept, characters. */
export const MAX_GIVEN_UP_WHY = 500

const time = z.number().min(-8.64e15).max(8.64e15)
const revision = z.int().min(0)
const NOTIFIED = exactly<Notified>({
  format: z.literal("serin/notified/1"),
  rollout: z.string().regex(ROLLOUT_NAME),
  channels: z
    .array(
      exactly<Told>({
        name: z.string().min(1).max(63),
        revision,
        covering: revision.optional(),
        gap: time,
        undelivered: z.int().min(0),
        givenUp: z
          .array(exactly<GivenUp>({ key: z.string().max(256), at: time, why: z.string().max(MAX_GIVEN_UP_WHY) }))
          .max(KEPT_GIVEN_UP),
      }),
    )
    .max(KEPT_CHANNELS),
  gaps: z.array(exactly<Gap>({ revision, since: time, until: time })).max(KEPT_GAPS),
})

/** Read the document from a world that may be hostile. Throws a `SerinError` (`STATE_INVALID`) whose `problems` name the fields. */
export function parseNotified(text: string): Notified {
  return parseDocument(text, {
    noun: "record of what was told",
    maxBytes: MAX_NOTIFIED_BYTES,
    schema: NOTIFIED,
    invalid: (problems, cause) =>
      new SerinError("STATE_INVALID", `The record of what was told is invalid\n${describeProblems(problems)}`, {
        problems,
        cause,
      }),
  })
}

export const serializeNotified = (notified: Notified): string => JSON.stringify(notified)

/** What is known of a channel that was never told anything. */
export const untold = (name: string): Told => ({ name, revision: 0, gap: 0, undelivered: 0, givenUp: [] })

/** Take down what a channel was told. Those of whom nobody has heard for longest are forgotten first. */
export function remember(notified: Notified, told: Told): Notified {
  const others = notified.channels.filter(({ name }) => name !== told.name)
  return { ...notified, channels: [...others, told].slice(-KEPT_CHANNELS) }
}

/** Join what two processes know, so that nothing that was told is told again: of each channel, what goes further. */
export function joinNotified(mine: Notified, theirs: Notified): Notified {
  const gaps = [...theirs.gaps, ...mine.gaps.filter(({ since }) => !theirs.gaps.some((gap) => gap.since === since))]
  let joined: Notified = {
    ...theirs,
    gaps: gaps.toSorted((a, b) => a.until - b.until).slice(-KEPT_GAPS),
  }
  for (const told of mine.channels) {
    const other = theirs.channels.find(({ name }) => name === told.name)
    joined = remember(joined, other === undefined ? told : further(told, other))
  }
  return joined
}

function further(mine: Told, theirs: Told): Told {
  if (mine.revision !== theirs.revision) return mine.revision > theirs.revision ? mine : theirs
  const { undelivered, givenUp } = mine.gap >= theirs.gap ? mine : theirs
  // What was announced first is sent.
  const covering = theirs.covering ?? mine.covering
  return { ...mine, gap: Math.max(mine.gap, theirs.gap), undelivered, givenUp, covering }
}
