import type { Actor, Embedded, RolloutSpec } from "serin"

type Event = Parameters<Embedded["act"]>[0]

const actor: Actor = { kind: "human", id: "bench" }
const reason = "a soak goes through all that may happen"
const by = { actor, reason }

/** What happens to the rollout, again and again: it ends killed, from where the first step begins again. */
const STEPS: readonly ((spec: RolloutSpec, salt: string) => Event)[] = [
  (spec, salt) => ({ type: "retry", spec, salt, ...by }),
  () => ({ type: "promote", ...by }),
  () => ({ type: "pause", ...by }),
  () => ({ type: "resume", ...by }),
  () => ({ type: "promote", ...by }),
  () => ({ type: "promote", to: "end", ...by }),
  () => ({ type: "rollback", ...by }),
  (_, salt) => ({ type: "retry", salt, ...by }),
  () => ({ type: "promote", ...by }),
  () => ({ type: "contain", ...by }),
  (_, salt) => ({ type: "retry", salt, ...by }),
  () => ({ type: "kill", position: "stable", ...by }),
]

export interface Course {
  /** Go through all steps once, evenly over so many ms from a time of `performance.now()` on. */
  round(from: number, ms: number): Promise<void>
  steps(): number
  /** Steps that failed, or were refused after one that did; the last of a round fits wherever the rollout stands. */
  failed(): number
  /** The least share of the sampled calls that had been compared when a step ended. */
  compared(): number
}

/** Have the rollout go through its whole life, again and again. */
export function courseOf(guard: Embedded, spec: RolloutSpec): Course {
  let steps = 0
  let failed = 0
  let compared = 1
  return {
    async round(from, ms) {
      for (const [i, step] of STEPS.entries()) {
        const salt = `salt-${steps}`
        const event: Event = steps === 0 ? { type: "start", spec, salt, ...by } : step(spec, salt)
        await guard.act(event).catch((error: unknown) => {
          failed++
          console.error(`${event.type}: ${error instanceof Error ? error.message : String(error)}`)
        })
        steps++
        const due = from + (ms * (i + 1)) / STEPS.length - performance.now()
        await new Promise((resolve) => setTimeout(resolve, due))
        compared = Math.min(compared, guard.shadow().coverage ?? 1)
      }
    },
    steps: () => steps,
    failed: () => failed,
    compared: () => compared,
  }
}
