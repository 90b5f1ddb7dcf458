import type { Evidence, Stratum } from "serin"
import { judge, type JudgeInput } from "../../src/analysis/judge.js"
import { advanceTrip, type TripState } from "../../src/analysis/trip.js"
import { createStratum, recordEvaluation, recordPair } from "../../src/evidence/cells.js"
import type { Criterion, CriterionName, Verdict } from "../../src/model/verdict.js"
import { randomOf } from "./random.js"
import { sessionsOf, type World } from "./world.js"

/** The leader looks every 5 s; later in a run looks are spared, which an always-valid method cannot profit from. */
const LOOK_MS = 5000
const isLook = (slot: number): boolean =>
  slot <= 24 || slot % (slot <= 120 ? 3 : slot <= 360 ? 6 : slot <= 720 ? 12 : 24) === 0

/** What one look sees: counts since the rollout began. */
export interface Look {
  readonly minute: number
  readonly evidence: Evidence
}

export interface Method {
  /** Answers what was found at this look; a `breach` ends the run. */
  look(look: Look): "breach" | "pass" | "open"
  /** The criterion that was breached, where the method knows. */
  readonly cause?: string | undefined
}

export interface Outcome {
  readonly breachMinute: number | null
  readonly passMinute: number | null
  readonly cause: string | undefined
  /** Canary calls served, and sessions begun, until the breach or the end. */
  readonly canaryCalls: number
  readonly canarySessions: number
}

/** Bits of what a call leaves behind: outcomes, arm, cohort, whether it is its session's first, whether its pair counts. */
const pack = (stable: number, canary: number, arm: number, cohort: number, first: boolean, paired: number): number =>
  stable | (canary << 2) | (arm << 4) | (cohort << 5) | (first ? 1 << 11 : 0) | (paired << 12)

/** Run one rollout in a world of this seed until the method stops it or the minutes are over. */
export function rollout(world: World, seed: number, method: Method, stopAtPass = false): Outcome {
  const random = randomOf(seed)
  const strata = acquire(world.ramp.length)
  const sessions = sessionsOf(world, random)
  const slots: number[][] = []
  const started: number[] = []
  let next = sessions.next()
  const counts = { calls: 0, sessions: 0 }
  let passMinute: number | null = null
  const evidence: Evidence = { generation: 1, strata }

  for (let slot = 0; slot * LOOK_MS < world.minutes * 60_000; slot++) {
    while (next.done !== true && next.value.startMs < (slot + 1) * LOOK_MS) {
      const { calls, weightBp, rampIndex } = next.value
      const arm = random.uniform() * 10_000 < weightBp ? 1 : 0
      const cohort = Math.floor(random.uniform() * 64)
      if (arm === 1) started[slot] = (started[slot] ?? 0) + 1
      // Pairs of sessions that the canary serves are its own world, and not inferred from.
      calls.forEach((call, i) => {
        const code = pack(call.stable, call.canary, arm, cohort, i === 0, world.shadow && arm === 0 ? 1 : 0)
        const at = (slots[Math.floor(call.atMs / LOOK_MS)] ??= [])
        at.push(code + rampIndex * 2 ** 13, call.stableMs, call.canaryMs)
      })
      next = sessions.next()
    }
    const events = slots[slot] ?? []
    slots[slot] = []
    for (let i = 0; i < events.length; i += 3) record(strata, events[i]!, events[i + 1]!, events[i + 2]!, counts)
    counts.sessions += started[slot] ?? 0
    if (!isLook(slot + 1)) continue
    const minute = ((slot + 1) * LOOK_MS) / 60_000
    const found = method.look({ minute, evidence })
    if (found === "pass") passMinute ??= minute
    if (found === "breach" || (stopAtPass && passMinute !== null)) {
      const breachMinute = found === "breach" ? minute : null
      return {
        breachMinute,
        passMinute,
        cause: method.cause,
        canaryCalls: counts.calls,
        canarySessions: counts.sessions,
      }
    }
  }
  return {
    breachMinute: null,
    passMinute,
    cause: undefined,
    canaryCalls: counts.calls,
    canarySessions: counts.sessions,
  }
}

function record(
  strata: readonly Stratum[],
  code: number,
  stableMs: number,
  canaryMs: number,
  counts: { calls: number },
): void {
  const stable = code & 3
  const canary = (code >> 2) & 3
  const arm = ((code >> 4) & 1) as 0 | 1
  const cohort = (code >> 5) & 63
  const first = (code & (1 << 11)) !== 0
  const stratum = strata[(code >> 13) + 1]!
  const outcome = arm === 0 ? stable : canary
  recordEvaluation(stratum, arm, cohort, outcome, arm === 0 ? stableMs : canaryMs, first)
  if ((code & (1 << 12)) !== 0) recordPair(stratum, cohort, stable, canary, stableMs, canaryMs, first)
  if (arm === 1) counts.calls += 1
}

/** Serin itself, asked as the leader asks it. `watched` is what has to pass; without it the rollout. */
export function serin(world: World, criteria: readonly Criterion[], watched?: readonly CriterionName[]): Method {
  let trip: TripState | undefined
  let cause: string | undefined
  return {
    get cause() {
      return cause
    },
    look({ evidence, minute }) {
      const input = { criteria, evidence, ramp: world.ramp } satisfies Partial<JudgeInput>
      trip = advanceTrip(trip, input)
      const verdict = judge({ ...input, shadow: world.shadow, falseAlarmRate: 0.05, at: minute * 60_000, trip })
      cause = verdict.cause
      if (verdict.result === "breach") return "breach"
      return passed(verdict, watched) ? "pass" : "open"
    },
  }
}

function passed(verdict: Verdict, watched: readonly CriterionName[] | undefined): boolean {
  if (watched === undefined) return verdict.result === "pass"
  return watched.every((name) => verdict.criteria.find((one) => one.criterion === name)?.result === "pass")
}

let pool: Stratum[] = []

/** Strata are large: those of the last run are used again. */
function acquire(ramp: number): readonly Stratum[] {
  while (pool.length < ramp + 1) pool.push(createStratum())
  pool = pool.slice(0, ramp + 1)
  for (const stratum of pool)
    for (const array of Object.values(stratum) as (Float64Array | Uint32Array)[]) array.fill(0)
  return pool
}
