import { z } from "zod"
import { describeProblems, SerinError } from "../errors.js"
import { counter } from "./counter.js"
import { exactly, parseDocument } from "./json-document.js"
import { ROLLOUT_NAME } from "../model/names.js"

/**
 * Who leads a rollout, and that it is alive: one document that is the election, the fencing and the dead man's switch. The leader
 * writes it anew at every beat.
 */
export interface Beat {
  readonly format: "serin/leader/1"
  readonly rollout: string
  /** Grows with every new leader. What a leader of a lower epoch wants to write is refused. */
  readonly epoch: number
  /** Grows with every write, also from one leader to the next. */
  readonly beat: number
  /** The leader's own name; null: it has left, and the next may lead at once. */
  readonly holder: string | null
  /** Revision of the state that the leader has in force: whoever has an older one is behind. */
  readonly revision: number
  /** How long a candidate must have seen no change before it may lead, ms: the holder says how often it beats. */
  readonly takeoverAfterMs: number
  /** How long this lead has lasted, ms, by the holder's own clock: from it a reader tells a beat that was held back. */
  readonly ledMs: number
}

/** What is larger is refused before it is parsed. UTF-8 bytes. */
const MAX_BEAT_BYTES = 4096
/** Longest name of a holder, characters. */
export const MAX_HOLDER = 256
/** A document that asks for more would keep everybody from leading. */
export const MAX_TAKEOVER_MS = 10 * 60_000

const BEAT = exactly<Beat>({
  format: z.literal("serin/leader/1"),
  rollout: z.string().regex(ROLLOUT_NAME),
  epoch: counter(1),
  beat: counter(1),
  holder: z.string().min(1).max(MAX_HOLDER).nullable(),
  revision: counter(0),
  takeoverAfterMs: z.int().min(1).max(MAX_TAKEOVER_MS),
  ledMs: z.int().min(0),
})

/** Read a beat from a world that may be hostile. Throws a `SerinError` (`STATE_INVALID`) whose `problems` name the fields. */
export function parseBeat(text: string): Beat {
  return parseDocument(text, {
    noun: "beat",
    maxBytes: MAX_BEAT_BYTES,
    schema: BEAT,
    invalid: (problems, cause) =>
      new SerinError("STATE_INVALID", `The leader's beat is invalid\n${describeProblems(problems)}`, {
        problems,
        cause,
      }),
  })
}

/** Write a beat as {@link parseBeat} reads it. Throws `STATE_INVALID` for one that nobody could read back. */
export function serializeBeat(beat: Beat): string {
  const text = JSON.stringify(beat)
  parseBeat(text)
  return text
}

/** Tell whether a beat came after another: by epoch first, so that no beat of a leader that was replaced counts. */
export const isLater = (beat: Beat, than: Beat): boolean =>
  beat.epoch > than.epoch || (beat.epoch === than.epoch && beat.beat > than.beat)
