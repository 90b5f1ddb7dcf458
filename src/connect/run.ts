import type { Connected } from "../connect.js"
import { DEADLINE_MS, inTime, lastPairs } from "../controller/deadline.js"
import { createFollower } from "../controller/follower.js"
import type { Follower } from "../controller/follower.js"
import { stateKey } from "../controller/keys.js"
import { openLastKnownGood } from "../controller/last-known-good.js"
import type { LastKnownGood } from "../controller/last-known-good.js"
import { createPublisher } from "../controller/publisher.js"
import type { Publisher } from "../controller/publisher.js"
import { createGuard } from "../guard.js"
import type { Guard } from "../guard.js"
import { describeFuse } from "../guard/fuse.js"
import type { GuardOptions, Mode, ReleaseFor } from "../guard/guard-options.js"
import type { Call } from "../model/call.js"
import { systemClock } from "../model/clock.js"
import { loadedModules } from "../release/module-code.js"
import { phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import { createShelf } from "../shelf.js"
import { keepLoading } from "../shelf/loading.js"
import { storeSink } from "../sources/store-sink.js"
import { DEFAULT_LEASE_MS, isSink } from "./connect-options.js"
import type { ConnectOptions } from "./connect-options.js"
import { publisherId } from "./publisher-id.js"

/** Follow a rollout by options that were checked: what `connect()` promises is promised here. */
export async function runConnected<C extends Call>(
  options: ConnectOptions<C, Mode> & { async?: boolean },
): Promise<Connected<C> | Connected<C, "async">> {
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
