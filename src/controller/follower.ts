import { isDeepStrictEqual } from "node:util"
import { isSerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { isContained } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import type { RolloutEvent } from "../rollout/transition.js"
import { DEADLINE_MS, withDeadlines } from "./deadline.js"
import { createInForce } from "./in-force.js"
import type { ReadProblem } from "./in-force.js"
import { stateKey } from "./keys.js"
import { layOver } from "./pending.js"
import type { Fence, Pending } from "./pending.js"
import { change, pastStates } from "./verbs.js"

export type { FollowerProblem } from "./in-force.js"

export interface FollowerStatus {
  /** Wall clock, ms; null before the first answer of the store. */
  readonly confirmedAt: number | null
  readonly problem?: ReadProblem | undefined
  /** Decreases that are in force here and not written yet, oldest first; tried again at every poll. */
  readonly pending: readonly {
    readonly event: RolloutEvent["type"]
    readonly since: number
    /** Why the last try failed. */
    readonly message?: string | undefined
  }[]
}

/** Pulls the rollout state, lets through only what may follow the one in force, and keeps the last good one. */
export interface Follower {
  /** The store's last good state, and over it what this process took away and could not write yet. */
  current(): RolloutState | null
  confirmedAt(): number
  onChange(listener: () => void): () => void
  status(): FollowerStatus
  /** Look at the store now, and write what is pending. Never rejects: what went wrong is in `status()`. */
  poll(): Promise<void>
  /** Write what is pending. Never rejects. */
  settle(): Promise<void>
  /**
   * Apply an event to the stored state and answer what became of it. A decrease is in force here before the store is asked;
   * when that fails it stays so, and is written as soon as it can be. Rejects as `act` of the verbs does, and with what `fence` throws.
   */
  act(event: RolloutEvent, fence?: Fence): Promise<RolloutState>
  close(): void
}

export interface FollowerOptions {
  readonly store: StateStore
  readonly rollout: string
  readonly clock: Clock
  /** Reconcile poll, whatever the store's hints say, ms. Default 5,000. */
  readonly pollEveryMs?: number | undefined
  /** Longest wait for one answer of the store, ms. Default 2,000. */
  readonly deadlineMs?: number | undefined
}

/** Follow one rollout. The first read is made before the promise resolves; a store that is down does not reject it. */
export async function createFollower(options: FollowerOptions): Promise<Follower> {
  const { rollout, clock, pollEveryMs = 5000, deadlineMs = DEADLINE_MS } = options
  const store = withDeadlines(options.store, clock, deadlineMs)
  const key = stateKey(rollout)
  const inForce = createInForce(rollout, clock)
  const lifetime = new AbortController()
  const writing = new Set<Pending>()
  const failures = new WeakMap<Pending, string>()
  let looking: Promise<void> | null = null
  let lookAgain = false
  let settling: Promise<void> | null = null
  let cancelPoll = (): void => {}

  async function read(): Promise<void> {
    const floor = inForce.revision()
    try {
      inForce.read(await store.get(key), floor)
    } catch (error) {
      inForce.failed(isUntrusted(error) ? "rejected_untrusted" : "store_unreachable", messageOf(error))
    }
  }

  async function readOn(): Promise<void> {
    do {
      lookAgain = false
      await read()
    } while (lookAgain && !lifetime.signal.aborted)
  }

  /** Read what the store has now or later. */
  function look(): Promise<void> {
    if (looking === null) looking = readOn().finally(() => (looking = null))
    else lookAgain = true
    return looking
  }

  async function write(entry: Pending, step: (state: RolloutState) => RolloutState): Promise<RolloutState> {
    const floor = inForce.revision()
    writing.add(entry)
    try {
      const stored = await change(store, rollout, (state) => {
        entry.fence?.(state)
        return step(state)
      })
      if (stored.written) inForce.wrote(entry, stored, floor)
      else inForce.read(stored, floor)
      return stored.state
    } catch (error) {
      failures.set(entry, messageOf(error))
      throw error
    } finally {
      writing.delete(entry)
    }
  }

  async function act(event: RolloutEvent, fence?: Fence): Promise<RolloutState> {
    const at = clock.now()
    const generation = inForce.state()?.generation ?? 0
    const entry: Pending = { event, at, generation, revision: inForce.revision(), fence }
    // Whether it fits is for the stored state to say: the one that is known here may be old.
    const early = inForce.add(entry)
    try {
      return await write(entry, (state) => transition(state, event, early ? at : clock.now()))
    } catch (error) {
      // The state that refused it takes the place of the one that it was laid over.
      if (isSerinError(error) && error.code === "TRANSITION_REFUSED") await look()
      throw error
    }
  }

  async function writePending(): Promise<void> {
    for (const entry of inForce.pending()) {
      if (writing.has(entry)) continue
      try {
        if (await wasWritten(entry)) await forget(entry)
        else await write(entry, (state) => layOver(state, entry))
      } catch (error) {
        failures.set(entry, messageOf(error))
        // Who may not write a judgement may write a human's kill.
        if (!isSerinError(error) || error.code !== "NOT_LEADING") return
      }
    }
  }

  /** Whether an earlier try got through and only its answer was lost: what a human has lifted since must not come back. */
  async function wasWritten({ event, at, revision }: Pending): Promise<boolean> {
    if (event.type !== "kill" && event.type !== "contain") return false
    for await (const past of pastStates(store, rollout)) {
      if (past.revision <= revision) return false
      const isIts = event.type === "kill" ? past.kill === event.position : isContained(past)
      if (isIts && isDeepStrictEqual(past.last, transition({ ...past, kill: "off", ended: null }, event, at).last)) {
        return true
      }
    }
    return false
  }

  /** Not before the revision that has it is in force. */
  async function forget(entry: Pending): Promise<void> {
    await look()
    if (inForce.problem() === undefined) inForce.drop(entry)
  }

  function settle(): Promise<void> {
    settling ??= writePending().finally(() => (settling = null))
    return settling
  }

  async function poll(): Promise<void> {
    await look()
    await settle()
  }

  function reconcile(): void {
    if (lifetime.signal.aborted) return
    void poll()
    cancelPoll = clock.schedule(reconcile, pollEveryMs)
  }

  // Watch, then read: what is written in between is hinted at.
  store.watch(key, () => void poll(), { signal: lifetime.signal })
  await look()
  cancelPoll = clock.schedule(reconcile, pollEveryMs)

  return {
    current: inForce.state,
    confirmedAt: () => inForce.confirmedAt() ?? Number.NEGATIVE_INFINITY,
    onChange: (listener) => inForce.onChange(() => void (lifetime.signal.aborted || listener())),
    status: () => ({
      confirmedAt: inForce.confirmedAt(),
      problem: inForce.problem(),
      pending: inForce.pending().map((entry) => {
        return { event: entry.event.type, since: entry.at, message: failures.get(entry) }
      }),
    }),
    poll,
    settle,
    act,
    close() {
      lifetime.abort()
      cancelPoll()
    },
  }
}

const isUntrusted = (error: unknown): boolean => isSerinError(error) && error.code === "STATE_UNTRUSTED"

function messageOf(error: unknown): string {
  if (isSerinError(error)) return `${error.code}: ${error.message}`
  return error instanceof Error ? error.message : String(error)
}
