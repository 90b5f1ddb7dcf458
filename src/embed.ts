import { readFile } from "node:fs/promises"
import { hostname } from "node:os"
import { dirname, join } from "node:path"
import { createFollower } from "./controller/follower.js"
import type { FollowerStatus } from "./controller/follower.js"
import { createLeader } from "./controller/leader.js"
import type { Report } from "./controller/report.js"
import { act, ensureState, newSalt } from "./controller/verbs.js"
import { isSerinError, SerinError } from "./errors.js"
import { createGuard } from "./guard.js"
import type { Guard, GuardOptions, Mode, ReleaseFor } from "./guard.js"
import type { Call } from "./model/call.js"
import { systemClock } from "./model/clock.js"
import type { Evaluation, ReleaseSource, ScanReport } from "./release/ports.js"
import { phaseOf, servesCanary } from "./rollout/phase.js"
import type { Phase } from "./rollout/phase.js"
import { parseSpec } from "./rollout/spec.js"
import type { RolloutSpec } from "./rollout/spec.js"
import type { Actor, RolloutState } from "./rollout/state.js"
import type { StateStore } from "./rollout/store.js"
import { transition } from "./rollout/transition.js"
import type { RolloutEvent } from "./rollout/transition.js"
import { localSource } from "./sources/local.js"
import { fileStore } from "./stores/file.js"

/** Where releases come from: a directory of release directories, a source, or releases made by the host, by version. */
export type ReleasesFrom<C extends Call, M extends Mode> =
  string | ReadonlyMap<string, ReleaseFor<C, M>> | ReleaseSource<C, EvaluationFor<M>, ScanReportFor<M>>
type EvaluationFor<M extends Mode> = M extends "async" ? Evaluation | Promise<Evaluation> : Evaluation
type ScanReportFor<M extends Mode> = M extends "async" ? ScanReport | Promise<ScanReport> : ScanReport

export interface EmbedOptions<C extends Call, M extends Mode> extends Omit<
  GuardOptions<C, M>,
  "rollout" | "state" | "releases"
> {
  /** Path of the rollout's YAML file. */
  readonly rollout: string
  /** Not needed for `wrap`. */
  readonly releases?: ReleasesFrom<C, M> | undefined
  /** Default: a `fileStore` in `state/` beside the rollout's file, where the `serin` command finds it. */
  readonly store?: StateStore | undefined
  /**
   * Start the canary that the file names, if it is not the one in the state. Default false: `serin start` does it.
   * It does not undo a rollback, a pause or a kill.
   */
  readonly start?: boolean | undefined
  /** Time between two judgements, ms. Default 5,000. */
  readonly judgeEveryMs?: number | undefined
}

/** Reports are read by people at a terminal; the history that counts is that of the state. */
const KEPT_REPORTS = 20

/** Where an embedded rollout stands. */
export interface Status {
  readonly state: RolloutState
  readonly phase: Phase
  readonly follower: FollowerStatus
  /** The last judgement; null before the first. */
  readonly report: Report | null
  /** Releases that could not be loaded, by version, with the reason. */
  readonly unavailable: ReadonlyMap<string, string>
}

/** A guard that brings its own controller. */
export interface Embedded<C extends Call = Call, M extends Mode = "sync"> extends Omit<Guard<C, M>, "close"> {
  status(): Status
  /**
   * Apply an event to the rollout: what the commands of `serin` do. A decrease acts here at once, even if the store is down.
   * Rejects with `TRANSITION_REFUSED` when the event does not fit the state, and with what the store throws.
   */
  act(event: RolloutEvent): Promise<RolloutState>
  /** Judge now rather than at the next interval. Never rejects. */
  judge(): Promise<Report>
  /** Stop judging and following, finish what is under way, and leave no handle. Calls are still answered. */
  close(): Promise<void>
}

export function embed<C extends Call = Call>(
  options: EmbedOptions<C, "async"> & { async: true },
): Promise<Embedded<C, "async">>
export function embed<C extends Call = Call>(options: EmbedOptions<C, "sync"> & { async?: false }): Promise<Embedded<C>>
/**
 * Run a whole rollout in this process: guard, follower and leader over a store of files.
 * Rejects with `SPEC_INVALID`, with `RELEASE_NOT_FOUND` or `RELEASE_INVALID` for the stable release, and with
 * `STORE_UNAVAILABLE`. A canary that cannot be loaded rejects nothing: stable serves, and `status()` says why.
 */
export async function embed<C extends Call = Call>(
  options: EmbedOptions<C, Mode> & { async?: boolean },
): Promise<Embedded<C> | Embedded<C, "async">> {
  const { clock = systemClock, judgeEveryMs } = options
  const spec = await readSpec(options.rollout)
  const actor: Actor = { kind: "controller", id: `${hostname()}/${process.pid}` }
  const dir = join(dirname(options.rollout), "state")
  const store = options.store ?? fileStore({ dir })
  const reports = options.store ?? fileStore({ dir, keep: KEPT_REPORTS })
  const shelf = await createShelf<C>(options.releases)

  await ensureState(store, spec, actor, clock.now())
  if (options.start ?? false) await startCanary(store, spec, actor, () => clock.now())
  const follower = await createFollower({ store, rollout: spec.rollout, clock })
  const first = follower.current()
  if (first === null) {
    const why = follower.status().problem?.message ?? "the state is gone"
    follower.close()
    throw new SerinError("STORE_UNAVAILABLE", `the state of ${spec.rollout} cannot be read: ${why}`)
  }
  try {
    await shelf.require(first.stable)
  } catch (error) {
    follower.close()
    throw error
  }
  await shelf.fetch([first.canary, spec.stable, spec.canary])

  // The overloads keep mode and releases together; here they are one.
  const guard = createGuard<C>({
    ...(options as GuardOptions<C, "sync">),
    async: (options.async ?? false) as false,
    clock,
    rollout: spec.rollout,
    state: follower,
    releases: shelf.releases as ReadonlyMap<string, ReleaseFor<C, "sync">>,
  })
  const leader = createLeader({
    store,
    reports,
    rollout: spec.rollout,
    follower,
    source: localSource(guard),
    clock,
    actor,
    everyMs: judgeEveryMs,
    diffs: () => guard.diffs(),
    releasesReady: () => shelf.has(follower.current()?.canary ?? null),
  })
  const unsubscribe = follower.onChange(() => {
    const state = follower.current()
    if (state === null || (shelf.has(state.stable) && shelf.has(state.canary))) return
    void shelf.fetch([state.stable, state.canary]).then(() => guard.refresh())
  })

  const embedded = {
    ...guard,
    status: () => {
      const state = follower.current() ?? first
      return {
        state,
        phase: phaseOf(state),
        follower: follower.status(),
        report: leader.report(),
        unavailable: shelf.problems,
      }
    },
    async act(event: RolloutEvent) {
      const state = follower.current() ?? first
      const next = transition(state, event, clock.now())
      if (servesCanary(state) && !servesCanary(next)) follower.adopt(next)
      const written = await act(store, spec.rollout, event, () => clock.now())
      follower.adopt(written)
      return written
    },
    judge: () => leader.tick(),
    async close() {
      unsubscribe()
      await leader.close()
      follower.close()
      guard.close()
    },
  }
  return embedded
}

async function readSpec(path: string): Promise<RolloutSpec> {
  let text: string
  try {
    text = await readFile(path, "utf8")
  } catch (cause) {
    throw new SerinError("SPEC_INVALID", `the rollout file ${path} cannot be read; \`serin init\` writes one`, {
      cause,
    })
  }
  return parseSpec(text, { path })
}

/** Start the spec's canary unless it is the one of the state, or the state does not let a controller start it. */
async function startCanary(store: StateStore, spec: RolloutSpec, actor: Actor, now: () => number): Promise<void> {
  try {
    await act(
      store,
      spec.rollout,
      { type: "start", spec, salt: newSalt(), actor, reason: `the rollout file names ${spec.canary}` },
      now,
    )
  } catch (error) {
    if (!isSerinError(error) || error.code !== "TRANSITION_REFUSED") throw error
  }
}

/** Releases that are loaded, and why others are not. */
async function createShelf<C extends Call>(from: ReleasesFrom<C, Mode> | undefined) {
  const releases = new Map<string, ReleaseFor<C, Mode>>()
  const problems = new Map<string, string>()
  const source = await sourceOf(from)

  async function require(version: string): Promise<void> {
    if (source === null || releases.has(version)) return
    try {
      releases.set(version, (await source.get(version)) as ReleaseFor<C, Mode>)
      problems.delete(version)
    } catch (error) {
      problems.set(version, error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  return {
    releases,
    problems: problems as ReadonlyMap<string, string>,
    has: (version: string | null): boolean => source === null || version === null || releases.has(version),
    require,
    /** Load what is not there yet; what fails is in `problems`. */
    async fetch(versions: readonly (string | null)[]): Promise<void> {
      await Promise.allSettled(versions.filter((version) => version !== null).map(require))
    },
  }
}

async function sourceOf<C extends Call>(
  from: ReleasesFrom<C, Mode> | undefined,
): Promise<{ get(version: string): unknown } | null> {
  if (from === undefined) return null
  if (typeof from === "string") {
    // Loaded only when releases come from files: a host that brings its own functions needs no rule engine.
    const [{ releaseDirectory }, { rulesEngine }] = await Promise.all([
      import("./release/load.js"),
      import("./engines/rules.js"),
    ])
    return releaseDirectory(from, { engines: [rulesEngine()] })
  }
  if (from instanceof Map) {
    return {
      get(version) {
        const release: unknown = from.get(version)
        if (release !== undefined) return release
        const known = [...from.keys()].join(", ")
        throw new SerinError("RELEASE_NOT_FOUND", `there is no release ${version}; the map has ${known || "none"}`)
      },
    }
  }
  return from as { get(version: string): unknown }
}
