import { DEADLINE_MS, inTime, lastPairs } from "./controller/deadline.js"
import { createPublisher } from "./controller/publisher.js"
import type { Publisher, PublisherStatus } from "./controller/publisher.js"
import { stateKey } from "./controller/keys.js"
import { createFollower } from "./controller/follower.js"
import type { Follower, FollowerStatus } from "./controller/follower.js"
import { openLastKnownGood } from "./controller/last-known-good.js"
import type { LastKnownGood } from "./controller/last-known-good.js"
import { checkConnect, DEFAULT_LEASE_MS, isSink } from "./connect/connect-options.js"
import type { ConnectOptions } from "./connect/connect-options.js"
import { publisherId } from "./connect/publisher-id.js"
import { createGuard } from "./guard.js"
import type { Guard } from "./guard.js"
import { describeFuse } from "./guard/fuse.js"
import type { BlownFuse } from "./guard/fuse.js"
import type { GuardOptions, Mode, ReleaseFor } from "./guard/guard-options.js"
import type { ShadowStatus } from "./guard/shadow.js"
import type { Call } from "./model/call.js"
import { systemClock } from "./model/clock.js"
import { loadedModules } from "./release/module-code.js"
import type { LoadedModules } from "./release/module-code.js"
import { phaseOf } from "./rollout/phase.js"
import type { Phase } from "./rollout/phase.js"
import type { RolloutState } from "./rollout/state.js"
import { keepLoading } from "./shelf/loading.js"
import { createShelf } from "./shelf.js"
import { storeSink } from "./sources/store-sink.js"

export type { ConnectOptions } from "./connect/connect-options.js"
export type { PublisherStatus } from "./controller/publisher.js"

/** Where a rollout stands, as this process knows it. */
export interface ConnectedStatus {
  /** Null: no state was ever seen, and the bootstrap release serves. */
  readonly state: RolloutState | null
  readonly phase: Phase | null
  readonly follower: FollowerStatus
  /** Why this process keeps every session on stable, whatever the state says; null while its fuse is whole. */
  readonly fuse: BlownFuse | null
  /** How far the other arm's judgement has come in this process, and what it takes. */
  readonly shadow: ShadowStatus
  /** How far what was counted here has come to the controller; null without `evidence`. */
  readonly publisher: PublisherStatus | null
  /** Releases that could not be loaded, by version, with the reason. */
  readonly unavailable: ReadonlyMap<string, string>
  /** Modules of releases that this process has imported, by whichever guard, and how many it may: none is ever unloaded. */
  readonly modules: LoadedModules
}

/** A guard that follows a rollout which is led elsewhere. */
export interface Connected<C extends Call = Call, M extends Mode = "sync"> extends Omit<Guard<C, M>, "close"> {
  status(): ConnectedStatus
  /**
   * Stop following and leave no handle, within 2 s (and 2 s more for a decision log whose sink is slow). Calls that wait for the other arm are
   * judged and counted first, for a second at the most, and what was counted is published. Calls are still answered: by what was in force,
   * and by the canary no longer than its lease.
   */
  close(): Promise<void>
}

export function connect<C extends Call = Call>(
  options: ConnectOptions<C, "async"> & { async: true },
): Promise<Connected<C, "async">>
export function connect<C extends Call = Call>(
  options: ConnectOptions<C, "sync"> & { async?: false },
): Promise<Connected<C>>
/**
 * Follow a rollout on a shared store, and guard by it; it is led by another process. Reads the store, and writes nothing to it; what it counts goes to `evidence`, if that is given.
 * Resolves within 2 s and the time that the bootstrap release takes to load, whether the store answers or not. Rejects with `TypeError` and `RangeError`
 * for options that there are not, and with `RELEASE_NOT_FOUND`, `RELEASE_INVALID`, `RELEASE_UNTRUSTED` or `RELEASE_UNAVAILABLE` for the bootstrap
 * release. A release that the state names and that cannot be loaded rejects nothing: `status()` says why, and it is tried again until it is there.
 */
export async function connect<C extends Call = Call>(
  options: ConnectOptions<C, Mode> & { async?: boolean },
): Promise<Connected<C> | Connected<C, "async">> {
  checkConnect(options)
  const { releases: from, trustedKeys, modules, moduleTimeoutMs, sdks, ...others } = options
  const {
    store,
    lastKnownGood,
    evidence,
    publisher: name,
    pollEveryMs = 5000,
    canaryLeaseMs = DEFAULT_LEASE_MS,
    ...forGuard
  } = others
  const { rollout, bootstrap, clock = systemClock } = options
  const shelf = await createShelf<C>(from, { trustedKeys, modules, moduleTimeoutMs, sdks })
  const required = shelf.require(bootstrap)
  // Waited for below; it may fail before.
  required.catch(() => {})

  // Attack: a state that nobody signed, put where an earlier life of this process kept one.
  const unseal = store.unseal && ((sealed: string): string => store.unseal!(stateKey(rollout), sealed))
  const kept = lastKnownGood === false ? undefined : await openLastKnownGood(lastKnownGood, rollout, clock, unseal)
  const begunAt = clock.monotonic()
  /** Before anything that a state names is loaded. Bootstrap ships with the application, whatever a state means by its version. */
  const pin = (state: RolloutState | null | undefined): void => {
    if (state && state.stable !== bootstrap && state.canary !== bootstrap) shelf.pin(state)
  }
  pin(kept?.found?.state)
  // Loaded while the store is asked: it may not answer.
  void shelf.fetch([kept?.found?.state.stable ?? null])
  const follower = await createFollower({
    store,
    rollout,
    clock,
    pollEveryMs,
    canaryLeaseMs,
    lastKnownGood: kept,
  })
  let guard: Guard<C>
  try {
    await required
    // Stable of the state rather than bootstrap from the first call on, if that can be had in time.
    const leftMs = begunAt + DEADLINE_MS - clock.monotonic()
    pin(follower.current())
    const stable = follower.current()?.stable ?? null
    if (leftMs > 0 && !shelf.has(stable)) await inTime(clock, leftMs, () => shelf.fetch([stable])).catch(() => {})
    // The overloads keep mode and releases together; here they are one.
    guard = createGuard<C>({
      ...(forGuard as GuardOptions<C, "sync">),
      async: (options.async ?? false) as false,
      clock,
      state: follower,
      releases: from === undefined ? undefined : (shelf.releases as ReadonlyMap<string, ReleaseFor<C, "sync">>),
    })
  } catch (error) {
    await leave(follower, kept)
    throw error
  }
  const loading = keepLoading({
    shelf,
    guard,
    state: follower.current,
    awaited: [bootstrap],
    clock,
    everyMs: pollEveryMs,
  })
  const unsubscribe = follower.onChange(loading.look)
  loading.look()
  const publisher = startPublisher()
  let closing: Promise<void> | undefined

  return {
    ...guard,
    status: () => {
      const state = follower.current()
      return {
        state,
        phase: state && phaseOf(state),
        follower: follower.status(),
        fuse: guard.fuse(),
        shadow: guard.shadow(),
        publisher: publisher && publisher.status(),
        unavailable: shelf.problems,
        modules: loadedModules(),
      }
    },
    close: () => (closing ??= close()),
  }

  function startPublisher(): Publisher | null {
    if (evidence === undefined) return null
    return createPublisher({
      rollout,
      publisher: publisherId(name),
      sink: isSink(evidence) ? evidence : storeSink(evidence),
      clock,
      evidence: () => guard.evidence(),
      diffs: () => guard.diffs(),
      fuse: () => {
        const blown = guard.fuse()
        return blown && describeFuse(blown)
      },
      ready: () => shelf.has(follower.current()?.canary ?? null),
    })
  }

  async function close(): Promise<void> {
    unsubscribe()
    loading.stop()
    const published = inTime(clock, DEADLINE_MS, async () => {
      await lastPairs(clock, guard)
      await publisher?.close()
    }).catch(() => {})
    await leave(follower, kept)
    await published
    await guard.close()
  }

  /** Stop following; what is to be kept is kept. */
  async function leave(left: Follower, good: LastKnownGood | undefined): Promise<void> {
    left.close()
    if (good !== undefined) await inTime(clock, DEADLINE_MS, () => good.settle()).catch(() => {})
  }
}
