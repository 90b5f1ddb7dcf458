import { randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { hostname } from "node:os"
import { dirname, join } from "node:path"
import { DEADLINE_MS, inTime, lastPairs, withDeadlines } from "../controller/deadline.js"
import { createLeader } from "../controller/leader.js"
import { startCanary } from "../controller/start-canary.js"
import { ensureState } from "../controller/verbs.js"
import { createWritingFollower } from "../controller/writing-follower.js"
import type { Embedded, EmbedOptions } from "../embed.js"
import { SerinError } from "../errors.js"
import { createGuard } from "../guard.js"
import type { Guard } from "../guard.js"
import { describeFuse } from "../guard/fuse.js"
import type { GuardOptions, Mode, ReleaseFor } from "../guard/guard-options.js"
import type { Call } from "../model/call.js"
import { systemClock } from "../model/clock.js"
import { notifyPeople } from "../notify/notify-people.js"
import { loadedModules } from "../release/module-code.js"
import { checkEvent } from "../rollout/event-fields.js"
import { phaseOf } from "../rollout/phase.js"
import { parseSpec } from "../rollout/spec.js"
import type { RolloutSpec } from "../rollout/spec.js"
import type { Actor } from "../rollout/state.js"
import type { RolloutEvent } from "../rollout/transition.js"
import { createShelf } from "../shelf.js"
import { keepLoading } from "../shelf/loading.js"
import { localSource } from "../sources/local.js"
import { fileStore } from "../stores/file.js"
import { replayOnce } from "./gate.js"

/** Processes of one machine beat as they judge: each beat is a write that a disk has to keep. Within the bounds of a lease, ms. */
const beatEvery = (judgeEveryMs: number): number => Math.min(5000, Math.max(1000, judgeEveryMs))

/** Run a rollout by options that were checked: what `embed()` promises is promised here. */
export async function runEmbedded<C extends Call>(
  options: EmbedOptions<C, Mode> & { async?: boolean },
): Promise<Embedded<C> | Embedded<C, "async">> {
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
