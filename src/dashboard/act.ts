import { apply, isStop } from "../operate/apply.js"
import { phaseWords } from "../operate/next-step.js"
import { VERBS, verbEvent, type Verb } from "../operate/verb.js"
import { phaseOf } from "../rollout/phase.js"
import type { Actor, RolloutState } from "../rollout/state.js"
import { invalid, json, readOnly, Refusal } from "./answer.js"
import type { Asked, Context, Route } from "./route.js"

/** Longest reason, characters. */
export const MAX_REASON = 500

/** Do a verb: `{ verb, reason, revision, generation, position?, to? }`. */
export function actRoute({ stores, clock }: Context): Route {
  return {
    method: "POST",
    path: "act",
    access: "act",
    async answer({ rollout, actor, body }) {
      if (stores === null) throw readOnly()
      const { event, seen } = eventIn(body, actor)
      const { after, changed, overBroken } = await apply(
        stores,
        rollout,
        event,
        () => clock.now(),
        (state) => requireSeen(state, seen, isStop(event) && !(event.type === "kill" && state.kill === "deny")),
      )
      const { revision } = after
      return json({ changed, rollout, revision, phase: phaseOf(after), words: phaseWords(phaseOf(after)), overBroken })
    },
  }
}

interface Seen {
  readonly revision: number
  readonly generation: number
}

/**
 * Refuse what was meant for another state. What takes away is not refused because the rollout moved on in between: it is meant for the
 * canary, wherever that is, and for no other.
 */
function requireSeen(state: RolloutState, seen: Seen, takesAway: boolean): void {
  const { revision, generation } = state
  if (takesAway ? generation === seen.generation : revision === seen.revision) return
  const message = `nothing was done: you saw revision ${seen.revision}, and it is ${phaseWords(phaseOf(state))} at revision ${revision} now (${state.last.event} by ${state.last.actor.id}); look again`
  throw new Refusal(409, "CHANGED", message, { revision, generation })
}

function eventIn(body: Asked["body"], actor: Actor | null) {
  const { verb, reason, position, to, revision, generation } = body
  if (!isOneOf(VERBS, verb)) throw invalid(`verb must be one of ${VERBS.join(", ")}`)
  if (typeof reason !== "string" || reason.trim() === "")
    throw invalid("reason must say why: it is kept in the history")
  if (reason.length > MAX_REASON) throw invalid(`reason may have ${MAX_REASON} characters`)
  if (position !== undefined && !isOneOf(["stable", "deny"] as const, position))
    throw invalid("position must be stable or deny")
  if (to !== undefined && !isOneOf(["next", "end"] as const, to)) throw invalid("to must be next or end")
  if (!isWhole(revision) || !isWhole(generation)) throw invalid("revision and generation must be those that were seen")
  if (actor === null) throw new Refusal(403, "FORBIDDEN", "whoever acts must have a name")
  const event = verbEvent({ verb: verb satisfies Verb, reason: reason.trim(), actor, position, to })
  return { event, seen: { revision, generation } }
}

const isOneOf = <T extends string>(list: readonly T[], value: unknown): value is T =>
  (list as readonly unknown[]).includes(value)

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
