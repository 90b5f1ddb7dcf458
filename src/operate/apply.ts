import { change, readState } from "../controller/verbs.js"
import { isSerinError } from "../errors.js"
import type { RolloutEvent } from "../rollout/event.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import { stopOverBroken } from "./stop-over-broken.js"

/** What a person does to a rollout that has a state. */
export type VerbEvent = Exclude<RolloutEvent, { readonly type: "tick" | "start" | "lead" }>

/** A store as it is written to by people. */
export interface Stores {
  /** Verified and signed, where keys are named. */
  readonly store: StateStore
  /** The same as it is: to find out which revision is to be written over. Default: `store`. */
  readonly raw?: StateStore | undefined
  /** Whether a state key is named: without one, what is written over a signed state stops nobody. */
  readonly signs?: boolean | undefined
}

/** What a verb found, and what it made of it. */
export interface Applied {
  /** Null: the newest revision could not be read. */
  readonly before: RolloutState | null
  readonly after: RolloutState
  /** False: nothing was to be changed; a revision that another writer made in between is not this verb's doing. */
  readonly changed: boolean
  /** The newest revision cannot be read or trusted: the verb was applied to the newest one that can, and written after it. */
  readonly overBroken: boolean
}

/**
 * Apply a verb to the stored state. What stops a canary also stops one whose newest revision is broken. `check` sees the state that the
 * event is about to be applied to, and throws what keeps it from that. Throws `TRANSITION_REFUSED` and what the store throws.
 */
export async function apply(
  { store, raw = store, signs = false }: Stores,
  rollout: string,
  event: VerbEvent,
  now: () => number,
  check: (state: RolloutState) => void = () => {},
): Promise<Applied> {
  let before: RolloutState | null = null
  try {
    before = await readState(store, rollout)
    const { state: after } = await change(store, rollout, (state) => {
      check(state)
      return transition(state, event, now())
    })
    const changed = before?.revision !== after.revision && after.last.event === event.type
    return { before, after, changed, overBroken: false }
  } catch (error) {
    const isBroken =
      isSerinError(error) && (error.code === "STATE_INVALID" || (error.code === "STATE_UNTRUSTED" && signs))
    if (!isStop(event) || !isBroken) throw error
    const after = await stopOverBroken({ store, raw }, rollout, event, now())
    if (after === null) throw error
    return { before: null, after, changed: true, overBroken: true }
  }
}

/** Tell whether an event only holds or takes away. */
export const isStop = (
  event: RolloutEvent,
): event is Extract<RolloutEvent, { readonly type: "kill" | "contain" | "rollback" | "pause" }> =>
  event.type === "kill" || event.type === "contain" || event.type === "rollback" || event.type === "pause"
