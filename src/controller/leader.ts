import type { Clock } from "../model/clock.js"
import type { Verdict } from "../model/verdict.js"
import type { Evidence } from "../model/evidence.js"
import { judge } from "../analysis/judge.js"
import { noDataVerdict } from "../analysis/no-data.js"
import { advanceTrip } from "../analysis/trip.js"
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
  /** Where reports go: one each tick, of which few need to be kept. */
  readonly reports: StateStore
  readonly rollout: string
  readonly follower: Follower
  readonly source: EvidenceSource
  readonly clock: Clock
  readonly actor: Actor
  /** Time between two looks at the evidence, ms. Looking often costs no false alarms. Default 5,000. */
  readonly everyMs?: number | undefined
  readonly diffs?: (() => readonly Diff[]) | undefined
  /** False while a release that the state names is not loaded: the rollout holds. */
  readonly releasesReady?: (() => boolean) | undefined
}

/** Judges the evidence and moves the rollout: evidence → verdict → transition → compare-and-set. */
export interface Leader {
  /** Judge once, now. Never rejects; one at a time. */
  tick(): Promise<Report>
  /** The last report; null before the first tick. */
  report(): Report | null
  /** Stop; resolves when the tick under way is over. */
  close(): Promise<void>
}

/** Lead one rollout: ticks on the clock until closed. */
export function createLeader(options: LeaderOptions): Leader {
  const { store, reports, rollout, follower, source, clock, actor, everyMs = 5000 } = options
  let last: Report | null = null
  let running: Promise<Report> | null = null
  let trip: TripState | undefined
  let unsaved: RolloutEvent | null = null
  let closed = false
  let cancel = clock.schedule(beat, everyMs)

  function beat(): void {
    void tick().then(() => {
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
      problem = messageOf(error)
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

  /** Null: there is no evidence yet, or it belongs to another generation. */
  async function judgeNow(state: RolloutState): Promise<Verdict | null> {
    const { criteria, falseAlarmRate } = state.spec
    const settings = { criteria, falseAlarmRate, shadow: state.spec.shadowSampleBp > 0, at: clock.now() }
    let evidence: Evidence | null
    try {
      evidence = await source.read()
    } catch (error) {
      return noDataVerdict("errored", { ...settings, generation: state.generation, detail: messageOf(error) })
    }
    if (evidence === null || evidence.generation !== state.generation) return null
    trip = advanceTrip(trip, { criteria, evidence, ramp: state.ramp })
    return judge({ ...settings, evidence, ramp: state.ramp, trip })
  }

  async function move(verdict: Verdict | null): Promise<void> {
    const state = follower.current()
    if (state === null) return
    const releases = options.releasesReady?.() === false ? "missing" : "ready"
    const event = { type: "tick", actor, verdict, releases } as const
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
      const current = await reports.get(key)
      await reports.compareAndSet(key, current?.revision ?? 0, JSON.stringify(report))
    } catch {
      // People in other processes see an older report, and its age.
    }
  }

  return {
    tick,
    report: () => last,
    async close() {
      closed = true
      cancel()
      await running
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function isCompared(state: RolloutState): boolean {
  const { phase } = phaseOf(state)
  return phase === "shadow" || phase === "canary" || phase === "baking"
}
