import type { Report } from "./controller/report.js"
import type { VerdictRecord } from "./controller/verdict-record.js"
import type { WritingFollowerStatus } from "./controller/writing-follower.js"
import type { EvidenceSource } from "./evidence/source.js"
import type { Guard } from "./guard.js"
import type { BlownFuse } from "./guard/fuse.js"
import { GUARD_KEYS } from "./guard/guard-options.js"
import type { GuardOptions, Mode } from "./guard/guard-options.js"
import type { ShadowStatus } from "./guard/shadow.js"
import type { Call } from "./model/call.js"
import { requireClock } from "./model/clock.js"
import { refuseUnknown, requireMethods } from "./model/options.js"
import type { KeysOf } from "./model/options.js"
import type { NotifyChannel } from "./notify/notify-channel.js"
import type { ApprovalLinks } from "./notify/notify-people.js"
import { requireAsync } from "./release/code-options.js"
import type { CodeOptions } from "./release/code-options.js"
import type { LoadedModules } from "./release/module-code.js"
import type { Phase } from "./rollout/phase.js"
import type { RolloutState } from "./rollout/state.js"
import type { StateStore } from "./rollout/store.js"
import type { RolloutEvent } from "./rollout/transition.js"
import type { ReleasesFrom } from "./shelf.js"
import type { TrustedKeys } from "./signing/trust.js"

export type { FollowerStatus } from "./controller/follower.js"
export type { WritingFollowerStatus } from "./controller/writing-follower.js"
export type { ReadProblem } from "./model/follower-problem.js"
export type { Report } from "./controller/report.js"
export type { VerdictRecord } from "./controller/verdict-record.js"
export type { ReleasesFrom } from "./shelf.js"

/** Options of `embed()`. */
export interface EmbedOptions<C extends Call, M extends Mode>
  extends Omit<GuardOptions<C, M>, "rollout" | "state" | "releases">, CodeOptions {
  /** Path of the rollout's YAML file. */
  readonly rollout: string
  /** Not needed for `wrap`. */
  readonly releases?: ReleasesFrom<C, M> | undefined
  /** Whose signatures make a release trusted, where `releases` is a path: one without enough of them is refused. */
  readonly trustedKeys?: TrustedKeys | undefined
  /** Default: a `fileStore` in `state/` beside the rollout's file, where the `serin` command finds it. */
  readonly store?: StateStore | undefined
  /**
   * Start the canary that the file names, if it is not the one in the state. Default false: `serin start` does it.
   * It undoes no pause, no containment and no kill, and starts no version that was rolled back, contained or killed when it was last under way, as far as the
   * newest 1,000 revisions that the store keeps tell; `status().notice` says so then. With a `gate` in the file both releases judge the recorded calls first, and embed()
   * waits for that; over a limit, the canary is not started.
   */
  readonly start?: boolean | undefined
  /**
   * Time between two judgements, ms; also between two tries to load a release that is missing. Default 5,000. Of several processes
   * on one store one leads, and judges by its own evidence. It says that it is alive as often as it judges, from 1 s to 5 s; another takes over
   * at once when it closes, and after three such times when it dies.
   */
  readonly judgeEveryMs?: number | undefined
  /**
   * Where evidence is read. Default: what this process counts. One that reads all processes, as `serin/sources/prometheus` does, has the
   * process that judges judge by all of them.
   */
  readonly source?: EvidenceSource | undefined
  /** Whom to tell of what happens to the rollout, while this process leads: `slack({ url })`, `webhook({ url, secret })`, `command({ run })`. */
  readonly notify?: readonly NotifyChannel[] | undefined
  /** Where people look at the rollout: the link in messages. */
  readonly dashboardUrl?: string | URL | undefined
  /** Have messages that ask for an approval bear a link by which it is given. Needs `dashboardUrl`, and the same secret there. */
  readonly approvals?: ApprovalLinks | undefined
}

// Made by a function that is marked as pure: a spread is not, and would stay in the bundle of who never calls this.
const EMBED_KEYS = /* @__PURE__ */ ((): KeysOf<EmbedOptions<Call, Mode> & { readonly async: boolean }> => {
  const { state: _none, ...guards } = GUARD_KEYS
  return {
    ...guards,
    trustedKeys: true,
    modules: true,
    moduleTimeoutMs: true,
    sdks: true,
    store: true,
    start: true,
    judgeEveryMs: true,
    source: true,
    notify: true,
    dashboardUrl: true,
    approvals: true,
  }
})()

/** Where an embedded rollout stands. */
export interface Status {
  readonly state: RolloutState
  readonly phase: Phase
  readonly follower: WritingFollowerStatus
  /** Why `start: true` did not start the canary that the file names. */
  readonly notice?: string | undefined
  /** Why this process keeps every session on stable, whatever the state says; null while its fuse is whole. */
  readonly fuse: BlownFuse | null
  /** How far the other arm's judgement has come in this process, and what it takes. */
  readonly shadow: ShadowStatus
  /** The last judgement; null before the first. Its `problem` says when another process judges. */
  readonly report: Report | null
  /** Releases that could not be loaded, by version, with the reason. */
  readonly unavailable: ReadonlyMap<string, string>
  /** Modules of releases that this process has imported, by whichever guard, and how many it may: none is ever unloaded. */
  readonly modules: LoadedModules
}

/** A guard that brings its own controller. */
export interface Embedded<C extends Call = Call, M extends Mode = "sync"> extends Omit<Guard<C, M>, "close"> {
  status(): Status
  /**
   * Apply an event to the stored state and answer what became of it: what the commands of `serin` do. A decrease acts here at once,
   * even if the store is down; it then stays in force here, and is written as soon as it can be (`status().follower.pending`).
   * Rejects with `TypeError` for what is no event, with `TRANSITION_REFUSED` when it does not fit the stored state, with `STATE_INVALID`,
   * and with what the store throws.
   */
  act(event: RolloutEvent): Promise<RolloutState>
  /** Judge now rather than at the next interval. Never rejects. */
  judge(): Promise<Report>
  /**
   * Judge now, and answer the verdict with all that it was made of: `JSON.stringify` of it is what `serin verify` reads. It is kept in the
   * store as well, as is each verdict that moves the rollout. Null when there is nothing to judge here. Never rejects.
   */
  verdictRecord(): Promise<VerdictRecord | null>
  /**
   * Stop judging and following, finish what is under way within 2 s (and 2 s more for a decision log whose sink is slow), and leave no
   * handle. Calls that wait for the other arm are judged and counted, for a second at the most. Calls are still answered.
   */
  close(): Promise<void>
}

/**
 * Run a whole rollout in this process: guard, follower and leader over a store of files.
 * Rejects with `TypeError` for options that there are not, with `SPEC_INVALID`, with `RELEASE_NOT_FOUND`, `RELEASE_INVALID`,
 * `RELEASE_UNTRUSTED` or `RELEASE_UNAVAILABLE` for the stable release, with `STATE_INVALID` for a stored state that is none of this
 * rollout, and with what the store throws. A canary that cannot be loaded rejects nothing: stable
 * serves, `status()` says why, and it is tried again until it is there.
 */
export function embed<C extends Call = Call>(
  options: EmbedOptions<C, "async"> & { async: true },
): Promise<Embedded<C, "async">>
export function embed<C extends Call = Call>(options: EmbedOptions<C, "sync"> & { async?: false }): Promise<Embedded<C>>
export async function embed<C extends Call = Call>(
  options: EmbedOptions<C, Mode> & { async?: boolean },
): Promise<Embedded<C> | Embedded<C, "async">> {
  checkOptions(options)
  // What reads documents, judges and leads is loaded here: an application that imports this may start no rollout.
  const { runEmbedded } = await import("./embed/run.js")
  return runEmbedded(options)
}

/** Throw `TypeError` or `RangeError` for what can only be a mistake in the code, before anything is read or made. */
function checkOptions<C extends Call>(options: EmbedOptions<C, Mode>): void {
  if (options === undefined || options === null) {
    const least = `embed({ rollout: "safety/rollout.yaml", releases: "safety/releases" })`
    throw new TypeError(`embed takes its options as an object, got ${String(options)}; write ${least}`)
  }
  refuseUnknown("embed", options, EMBED_KEYS)
  const { rollout, store, source, clock, judgeEveryMs } = options
  if (typeof rollout !== "string") {
    throw new TypeError(
      `rollout must be the path of a rollout file, got ${typeof rollout}; \`serin init\` writes one in safety/rollout.yaml`,
    )
  }
  if (store !== undefined) {
    const fix = "leave it out for files in state/ beside the rollout's file, or pass fileStore({ dir })"
    requireMethods("store", store, ["get", "compareAndSet", "watch", "history", "list", "remove"], fix)
  }
  if (source !== undefined) {
    requireMethods(
      "source",
      source,
      ["read"],
      "leave it out for what this process counts, or pass prometheusSource({ … })",
    )
  }
  if (clock !== undefined) requireClock(clock)
  if (judgeEveryMs !== undefined && !(judgeEveryMs > 0)) {
    throw new RangeError(`judgeEveryMs must be a number of ms greater than 0, got ${String(judgeEveryMs)}`)
  }
  requireAsync(options)
}
