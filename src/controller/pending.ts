import { isSerinError } from "../errors.js"
import { isDecrease } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import { transition } from "../rollout/transition.js"
import type { RolloutEvent } from "../rollout/transition.js"

/** Throws when the stored state may not be written over; asked right before each try. */
export type Fence = (stored: RolloutState) => void

/** A decrease of exposure that a process acts on before the store has it. */
export interface Pending {
  readonly event: RolloutEvent
  /** When it was decided, ms since the epoch; what its revision will say as well. */
  readonly at: number
  /** Of the state that it was decided on. */
  readonly generation: number
  /** Of the state that the store had then. */
  readonly revision: number
  readonly fence?: Fence | undefined
  /** Names the recorded verdict that decided it; asked when it is written. */
  readonly record?: RecordName | undefined
}

/** `sha256:…` of a recorded verdict; undefined: none is kept. */
export type RecordName = () => string | undefined

/** Lay a decrease over a state. The state itself comes back where it is refused, changes nothing or takes nothing away. */
export function layOver(state: RolloutState, { event, at, generation }: Pending): RolloutState {
  // A rollback, a containment and a judgement are about one generation. A kill is about the rollout: it also stops what was started since.
  if (event.type !== "kill" && generation !== state.generation) return state
  try {
    const next = transition(state, event, at)
    return isDecrease(state, next) ? next : state
  } catch (error) {
    if (isSerinError(error) && error.code === "TRANSITION_REFUSED") return state
    throw error
  }
}
