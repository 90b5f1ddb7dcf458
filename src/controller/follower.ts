import { SerinError, isSerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { parseState } from "../rollout/state.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore, Versioned } from "../rollout/store.js"
import { stateKey } from "./keys.js"

/** Why the last look at the store did not give a new state. */
export type FollowerProblem =
  | "store_unreachable"
  | "rejected_invalid"
  | "rejected_other_rollout"
  | "rejected_older_revision"
  | "rejected_same_revision"

export interface FollowerStatus {
  /** Wall clock, ms; null before the first answer of the store. */
  readonly confirmedAt: number | null
  readonly problem?: { readonly code: FollowerProblem; readonly since: number; readonly message: string } | undefined
}

/** Pulls the rollout state, lets through only what may follow the one in force, and keeps the last good one. */
export interface Follower {
  current(): RolloutState | null
  confirmedAt(): number
  onChange(listener: () => void): () => void
  status(): FollowerStatus
  /** Look at the store now. Never rejects: what went wrong is in `status()`. */
  poll(): Promise<void>
  /** Take a state that this process itself made, without a round trip. Ignored unless its revision is newer. */
  adopt(state: RolloutState): void
  close(): void
}

export interface FollowerOptions {
  readonly store: StateStore
  readonly rollout: string
  readonly clock: Clock
  /** Reconcile poll, whatever the store's hints say, ms. Default 5,000. */
  readonly pollEveryMs?: number | undefined
  /** Longest wait for one read, ms. Default 2,000. */
  readonly deadlineMs?: number | undefined
}

/** Follow one rollout. The first read is made before the promise resolves; a store that is down does not reject it. */
export async function createFollower(options: FollowerOptions): Promise<Follower> {
  const { store, rollout, clock, pollEveryMs = 5000, deadlineMs = 2000 } = options
  const key = stateKey(rollout)
  const listeners = new Set<() => void>()
  const lifetime = new AbortController()
  let state: RolloutState | null = null
  let envelope: string | null = null
  let confirmedAt: number | null = null
  let problem: FollowerStatus["problem"]
  let running: Promise<void> | null = null
  let again = false
  let cancelPoll = (): void => {}

  function fail(code: FollowerProblem, message: string): void {
    problem = { code, since: problem?.code === code ? problem.since : clock.now(), message }
  }

  function apply(next: RolloutState): void {
    state = next
    for (const listener of listeners) listener()
  }

  function consider(found: Versioned | null): void {
    if (found === null) {
      if (state !== null)
        return fail("store_unreachable", `${key} is gone from the store; keeping revision ${state.revision}`)
      confirmedAt = clock.now()
      problem = undefined
      return
    }
    let next: RolloutState
    try {
      next = parseState(found.envelope)
    } catch (error) {
      return fail("rejected_invalid", messageOf(error))
    }
    if (next.rollout !== rollout) {
      return fail("rejected_other_rollout", `expected the state of ${rollout}, got that of ${next.rollout}`)
    }
    // A revision that went back is a replay, a restored backup or a wiped server: never follow it.
    if (state !== null && next.revision < state.revision) {
      return fail(
        "rejected_older_revision",
        `revision ${next.revision} is older than ${state.revision}, which is in force`,
      )
    }
    if (state !== null && next.revision === state.revision) {
      if (envelope !== null && found.envelope !== envelope) {
        return fail("rejected_same_revision", `revision ${next.revision} came with other content; keeping the first`)
      }
      envelope = found.envelope
    } else {
      envelope = found.envelope
      apply(next)
    }
    confirmedAt = clock.now()
    problem = undefined
  }

  async function read(): Promise<void> {
    const deadline = new AbortController()
    let cancel = (): void => {}
    try {
      const late = new Promise<never>((_, reject) => {
        cancel = clock.schedule(() => {
          deadline.abort()
          reject(new SerinError("STORE_UNAVAILABLE", `no answer within ${deadlineMs} ms`))
        }, deadlineMs)
      })
      consider(await Promise.race([store.get(key, { signal: deadline.signal }), late]))
    } catch (error) {
      fail("store_unreachable", messageOf(error))
    } finally {
      cancel()
    }
  }

  async function run(): Promise<void> {
    do {
      again = false
      await read()
    } while (again && !lifetime.signal.aborted)
  }

  function poll(): Promise<void> {
    if (running !== null) {
      again = true
      return running
    }
    running = run().finally(() => (running = null))
    return running
  }

  function reconcile(): void {
    if (lifetime.signal.aborted) return
    void poll()
    cancelPoll = clock.schedule(reconcile, pollEveryMs)
  }

  await poll()
  store.watch(key, () => void poll(), { signal: lifetime.signal })
  cancelPoll = clock.schedule(reconcile, pollEveryMs)

  return {
    current: () => state,
    confirmedAt: () => confirmedAt ?? Number.NEGATIVE_INFINITY,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    status: () => ({ confirmedAt, problem }),
    poll,
    adopt(next) {
      if (state !== null && next.revision <= state.revision) return
      envelope = null
      apply(next)
    },
    close() {
      lifetime.abort()
      cancelPoll()
      listeners.clear()
    },
  }
}

function messageOf(error: unknown): string {
  if (isSerinError(error)) return `${error.code}: ${error.message}`
  return error instanceof Error ? error.message : String(error)
}
