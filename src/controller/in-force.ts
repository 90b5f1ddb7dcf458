import { isSerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { isContained } from "../rollout/phase.js"
import { parseState } from "../rollout/state.js"
import type { RolloutState } from "../rollout/state.js"
import { layOver } from "./pending.js"
import type { Pending } from "./pending.js"
import type { Stored } from "./verbs.js"

/** Why the last look at the store did not give a new state. */
export type FollowerProblem =
  | "store_unreachable"
  | "rejected_invalid"
  | "rejected_untrusted"
  | "rejected_other_rollout"
  | "rejected_older_revision"
  | "rejected_same_revision"

export interface ReadProblem {
  readonly code: FollowerProblem
  readonly since: number
  readonly message: string
}

/** The state in force in this process: what the store said, and over it what this process took away and could not write yet. */
export interface InForce {
  state(): RolloutState | null
  /** Revision that the store confirmed last; 0 before the first. */
  revision(): number
  /** Wall clock, ms; null before the first answer of the store. */
  confirmedAt(): number | null
  problem(): ReadProblem | undefined
  /** Oldest first. */
  pending(): readonly Pending[]
  onChange(listener: () => void): () => void
  /** Take what the store answered, if it may follow. `floor` is `revision()` from before the store was asked. */
  read(found: { readonly envelope: string } | null, floor: number): void
  /** The store did not answer, or with nothing that can be trusted. */
  failed(code: FollowerProblem, message: string): void
  /** Take away at once, if the event does, and keep it until the store has it; false when it does not. */
  add(entry: Pending): boolean
  /** Take what this process itself wrote; `entry` is then no longer pending. */
  wrote(entry: Pending, stored: Stored, floor: number): void
  drop(entry: Pending): void
}

export function createInForce(rollout: string, clock: Clock): InForce {
  const listeners = new Set<() => void>()
  let confirmed: Stored | null = null
  let confirmedAt: number | null = null
  let pending: readonly Pending[] = []
  /** The kill switch of a document that was refused; see `refuse`. */
  let refusedKill: Pending | null = null
  let state: RolloutState | null = null
  let problem: ReadProblem | undefined

  const revision = (): number => confirmed?.state.revision ?? 0

  /** What is pending and changes nothing over what the store said is done: the store has it, or something that goes beyond. */
  function recompute(): void {
    if (confirmed === null) return
    let next = confirmed.state
    pending = pending.filter((entry) => {
      const before = next
      next = layOver(before, entry)
      return next !== before
    })
    state = refusedKill === null ? next : obey(next, refusedKill)
    for (const listener of listeners) {
      try {
        listener()
      } catch {
        // Its own fault: it must keep the state neither from other listeners nor from this process.
      }
    }
  }

  function confirm(found: Stored): void {
    const changed = found !== confirmed || refusedKill !== null || pending.length > 0
    confirmed = found
    confirmedAt = clock.now()
    refusedKill = null
    problem = undefined
    if (changed) recompute()
  }

  function fail(code: FollowerProblem, message: string): void {
    problem = { code, since: problem?.code === code ? problem.since : clock.now(), message }
  }

  /**
   * Keep what is in force. Of a document that is refused only a stricter kill switch counts: a kill must always arrive, also
   * from a store that was wiped and begun anew. That opens nothing to whoever replays documents: a replayed kill can only stop.
   */
  function refuse(code: FollowerProblem, message: string, { kill, last, generation, revision }: RolloutState): void {
    if (kill === "off" || state === null) return fail(code, message)
    const reason = `by revision ${revision}, which was refused: ${last.reason}`
    const event = { type: "kill", position: kill, actor: last.actor, reason } as const
    const entry = { event, at: last.at, generation, revision }
    const next = obey(state, entry)
    fail(code, next.kill === kill ? `${message}; its kill switch is obeyed` : message)
    if (next === state) return
    refusedKill = entry
    recompute()
  }

  function read(found: { readonly envelope: string } | null, floor: number): void {
    if (found === null) {
      if (confirmed !== null) return fail("store_unreachable", `the state is gone; keeping revision ${revision()}`)
      confirmedAt = clock.now()
      problem = undefined
      return
    }
    if (confirmed !== null && found.envelope === confirmed.envelope) return confirm(confirmed)
    let next: RolloutState
    try {
      next = parseState(found.envelope)
    } catch (error) {
      return fail("rejected_invalid", isSerinError(error) ? `${error.code}: ${error.message}` : String(error))
    }
    if (next.rollout !== rollout) {
      return fail("rejected_other_rollout", `expected the state of ${rollout}, got that of ${next.rollout}`)
    }
    if (next.revision > revision()) return confirm({ state: next, envelope: found.envelope })
    if (next.revision === revision()) {
      const message = `revision ${next.revision} came with other content; keeping the first`
      return refuse("rejected_same_revision", message, next)
    }
    // The answer was under way while this process wrote: the next look sees more.
    if (next.revision >= floor) return
    // A revision that went back is a replay, a restored backup or a wiped server: never follow it.
    const message = `revision ${next.revision} is older than ${revision()}, which is in force`
    refuse("rejected_older_revision", message, next)
  }

  function drop(entry: Pending): void {
    pending = pending.filter((other) => other !== entry)
    recompute()
  }

  return {
    state: () => state,
    revision,
    confirmedAt: () => confirmedAt,
    problem: () => problem,
    pending: () => pending,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    read,
    failed: fail,
    add(entry) {
      const changes = state !== null && layOver(state, entry) !== state
      if (!changes && !repeats(state, entry)) return false
      pending = [...pending, entry]
      if (changes) recompute()
      return true
    },
    wrote(entry, stored, floor) {
      // What a store took that had gone back is not kept: it stays pending.
      if (stored.state.revision <= floor) return
      pending = pending.filter((other) => other !== entry)
      if (stored.state.revision >= revision()) confirm(stored)
      else recompute()
    },
    drop,
  }
}

/** What is known here may be old: what is in force already may be lifted in the store. */
function repeats(state: RolloutState | null, { event }: Pending): boolean {
  if (event.type === "contain") return state !== null && isContained(state)
  return event.type === "kill" && (state === null || state.kill === event.position)
}

/** Obey a kill that nobody vouches for: it may only make things stricter, and stable alone is less strict than both. */
function obey(state: RolloutState, kill: Pending): RolloutState {
  const next = layOver(state, kill)
  return isContained(state) && next.kill === "stable" ? state : next
}
