import { lookAgain, type Look } from "../analysis/replay.js"
import type { TripState } from "../analysis/trip.js"
import { createGuard } from "../guard.js"
import type { StateReader } from "../guard/guard-options.js"
import type { Call } from "../model/call.js"
import type { Effect } from "../model/decision.js"
import type { CriterionName } from "../model/verdict.js"
import type { Release } from "../release/ports.js"
import type { RolloutSpec } from "../rollout/spec.js"
import { initialState, type RolloutState } from "../rollout/state.js"
import { fakeClock } from "../testing/fake-clock.js"
import { sfc32 } from "../testing/sfc32.js"
import { groupBySession, type Answered } from "./measure.js"

export interface BootstrapOptions {
  /** Rollouts that are played. */
  readonly runs: number
  /** Sessions of each. */
  readonly sessions: number
  /** Share of the canary, basis points; 0 is shadow. */
  readonly weightBp: number
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  /** After each rollout. */
  readonly onProgress?: ((done: number) => void) | undefined
}

/** What came of rollouts in which both arms run the same release. */
export interface Bootstrapped {
  readonly runs: number
  readonly sessions: number
  readonly looks: number
  /** Rollouts in which a breach was found at any look: false alarms, all of them. */
  readonly breached: number
  readonly breachedBy: Readonly<Partial<Record<CriterionName, number>>>
  /** Rollouts in which all enforced criteria passed at the last look. */
  readonly passed: number
  /** The widest that an estimate was at the last look: the 95th of a hundred, by criterion. */
  readonly estimates: Readonly<Partial<Record<CriterionName, number>>>
}

/** Times at which each rollout is judged. */
const LOOKS = 10
const START = Date.UTC(2026, 0, 1)
const GAP_MS = 1000

/**
 * Play A/A rollouts: sessions drawn with replacement from the recorded ones, through a real guard and the real judge, both arms with the same release.
 * One arm gives the first answer of the release to a call, the other the second, at random, so a release that is not sure of itself disagrees as it did.
 */
export async function bootstrap(
  answered: readonly Answered[],
  spec: RolloutSpec,
  options: BootstrapOptions,
): Promise<Bootstrapped> {
  const sessions = groupBySession(answered)
  const breachedBy: Partial<Record<CriterionName, number>> = {}
  const estimates = new Map<CriterionName, number[]>()
  let [breached, passed] = [0, 0]
  for (let run = 0; run < options.runs; run++) {
    options.signal?.throwIfAborted()
    const found = await playOnce(sessions, spec, options, run)
    if (found.breachedBy !== null) {
      breached += 1
      breachedBy[found.breachedBy] = (breachedBy[found.breachedBy] ?? 0) + 1
    }
    if (found.passed) passed += 1
    for (const [name, estimate] of found.estimates) {
      const values = estimates.get(name) ?? []
      estimates.set(name, values)
      values.push(estimate)
    }
    options.onProgress?.(run + 1)
  }
  const widest = [...estimates].map(([name, values]) => [name, quantile(values.map(Math.abs), 0.95)] as const)
  return {
    runs: options.runs,
    sessions: options.sessions,
    looks: LOOKS,
    breached,
    breachedBy,
    passed,
    estimates: Object.fromEntries(widest),
  }
}

/** A call that is played: `flip` says which arm gives which of the two answers. */
interface PlayedCall extends Call {
  readonly answered: Answered
  readonly flip: boolean
}

async function playOnce(
  sessions: readonly (readonly Answered[])[],
  spec: RolloutSpec,
  { sessions: count, weightBp, seed }: BootstrapOptions,
  run: number,
): Promise<Ending & { readonly breachedBy: CriterionName | null }> {
  const random = sfc32(seed * 1_000_003 + run)
  const clock = fakeClock(START)
  const state = stateOf(spec, weightBp, `calibrate-${seed}-${run}`)
  const reader: StateReader = { current: () => state, onChange: () => () => {} }
  const guard = createGuard<PlayedCall>({
    rollout: spec.rollout,
    state: reader,
    clock,
    releases: new Map(
      [spec.stable, spec.canary].map((version, arm) => [version, replayed(version, arm === 1, clock.advance)]),
    ),
    // What is played here must not show up in the host's metrics.
    metrics: { register: () => () => {} },
    sessionMemory: count + 1,
    shadow: { queue: Infinity, cpuShare: 1 },
  })
  const { criteria, falseAlarmRate, shadowSampleBp } = spec
  let trip: TripState | undefined
  let played = 0
  let last: Look | null = null
  try {
    for (let look = 1; look <= LOOKS; look++) {
      for (; played < Math.round((count * look) / LOOKS); played++) {
        const drawn = sessions[Math.floor(random() * sessions.length)] ?? []
        const session = guard.session(`${run}-${played}`, { startedAt: clock.now() })
        for (const answered of drawn) {
          session.evaluate({ action: answered.recorded.tool, answered, flip: random() < 0.5 })
        }
        clock.advance(GAP_MS)
      }
      await guard.idle()
      const evidence = guard.evidence()
      const input = {
        criteria,
        falseAlarmRate,
        shadow: shadowSampleBp > 0,
        at: clock.now(),
        ramp: state.ramp,
        evidence,
      }
      last = lookAgain({ ...input, tripBefore: trip })
      trip = last.trip
      if (last.verdict.result === "breach") return { breachedBy: last.verdict.cause ?? null, ...endingOf(last) }
    }
  } finally {
    guard.close()
  }
  return { breachedBy: null, ...endingOf(last) }
}

/** What a rollout came to at its last look. */
interface Ending {
  readonly passed: boolean
  readonly estimates: readonly (readonly [CriterionName, number])[]
}

function endingOf(look: Look | null): Ending {
  const criteria = look?.verdict.criteria ?? []
  return {
    passed: look?.verdict.result === "pass",
    estimates: criteria.flatMap(({ criterion, estimate }) =>
      estimate === null ? [] : [[criterion, estimate] as const],
    ),
  }
}

function stateOf(spec: RolloutSpec, weightBp: number, salt: string): RolloutState {
  const actor = { kind: "controller", id: "calibrate" } as const
  // Everybody takes part: whom the recorded sessions belonged to is not recorded.
  const stages = spec.stages.map((stage) => ({ ...stage, eligible: undefined }))
  const open = { ...spec, stages, eligible: null, pins: undefined, maxSessions: null }
  const ramp = [{ at: START, weightBp, stage: 0 }]
  return { ...initialState(open, START, salt, actor), generation: 1, canary: spec.canary, ramp }
}

/** The release as it was recorded: its answers, and how long they took. */
function replayed(version: string, second: boolean, advance: (ms: number) => void): Release<PlayedCall> {
  return {
    version,
    policy: {
      evaluate({ answered: { outcomes, durationsMs }, flip }): Effect {
        const index = Math.min(outcomes.length - 1, Number(flip !== second))
        advance(durationsMs[index] ?? 0)
        const outcome = outcomes[index] ?? "error"
        if (outcome === "error") throw new Error("it failed when it was asked")
        return outcome
      },
    },
  }
}

function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? 0
}
