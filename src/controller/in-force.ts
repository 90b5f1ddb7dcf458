import { isSerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import type { FollowerProblem, ReadProblem } from "../model/follower-problem.js"
import { isContained } from "../rollout/phase.js"
import { parseState } from "../rollout/state.js"
import type { RolloutState } from "../rollout/state.js"
import type { StandingKill } from "../rollout/store.js"
import { createListeners } from "../model/listeners.js"
import { messageOf } from "./message.js"
import { layOver } from "./pending.js"
import type { Pending } from "./pending.js"
import type { Stored } from "./verbs.js"

/** A text as the store gave it, and under which number; absent where that was looked at already. */
interface Found extends Pick<Stored, "envelope" | "sealed"> {
  readonly revision?: number | undefined
}

/** The state in force in this process: what the store said, and over it what this process took away and could not write yet. */
export interface InForce {
  state(): RolloutState | null
  /** Revision that the store confirmed last; 0 before the first. */
  revision(): number
  /** Wall clock, ms; null before the first answer of the store. */
  confirmedAt(): number | null
  problem(): ReadProblem | undefined
  /** What the store said last, without what lies over it. */
  confirmed(): Stored | null
  /** Oldest first. */
  pending(): readonly Pending[]
  onChange(listener: () => void): () => void
  /** Told when something begins to be wrong that was not before. */
  onProblem(listener: (problem: ReadProblem) => void): () => void
  /** Take what the store answered, if it may follow. `floor` is `revision()` from before the store was asked. */
  read(found: Found | null, floor: number): void
  /** Take what came without being asked for, if it is good and newer; false: it is not, and says nothing but that the store be asked. */
  bring(found: Found): boolean
  /** The store gave nothing that could be read. */
  failed(error: unknown): void
  /** Obey a kill that stands in no document, until it is taken away (null). The same object is the same kill. */
  lay(kill: StandingKill | null): void
  /** Begin with what was kept from an earlier life of this process, before the store is asked: it is the floor. */
  begin(kept: Stored): void
  /** The leader has this revision in force. */
  heard(revision: number): void
  /** Take away at once, if the event does, and keep it until the store has it; false when it does not. */
  add(entry: Pending): boolean
  /** Take what this process itself wrote; `entry` is then no longer pending. */
  wrote(entry: Pending, stored: Stored, floor: number): void
  drop(entry: Pending): void
}

export function createInForce(rollout: string, clock: Clock): InForce {
  const changed = createListeners<void>()
  const problems = createListeners<ReadProblem>()
  let confirmed: Stored | null = null
  let confirmedAt: number | null = null
  let pending: readonly Pending[] = []
  /** The kill switch of a document that was refused; see `refuse`. */
  let refusedKill: Pending | null = null
  let standing: StandingKill | null = null
  /** Without the kill that stands: what remains when it is taken away. */
  let under: RolloutState | null = null
  let state: RolloutState | null = null
  let problem: ReadProblem | undefined
  /** Newest revision that the leader is known to have. */
  let leaders = 0

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
    under = refusedKill === null ? next : obey(next, refusedKill)
    state = standing === null ? under : obey(under, pendingOf(standing, under))
    changed.tell()
  }

  function confirm(found: Stored): void {
    const changes = found !== confirmed || refusedKill !== null || pending.length > 0
    confirmed = found
    confirmedAt = clock.now()
    refusedKill = null
    if (leaders <= found.state.revision) problem = undefined
    else fail("stale", `the store gives revision ${found.state.revision}, and the leader has ${leaders} in force`)
    if (changes) recompute()
  }

  function fail(code: FollowerProblem, message: string): void {
    const isNew = problem?.code !== code
    problem = { code, since: isNew ? clock.now() : problem!.since, message }
    if (isNew) problems.tell(problem)
  }

  function failed(error: unknown): void {
    const message = messageOf(error)
    if (isSerinError(error) && error.code === "STATE_UNTRUSTED") return fail("rejected_untrusted", message)
    if (confirmedAt !== null || confirmed === null) return fail("store_unreachable", message)
    const { revision, last } = confirmed.state
    const kept = `revision ${revision} of ${new Date(last.at).toISOString()} is in force, which was kept from before`
    fail("stale", `${kept}; the store has not answered since the start: ${message}`)
  }

  /**
   * Keep what is in force. Of a document that is refused only a stricter kill switch counts: a kill must always arrive, also
   * from a store that was wiped and begun anew. That opens nothing to whoever replays documents: a replayed kill can only stop.
   */
  function refuse(code: FollowerProblem, message: string, { kill, last, generation, revision }: RolloutState): void {
    if (kill === "off" || under === null) return fail(code, message)
    const reason = `by revision ${revision}, which was refused: ${last.reason}`
    const event = { type: "kill", position: kill, actor: last.actor, reason } as const
    const entry = { event, at: last.at, generation, revision }
    const next = obey(under, entry)
    fail(code, next.kill === kill ? `${message}; its kill switch is obeyed` : message)
    if (next === under) return
    refusedKill = entry
    recompute()
  }

  function read(found: Found | null, floor: number): void {
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
      return fail("rejected_invalid", messageOf(error))
    }
    if (next.rollout !== rollout) {
      return fail("rejected_other_rollout", `expected the state of ${rollout}, got that of ${next.rollout}`)
    }
    if (next.revision > revision()) {
      if (isInPlace(found, next)) return confirm({ state: next, envelope: found.envelope, sealed: found.sealed })
      const message = `revision ${found.revision} of the store has revision ${next.revision} of the state: another was put in its place`
      return refuse("rejected_invalid", message, next)
    }
    if (next.revision === revision()) {
      const message = `revision ${next.revision} came with other content; keeping the first`
      return refuse("rejected_same_revision", message, next)
    }
    // The answer was under way while this process wrote: the next look sees more.
    if (next.revision >= floor) return
    // A revision that went back is a replay, a restored backup or a wiped server: never follow it.
    const message = `revision ${next.revision} is older than ${revision()}, which is in force; if the store was begun anew on purpose, ${WAY_OUT}`
    refuse("rejected_older_revision", message, next)
  }

  function bring(found: Found): boolean {
    const { envelope, sealed } = found
    let next: RolloutState
    try {
      next = parseState(envelope)
    } catch {
      return false
    }
    if (next.rollout !== rollout || next.revision <= revision() || !isInPlace(found, next)) return false
    confirm({ state: next, envelope, sealed })
    return true
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
    confirmed: () => confirmed,
    onChange: changed.add,
    onProblem: problems.add,
    read,
    bring,
    failed,
    lay(kill) {
      if (kill === standing) return
      standing = kill
      recompute()
    },
    begin(kept) {
      confirmed = kept
      recompute()
    },
    heard: (revision) => void (leaders = revision),
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

/**
 * Attack: a number that is far ahead of the store's own. Who took it would refuse whatever the store says from then on, as older.
 */
const isInPlace = (found: Found, { revision }: RolloutState): boolean => (found.revision ?? revision) === revision

const WAY_OUT = "restart the processes without their last known good, or give the rollout a new name"

/** What is known here may be old: what is in force already may be lifted in the store. */
function repeats(state: RolloutState | null, { event }: Pending): boolean {
  if (event.type === "contain") return state !== null && isContained(state)
  return event.type === "kill" && (state === null || state.kill === event.position)
}

function pendingOf({ position, reason, since }: StandingKill, { generation, revision }: RolloutState): Pending {
  const actor = { kind: "human", id: "a standing kill" } as const
  return { event: { type: "kill", position, actor, reason }, at: since, generation, revision }
}

/** Obey a kill that nobody vouches for: it may only make things stricter, and stable alone is less strict than both. */
function obey(state: RolloutState, kill: Pending): RolloutState {
  const next = layOver(state, kill)
  return isContained(state) && next.kill === "stable" ? state : next
}
