import { randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { hostname } from "node:os"
import { dirname, join } from "node:path"
import { DEADLINE_MS, inTime, lastPairs, withDeadlines } from "./controller/deadline.js"
import { createWritingFollower } from "./controller/writing-follower.js"
import type { WritingFollowerStatus } from "./controller/writing-follower.js"
import { createLeader } from "./controller/leader.js"
import type { Report } from "./controller/report.js"
import type { VerdictRecord } from "./controller/verdict-record.js"
import { startCanary } from "./controller/start-canary.js"
import { ensureState } from "./controller/verbs.js"
import { replayOnce } from "./embed/gate.js"
import { keepLoading } from "./shelf/loading.js"
import { createShelf } from "./shelf.js"
import type { ReleasesFrom } from "./shelf.js"
import { SerinError } from "./errors.js"
import { createGuard } from "./guard.js"
import type { Guard } from "./guard.js"
import { describeFuse } from "./guard/fuse.js"
import type { BlownFuse } from "./guard/fuse.js"
import type { ShadowStatus } from "./guard/shadow.js"
import { GUARD_KEYS } from "./guard/guard-options.js"
import type { GuardOptions, Mode, ReleaseFor } from "./guard/guard-options.js"
import { refuseUnknown, requireMethods } from "./model/options.js"
import type { KeysOf } from "./model/options.js"
import type { Call } from "./model/call.js"
import { requireClock, systemClock } from "./model/clock.js"
import { notifyPeople } from "./notify/notify-people.js"
import type { ApprovalLinks } from "./notify/notify-people.js"
import type { NotifyChannel } from "./notify/notify-channel.js"
import type { CodeOptions } from "./release/code-options.js"
import { loadedModules } from "./release/module-code.js"
import type { LoadedModules } from "./release/module-code.js"
import type { TrustedKeys } from "./signing/trust.js"
import { checkEvent } from "./rollout/event-fields.js"
import { phaseOf } from "./rollout/phase.js"
import type { Phase } from "./rollout/phase.js"
import { parseSpec } from "./rollout/spec.js"
import type { RolloutSpec } from "./rollout/spec.js"
import type { Actor, RolloutState } from "./rollout/state.js"
import type { StateStore } from "./rollout/store.js"
import type { RolloutEvent } from "./rollout/transition.js"
import type { EvidenceSource } from "./evidence/source.js"
import { localSource } from "./sources/local.js"
import { fileStore } from "./stores/file.js"

export type { FollowerStatus } from "./controller/follower.js"
export type { WritingFollowerStatus } from "./controller/writing-follower.js"
export type { ReadProblem } from "./model/follower-problem.js"
export type { Report } from "./controller/report.js"
export type { VerdictRecord } from "./controller/verdict-record.js"
export type { ReleasesFrom } from "./shelf.js"

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

const { state: _none, ...GUARDS } = GUARD_KEYS
const EMBED_KEYS: KeysOf<EmbedOptions<Call, Mode> & { readonly async: boolean }> = {
  ...GUARDS,
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

/** Processes of one machine beat as they judge: each beat is a write that a disk has to keep. Within the bounds of a lease, ms. */
const beatEvery = (judgeEveryMs: number): number => Math.min(5000, Math.max(1000, judgeEveryMs))

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

export function embed<C extends Call = Call>(
  options: EmbedOptions<C, "async"> & { async: true },
): Promise<Embedded<C, "async">>
export function embed<C extends Call = Call>(options: EmbedOptions<C, "sync"> & { async?: false }): Promise<Embedded<C>>
/**
 * Run a whole rollout in this process: guard, follower and leader over a store of files.
 * Rejects with `TypeError` for options that there are not, with `SPEC_INVALID`, with `RELEASE_NOT_FOUND`, `RELEASE_INVALID`,
 * `RELEASE_UNTRUSTED` or `RELEASE_UNAVAILABLE` for the stable release, with `STATE_INVALID` for a stored state that is none of this
 * rollout, and with what the store throws. A canary that cannot be loaded rejects nothing: stable
 * serves, `status()` says why, and it is tried again until it is there.
 */
export async function embed<C extends Call = Call>(
  options: EmbedOptions<C, Mode> & { async?: boolean },
): Promise<Embedded<C> | Embedded<C, "async">> {
  checkOptions(options)
  const { releases: from, trustedKeys, modules, moduleTimeoutMs, sdks, ...others } = options
  const { store: given, start, judgeEveryMs = 5000, source, notify, dashboardUrl, approvals, ...forGuard } = others
  const { clock = systemClock } = options
  const telling = notify && notifyPeople({ channels: notify, dashboardUrl, approvals })
  const spec = await readSpec(options.rollout)
  const actor: Actor = { kind: "controller", id: `${hostname()}/${process.pid}/${randomUUID().slice(0, 8)}` }
  const store = given ?? fileStore({ dir: join(dirname(options.rollout), "state") })
  const bounded = withDeadlines(store, clock, DEADLINE_MS)
  const shelf = await createShelf<C>(from, { trustedKeys, modules, moduleTimeoutMs, sdks })

  await ensureState(bounded, spec, actor, clock.now())
  const replay = replayOnce(spec, options.rollout, from === undefined ? null : shelf)
  const digests = async () => {
    await shelf.fetch([spec.stable, spec.canary])
    return shelf.digests(spec.stable, spec.canary)
  }
  const notice = start === true ? await startCanary(bounded, spec, actor, () => clock.now(), replay, digests) : null
  const follower = await createWritingFollower({ store, rollout: spec.rollout, clock })
  const first = follower.current()
  if (first === null) {
    const why = follower.status().problem?.message ?? "the state is gone"
    follower.close()
    throw new SerinError("STORE_UNAVAILABLE", `the state of ${spec.rollout} cannot be read: ${why}`)
  }
  let guard: Guard<C>
  try {
    shelf.pin(first)
    await shelf.require(first.stable)
    await shelf.fetch([first.canary, spec.stable, spec.canary])
    // The overloads keep mode and releases together; here they are one.
    guard = createGuard<C>({
      ...(forGuard as GuardOptions<C, "sync">),
      async: (options.async ?? false) as false,
      clock,
      rollout: spec.rollout,
      state: follower,
      releases: from === undefined ? undefined : (shelf.releases as ReadonlyMap<string, ReleaseFor<C, "sync">>),
    })
  } catch (error) {
    follower.close()
    throw error
  }
  const leader = createLeader({
    store,
    rollout: spec.rollout,
    follower,
    source: source ?? localSource(guard),
    clock,
    actor,
    everyMs: judgeEveryMs,
    beatEveryMs: beatEvery(judgeEveryMs),
    takeoverAfterMs: 3 * beatEvery(judgeEveryMs),
    notify: telling,
    diffs: () => guard.diffs(),
    processes: () => {
      const blown = guard.fuse()
      const isReady = shelf.has(follower.current()?.canary ?? null)
      return { releases: isReady ? "ready" : "missing", fuse: blown && describeFuse(blown) }
    },
  })
  const loading = keepLoading({
    shelf,
    guard,
    state: follower.current,
    awaited: [spec.stable, spec.canary],
    clock,
    everyMs: judgeEveryMs,
  })
  const unsubscribe = follower.onChange(loading.look)
  loading.look()
  let closing: Promise<void> | undefined
  await leader.seated

  const embedded = {
    ...guard,
    status: () => {
      const state = follower.current() ?? first
      return {
        state,
        phase: phaseOf(state),
        follower: follower.status(),
        notice: notice ?? undefined,
        fuse: guard.fuse(),
        shadow: guard.shadow(),
        report: leader.report(),
        unavailable: shelf.problems,
        modules: loadedModules(),
      }
    },
    act: async (event: RolloutEvent) => {
      checkEvent(event)
      return follower.act(event)
    },
    judge: () => leader.tick(),
    verdictRecord: () => leader.record(),
    close: () => (closing ??= close()),
  }
  return embedded

  async function close(): Promise<void> {
    unsubscribe()
    loading.stop()
    const judged = lastPairs(clock, guard)
    const ended = inTime(clock, DEADLINE_MS, async () => {
      await leader.close()
      await follower.settle()
    })
    await ended.catch(() => {})
    follower.close()
    // What is counted now is in the metrics: whoever judges by them has it still.
    await judged
    await guard.close()
  }
}

/** Throw `TypeError` or `RangeError` for what can only be a mistake in the code, before anything is read or made. */
function checkOptions<C extends Call>(options: EmbedOptions<C, Mode>): void {
  if (options === undefined || options === null) {
    const least = `embed({ rollout: "safety/rollout.yaml", releases: "safety/releases" })`
    throw new TypeError(`embed takes its options as an object, got ${String(options)}; write ${least}`)
  }
  refuseUnknown("embed", options, EMBED_KEYS)
  const { rollout, store, source, clock, judgeEveryMs, modules } = options
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
  if (modules === "isolated" && (options as { readonly async?: unknown }).async !== true) {
    throw new TypeError('modules: "isolated" needs async: true, since a scanner in a worker answers later')
  }
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
