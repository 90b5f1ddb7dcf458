import { parseBeat } from "../rollout/beat.js"
import type { Beat } from "../rollout/beat.js"
import type { Versioned } from "../rollout/store.js"
import { messageOf } from "./message.js"
import { untrustedRevision } from "./replaceable.js"

/** The document as it is in the store, and the beat in it; null: it cannot be read. */
export interface SeenBeat extends Pick<Versioned, "revision"> {
  /** Null: the store itself refused it. */
  readonly envelope: string | null
  readonly beat: Beat | null
  /** Why it cannot be read. */
  readonly refused?: string | undefined
}

/** What cannot be read is held by somebody unknown: it is waited for as anybody is, and then written over. */
export function seenAs(
  found: Pick<Versioned, "revision" | "envelope"> | SeenBeat | null,
  rollout: string,
): SeenBeat | null {
  if (found === null || "beat" in found) return found
  const { revision, envelope } = found
  try {
    const beat = parseBeat(envelope)
    if (beat.rollout === rollout) return { revision, envelope, beat }
    return { revision, envelope, beat: null, refused: `expected the leader of ${rollout}, got that of ${beat.rollout}` }
  } catch (error) {
    return { revision, envelope, beat: null, refused: messageOf(error) }
  }
}

/**
 * Attack, or a change of keys: a document that nobody trusted wrote must not keep everybody from leading. To whoever may write, its revision is
 * enough to replace it, once it has not changed for as long as a leader may be silent.
 */
export function refusedBy(error: unknown): SeenBeat {
  const revision = untrustedRevision(error)
  if (revision === null) throw error
  return { revision, envelope: null, beat: null, refused: messageOf(error) }
}
