import { isSerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import type { ReadProblem } from "../model/follower-problem.js"
import type { RolloutState } from "../rollout/state.js"
import type { ReadStore, StandingKill, Versioned } from "../rollout/store.js"
import { warmUp } from "../rollout/warm-up.js"
import { createCanaryLease } from "./canary-lease.js"
import type { LeaseStatus } from "./canary-lease.js"
import { DEADLINE_MS, inTime } from "./deadline.js"
import { createInForce } from "./in-force.js"
import type { InForce } from "./in-force.js"
import { leaderKey, stateKey } from "./keys.js"
import type { LastKnownGood } from "./last-known-good.js"
import { createListeners } from "../model/listeners.js"
import { createLooks } from "./looks.js"
import type { LookResult } from "./looks.js"

/** How current the state of this process is. */
export interface FollowerStatus {
  /** Wall clock, ms; null before the first answer of the store. */
  readonly confirmedAt: number | null
  readonly problem?: ReadProblem | undefined
  /** Absent where the canary needs no beats, because the leader is in this process. */
  readonly lease?: LeaseStatus | undefined
  /** Absent where nothing is kept. */
  readonly lastKnownGood?: { readonly path: string; readonly problem?: string | undefined } | undefined
}

/** Pulls the rollout state, lets through only what may follow the one in force, and keeps the last good one. */
export interface Follower<S = FollowerStatus> {
  current(): RolloutState | null
  confirmedAt(): number
  /** Whether the canary must not serve here because nobody is known to lead. Cheap: asked on calls. */
  leaseOver(): boolean
  /** What is wrong now. */
  problems(): readonly ReadProblem[]
  /** Told of changes of `current` and `leaseOver`. */
  onChange(listener: () => void): () => void
  /** Told when something begins to be wrong that was not before. */
  onProblem(listener: (problem: ReadProblem) => void): () => void
  status(): S
  /** Look at the store now. Never rejects: what went wrong is in `status()`. */
  poll(): Promise<void>
  /** Stop, and drop what is under way. */
  close(): void
}

export interface FollowerOptions {
  readonly store: ReadStore
  readonly rollout: string
  readonly clock: Clock
  /** Longest time between two looks that are answered, whatever the store's hints say, ms. Default 5,000. */
  readonly pollEveryMs?: number | undefined
  /** Longest wait for one answer of the store, ms. Default 2,000. */
  readonly deadlineMs?: number | undefined
  /** How long the canary serves without a sign that somebody leads, ms. Default: for ever, since the leader is in this process. */
  readonly canaryLeaseMs?: number | undefined
  readonly lastKnownGood?: LastKnownGood | undefined
  /** In [0, 1); spreads what many processes do. Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

/** Follow one rollout. The first read is made before the promise resolves; a store that is down does not reject it. */
export function createFollower(options: FollowerOptions): Promise<Follower> {
  return follow(options, createInForce(options.rollout, options.clock))
}

/** As {@link createFollower}, over a state that its maker lays something over. `looked` is told after looks that nobody waits for. */
export async function follow(options: FollowerOptions, inForce: InForce, looked?: () => void): Promise<Follower> {
  const { store, rollout, clock, lastKnownGood, canaryLeaseMs } = options
  const { pollEveryMs = 5000, deadlineMs = DEADLINE_MS, random = Math.random } = options
  const key = stateKey(rollout)
  const lifetime = new AbortController()
  const { signal: closed } = lifetime
  const changed = createListeners<void>()
  const problems = createListeners<ReadProblem>()

  /** Ask the store, and have `take` make something of the answer. Never rejects. */
  async function ask(
    name: string,
    take: (found: Versioned | null) => void,
    failed: (error: unknown) => void,
  ): Promise<LookResult> {
    try {
      const get = (signal: AbortSignal): Promise<Versioned | null> => store.get(name, { signal })
      const found = await inTime(clock, deadlineMs, get, "STORE_UNAVAILABLE", closed)
      if (!closed.aborted) take(found)
      return "answered"
    } catch (error) {
      if (!closed.aborted) failed(error)
      return resultOf(error)
    }
  }

  function look(): Promise<LookResult> {
    const floor = inForce.revision()
    const read = (found: Versioned | null): void => {
      obeyStanding()
      inForce.read(found, floor)
    }
    const failed = (error: unknown): void => {
      obeyStanding()
      inForce.failed(error)
    }
    return ask(key, read, failed)
  }

  /** Before what is read comes into force, and also while nothing can be read. */
  function obeyStanding(): void {
    if (store.kill === undefined || closed.aborted) return
    let kill: StandingKill | null
    try {
      kill = store.kill()
    } catch {
      return // who cannot tell changes nothing
    }
    inForce.lay(kill)
  }

  /** What stands in no document need not wait for the store. */
  function hint(found?: Versioned): void {
    if (closed.aborted) return
    obeyStanding()
    if (found === undefined || !inForce.bring(found)) looks.hint()
  }

  const looks = createLooks({ look, clock, everyMs: () => pollEveryMs, random, looked })
  const lease =
    canaryLeaseMs === undefined
      ? null
      : createCanaryLease({
          rollout,
          clock,
          leaseMs: canaryLeaseMs,
          pollEveryMs,
          random,
          ask: (take, failed) => ask(leaderKey(rollout), take, failed),
          revision: inForce.revision,
          heard(revision) {
            inForce.heard(revision)
            if (revision > inForce.revision()) void looks.now()
          },
          changed: () => closed.aborted || changed.tell(),
          problem: problems.tell,
        })

  inForce.onProblem(problems.tell)
  inForce.onChange(() => {
    if (closed.aborted) return
    // Before anybody is told: whether the canary may serve is asked for with the state.
    lease?.follow(inForce.state())
    changed.tell()
    // In force first. Who ends in between begins at what was kept before, as one that had not heard of this yet.
    const confirmed = inForce.confirmed()
    if (confirmed !== null) lastKnownGood?.keep(confirmed)
  })

  obeyStanding()
  if (lastKnownGood?.found != null) inForce.begin(lastKnownGood.found)
  // Watch, then read: what is written in between is hinted at.
  store.watch(key, hint, { signal: closed })
  const looking = looks.now()
  // While the store is waited for: the next state to come may be a kill.
  warmUp()
  await looking

  return {
    current: inForce.state,
    confirmedAt: () => inForce.confirmedAt() ?? Number.NEGATIVE_INFINITY,
    leaseOver: () => lease !== null && lease.over(),
    problems: () => [inForce.problem(), lease?.problem()].filter((problem) => problem !== undefined),
    onChange: changed.add,
    onProblem: problems.add,
    status: () => ({
      confirmedAt: inForce.confirmedAt(),
      problem: inForce.problem(),
      lease: lease?.status(),
      lastKnownGood: lastKnownGood && { path: lastKnownGood.path, problem: lastKnownGood.problem() },
    }),
    poll: looks.now,
    close() {
      lifetime.abort()
      looks.close()
      lease?.close()
    },
  }
}

/** What was refused was answered: to ask at once changes nothing. */
function resultOf(error: unknown): LookResult {
  const code: string | undefined = isSerinError(error) ? error.code : undefined
  if (code === "STORE_UNAUTHORIZED") return "unauthorized"
  return code === "STATE_UNTRUSTED" ? "answered" : "failed"
}
