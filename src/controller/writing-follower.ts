import { isDeepStrictEqual } from "node:util"
import { isSerinError } from "../errors.js"
import { isContained } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import type { RolloutEvent } from "../rollout/transition.js"
import { DEADLINE_MS, withDeadlines } from "./deadline.js"
import { follow } from "./follower.js"
import type { Follower, FollowerOptions, FollowerStatus } from "./follower.js"
import { createInForce } from "./in-force.js"
import { messageOf } from "./message.js"
import { layOver } from "./pending.js"
import type { Fence, Pending, RecordName } from "./pending.js"
import { change, pastStates } from "./verbs.js"

/** The same of a process that may write. */
export interface WritingFollowerStatus extends FollowerStatus {
  /** Decreases that are in force here and not written yet, oldest first; tried again at every poll. */
  readonly pending: readonly {
    readonly event: RolloutEvent["type"]
    readonly since: number
    /** Why the last try failed. */
    readonly message?: string | undefined
  }[]
}

/** A follower that may write as well. In force is the store's last good state, and over it what was taken away here and is not written yet. */
export interface WritingFollower extends Follower<WritingFollowerStatus> {
  /** Look at the store now, and write what is pending. Never rejects. */
  poll(): Promise<void>
  /** Write what is pending. Never rejects. */
  settle(): Promise<void>
  /**
   * Apply an event to the stored state and answer what became of it. A decrease is in force here before the store is asked;
   * when that fails it stays so, and is written as soon as it can be. Rejects as `act` of the verbs does, and with what `fence` throws.
   * `record` names the recorded verdict behind it.
   */
  act(event: RolloutEvent, fence?: Fence, record?: RecordName): Promise<RolloutState>
}

export interface WritingFollowerOptions extends FollowerOptions {
  readonly store: StateStore
}

/** Follow one rollout and act on it. As with a follower that only reads, a store that is down does not reject it. */
export async function createWritingFollower(options: WritingFollowerOptions): Promise<WritingFollower> {
  const { rollout, clock, deadlineMs = DEADLINE_MS } = options
  const store = withDeadlines(options.store, clock, deadlineMs)
  const inForce = createInForce(rollout, clock)
  const writing = new Set<Pending>()
  const failures = new WeakMap<Pending, string>()
  let settling: Promise<void> | null = null
  const follower = await follow(options, inForce, () => void settle())

  async function write(entry: Pending, step: (state: RolloutState) => RolloutState): Promise<RolloutState> {
    const floor = inForce.revision()
    writing.add(entry)
    try {
      const fenced = (state: RolloutState): RolloutState => {
        entry.fence?.(state)
        return step(state)
      }
      const stored = await change(store, rollout, fenced, entry.record)
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

  async function act(event: RolloutEvent, fence?: Fence, record?: RecordName): Promise<RolloutState> {
    const at = clock.now()
    const generation = inForce.state()?.generation ?? 0
    const entry: Pending = { event, at, generation, revision: inForce.revision(), fence, record }
    // Whether it fits is for the stored state to say: the one that is known here may be old.
    const early = inForce.add(entry)
    try {
      return await write(entry, (state) => transition(state, event, early ? at : clock.now()))
    } catch (error) {
      // The state that refused it takes the place of the one that it was laid over.
      if (isSerinError(error) && error.code === "TRANSITION_REFUSED") await follower.poll()
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
      if (!isIts) continue
      const its = transition({ ...past, kill: "off", ended: null }, event, at)
      if (isDeepStrictEqual(saidBy(past), saidBy(its))) return true
    }
    return false
  }

  /** Not before the revision that has it is in force. */
  async function forget(entry: Pending): Promise<void> {
    await follower.poll()
    if (inForce.problem() === undefined) inForce.drop(entry)
  }

  function settle(): Promise<void> {
    settling ??= writePending().finally(() => (settling = null))
    return settling
  }

  return {
    ...follower,
    status: () => ({
      ...follower.status(),
      pending: inForce.pending().map((entry) => {
        return { event: entry.event.type, since: entry.at, message: failures.get(entry) }
      }),
    }),
    async poll() {
      await follower.poll()
      await settle()
    },
    settle,
    act,
  }
}

/** What a human's revision says, without what it is chained to. */
const saidBy = ({ last: { event, at, actor, reason } }: RolloutState) => ({ event, at, actor, reason })
