import type { Clock } from "../model/clock.js"
import type { Verdict } from "../model/verdict.js"
import { judge } from "../analysis/judge.js"
import type { TripState } from "../analysis/trip.js"
import type { Diff } from "../evidence/diffs.js"
import type { EvidenceSource } from "../evidence/source.js"
import { phaseOf, servesCanary } from "../rollout/phase.js"
import type { Actor, RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import type { RolloutEvent } from "../rollout/transition.js"
import type { Follower } from "./follower.js"
import { reportKey } from "./keys.js"
import { REPORTED_DIFFS } from "./report.js"
import type { Report } from "./report.js"
import { act } from "./verbs.js"

export interface LeaderOptions {
  readonly store: StateStore
  readonly rollout: string
  readonly follower: Follower
  readonly source: EvidenceSource
  readonly clock: Clock
  readonly actor: Actor
  /** Time between two looks at the evidence, ms. Looking often costs no false alarms. Default 5,000. */
  readonly everyMs?: number | undefined
  readonly diffs?: (() => readonly Diff[]) | undefined
}

/** Judges the evidence and moves the rollout: evidence → verdict → transition → compare-and-set. */
export interface Leader {
  /** Judge once, now. Never rejects; one at a time. */
  tick(): Promise<Report>
  /** The last report; null before the first tick. */
  report(): Report | null
  close(): void
}

/** Lead one rollout: ticks on the clock until closed. */
export function createLeader(options: LeaderOptions): Leader {
  const { store, rollout, follower, source, clock, actor, everyMs = 5000 } = options
  let last: Report | null = null
  let running: Promise<Report> | null = null
  let trip: TripState | undefined
  let tripGeneration = -1
  let unsaved: RolloutEvent | null = null
  let closed = false
  let cancel = clock.schedule(beat, everyMs)

  function beat(): void {
    void tick().finally(() => {
      if (!closed) cancel = clock.schedule(beat, everyMs)
    })
  }

  function tick(): Promise<Report> {
    running ??= look().finally(() => (running = null))
    return running
  }

  async function look(): Promise<Report> {
    let verdict: Verdict | null = null
    let problem: string | undefined
    const state = follower.current()
    try {
      if (unsaved !== null) await save(unsaved)
      if (state !== null && isCompared(state)) {
        verdict = await judgeNow(state)
        await move(verdict)
      }
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error)
    }
    last = {
      format: "serin/report/1",
      rollout,
      revision: follower.current()?.revision ?? 0,
      generation: state?.generation ?? 0,
      at: clock.now(),
      verdict: verdict ?? (last?.generation === state?.generation ? (last?.verdict ?? null) : null),
      diffs: options.diffs?.().slice(0, REPORTED_DIFFS) ?? [],
      problem,
    }
    await publish(last)
    return last
  }

  /** Null: the evidence could not be read, or belongs to another generation. */
  async function judgeNow(state: RolloutState): Promise<Verdict | null> {
    const evidence = await source.read().catch(() => null)
    if (evidence === null || evidence.generation !== state.generation) return null
    if (tripGeneration !== state.generation) trip = undefined
    tripGeneration = state.generation
    const judged = judge({
      criteria: state.spec.criteria,
      evidence,
      ramp: state.ramp,
      falseAlarmRate: state.spec.falseAlarmRate,
      shadow: state.spec.shadowSampleBp > 0,
      at: clock.now(),
      trip,
    })
    trip = judged.trip
    return judged.verdict
  }

  async function move(verdict: Verdict | null): Promise<void> {
    const state = follower.current()
    if (state === null) return
    const event = { type: "tick", actor, verdict } as const
    const next = transition(state, event, clock.now())
    if (next === state) return
    // A decrease acts first and is written after, so that a store that is down cannot delay it;
    // an increase is written first, so that nobody is exposed to what only this process knows.
    if (servesCanary(state) && !servesCanary(next)) {
      follower.adopt(next)
      unsaved = event
    }
    follower.adopt(await act(store, rollout, event, () => clock.now()))
    unsaved = null
  }

  /** Write the decrease that was acted on while the store did not answer. */
  async function save(event: RolloutEvent): Promise<void> {
    follower.adopt(await act(store, rollout, event, () => clock.now()))
    unsaved = null
  }

  async function publish(report: Report): Promise<void> {
    try {
      const key = reportKey(rollout)
      const current = await store.get(key)
      await store.compareAndSet(key, current?.revision ?? 0, JSON.stringify(report))
    } catch {
      // People in other processes see an older report, and its age.
    }
  }

  return {
    tick,
    report: () => last,
    close() {
      closed = true
      cancel()
    },
  }
}

function isCompared(state: RolloutState): boolean {
  const { phase } = phaseOf(state)
  return phase === "shadow" || phase === "canary" || phase === "baking"
}
