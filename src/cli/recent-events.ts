import { stateKey } from "../controller/keys.js"
import { isSerinError } from "../errors.js"
import { parseState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import type { Event } from "./watch-frame.js"

const SHOWN = 6

/** What happened last, newest first; the store is asked again when there is a new revision. A store that does not say shows none. */
export function recentEvents(store: StateStore, rollout: string): (revision: number) => Promise<readonly Event[]> {
  let known: readonly Event[] = []
  let of = 0
  return async (revision) => {
    if (revision === of) return known
    const found: Event[] = []
    try {
      for await (const { revision, envelope } of store.history(stateKey(rollout))) {
        found.push({ revision, transition: parseState(envelope).last })
        if (found.length === SHOWN) break
      }
    } catch (error) {
      if (!isSerinError(error)) throw error
    }
    of = revision
    known = found
    return known
  }
}
