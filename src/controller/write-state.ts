import { createHash } from "node:crypto"
import { serializeState, type RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { stateKey } from "./keys.js"

/** Name a content by its bytes, as `sha256sum` does: a text is UTF-8. Of what was signed, it is the text without its signatures. */
export const hashOf = (content: string | Uint8Array): string =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`

/** What a revision of the state is written over. */
export interface Before {
  /** 0: there is none. */
  readonly revision: number
  readonly content: string | Uint8Array
  /** The revision that it is made from, where that is another: the one before it could not be read. */
  readonly base?: string | undefined
}

/** There is nothing yet. */
export const NOTHING: Before = { revision: 0, content: "" }

/** A state, and the very text of it in the store. */
export interface Stored {
  readonly state: RolloutState
  readonly envelope: string
  /** As it was signed, where it was. */
  readonly sealed?: string | undefined
}

/**
 * Write a state by compare-and-set. Every writer comes here, because here a revision is chained to the one that it is written over: it
 * bears the hash of that one's exact text. `record` names the recorded verdict that made it. Null: another writer was first.
 */
export async function writeState(
  store: StateStore,
  before: Before,
  state: RolloutState,
  record?: string,
): Promise<Stored | null> {
  const { revision, content, base } = before
  const last = {
    ...state.last,
    ...(revision > 0 && { previous: hashOf(content) }),
    ...(base !== undefined && { base: hashOf(base) }),
    ...(record !== undefined && { record }),
  }
  const chained = { ...state, last }
  const envelope = serializeState(chained)
  const written = await store.compareAndSet(stateKey(state.rollout), revision, envelope)
  return written.ok ? { state: chained, envelope } : null
}
