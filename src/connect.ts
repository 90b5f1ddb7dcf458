import type { FollowerStatus } from "./controller/follower.js"
import type { PublisherStatus } from "./controller/publisher.js"
import { checkConnect } from "./connect/connect-options.js"
import type { ConnectOptions } from "./connect/connect-options.js"
import type { Guard } from "./guard.js"
import type { BlownFuse } from "./guard/fuse.js"
import type { Mode } from "./guard/guard-options.js"
import type { ShadowStatus } from "./guard/shadow.js"
import type { Call } from "./model/call.js"
import type { LoadedModules } from "./release/module-code.js"
import type { Phase } from "./rollout/phase.js"
import type { RolloutState } from "./rollout/state.js"

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

/**
 * Follow a rollout on a shared store, and guard by it; it is led by another process. Reads the store, and writes nothing to it; what it counts goes to `evidence`, if that is given.
 * Resolves within 2 s and the time that the bootstrap release takes to load, whether the store answers or not. Rejects with `TypeError` and `RangeError`
 * for options that there are not, and with `RELEASE_NOT_FOUND`, `RELEASE_INVALID`, `RELEASE_UNTRUSTED` or `RELEASE_UNAVAILABLE` for the bootstrap
 * release. A release that the state names and that cannot be loaded rejects nothing: `status()` says why, and it is tried again until it is there.
 */
export function connect<C extends Call = Call>(
  options: ConnectOptions<C, "async"> & { async: true },
): Promise<Connected<C, "async">>
export function connect<C extends Call = Call>(
  options: ConnectOptions<C, "sync"> & { async?: false },
): Promise<Connected<C>>
export async function connect<C extends Call = Call>(
  options: ConnectOptions<C, Mode> & { async?: boolean },
): Promise<Connected<C> | Connected<C, "async">> {
  checkConnect(options)
  // What follows a store and reads its documents is loaded here: an application that imports this may connect to none.
  const { runConnected } = await import("./connect/run.js")
  return runConnected(options)
}
