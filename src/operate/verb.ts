import { newSalt } from "../controller/verbs.js"
import { isSerinError } from "../errors.js"
import type { Actor, RolloutState } from "../rollout/state.js"
import { transition } from "../rollout/transition.js"
import type { VerbEvent } from "./apply.js"

/** What can be done to a rollout with nothing but a reason; the rollout's file is not needed. */
export const VERBS = ["kill", "rollback", "pause", "contain", "resume", "approve", "promote", "retry"] as const
export type Verb = (typeof VERBS)[number]

export interface VerbAsked {
  readonly verb: Verb
  readonly actor: Actor
  readonly reason: string
  /** Of a kill. Default `stable`. */
  readonly position?: "stable" | "deny" | undefined
  /** Of a promotion. Default `next`. */
  readonly to?: "next" | "end" | undefined
}

/** Make the event of a verb. A retry is of the spec that the state has. */
export function verbEvent({ verb, actor, reason, position = "stable", to = "next" }: VerbAsked): VerbEvent {
  switch (verb) {
    case "kill":
      return { type: verb, position, actor, reason }
    case "promote":
      return { type: verb, to, actor, reason }
    case "retry":
      return { type: verb, salt: newSalt(), actor, reason }
    default:
      return { type: verb, actor, reason }
  }
}

/** A verb, and why it does not fit where the rollout stands; without a reason, it does. */
export interface Offer {
  readonly verb: Verb
  readonly refused?: string | undefined
}

/** Tell of every verb whether it would do something now: by trying it on the state. */
export function offers(state: RolloutState, now: number): readonly Offer[] {
  const actor = { kind: "human", id: "whoever asks" } as const
  return VERBS.map((verb) => {
    try {
      const event = verbEvent({ verb, actor, reason: "asked", position: state.kill === "stable" ? "deny" : "stable" })
      return transition(state, event, now) === state ? { verb, refused: "there is nothing to change" } : { verb }
    } catch (error) {
      if (!isSerinError(error)) throw error
      return { verb, refused: error.message }
    }
  })
}
