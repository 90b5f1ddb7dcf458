import { judge } from "../../src/analysis/judge.js"
import { advanceTrip, type TripState } from "../../src/analysis/trip.js"
import type { Traffic } from "../../src/analysis/workload.js"
import { createStratum } from "../../src/evidence/cells.js"
import { CELLS, type Stratum } from "../../src/model/evidence.js"
import type { Criterion } from "../../src/model/verdict.js"
import { uniforms } from "./traffic.js"

/** A canary against stable, on sessions of 1 to 20 calls; a tenth of the sessions is denied much oftener than the others. */
export interface Rollouts {
  readonly criterion: Criterion
  /** Share of the canary. */
  readonly share: number
  readonly shadow: boolean
  /** What the canary denies on top of stable, as a share of what stable allows; all of it in two of five sessions. */
  readonly effect: number
  /** Share of calls on which each release decides at random between allow and deny. */
  readonly churn?: number
  /** Judged after so many sessions, and up to so many. */
  readonly step: number
  readonly most: number
}

const WIDTH = CELLS.length
const SESSIONS = CELLS.indexOf("sessions")
const FIRST = CELLS.indexOf("first_allow")
const HIT = 0.4
const [MOODY, LOW, HIGH] = [0.1, 0.02, 0.32]
/** Calls of a session: 1 to 12, each as likely. */
const MOST_CALLS = 12

/** What the sessions below are, as a plan is told it. */
export const TRAFFIC: Traffic = {
  sessionsPerMinute: 1,
  callsPerSession: (MOST_CALLS + 1) / 2,
  kish: (2 * MOST_CALLS + 1) / 3,
  rates: { deny: 0.05, escalate: 0, error: 0 },
  // Variance of the session's own rate over that of a call.
  correlation: (MOODY * (1 - MOODY) * (HIGH - LOW) ** 2) / (0.05 * 0.95),
}

/** Sessions until the criterion is settled as asked, one number a rollout; Infinity where it was not by then. */
export function sessionsUntil(result: "pass" | "breach", rollouts: Rollouts, runs: number): number[] {
  return Array.from({ length: runs }, (_, run) => {
    const random = uniforms(77_000 + run)
    const stratum = createStratum()
    const before = createStratum()
    const { criterion, share, shadow, step, most } = rollouts
    let trip: TripState | undefined
    for (let sessions = 0; sessions < most; sessions += step) {
      for (let i = 0; i < step; i++) serveOne(stratum, rollouts, random)
      const asked = {
        criteria: [criterion],
        evidence: { generation: 1, strata: [before, stratum] },
        ramp: [{ weightBp: Math.round(share * 10_000) }],
        shadow,
        falseAlarmRate: 0.05,
        at: 0,
      }
      trip = advanceTrip(trip, asked)
      if (judge({ ...asked, trip }).criteria[0]?.result === result) return sessions + step
    }
    return Infinity
  })
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

function serveOne({ cells, pairs, pairedSessions }: Stratum, world: Rollouts, random: () => number): void {
  const { share, shadow, effect, churn = 0 } = world
  const cohort = Math.floor(random() * 64)
  const row = ((random() < share ? 64 : 0) + cohort) * WIDTH
  const rate = random() < MOODY ? HIGH : LOW
  const newly = random() < HIT ? Math.min(1, effect / HIT) : Math.max(0, effect - HIT) / (1 - HIT)
  const calls = 1 + Math.floor(random() * MOST_CALLS)
  // 2 × 2 outcomes: allow 0, deny 1.
  const unsure = (sure: number): number => (random() < churn ? (random() < 0.5 ? 1 : 0) : sure)
  for (let call = 0; call < calls; call++) {
    const plain = random() < rate ? 1 : 0
    const stable = unsure(plain)
    const canary = unsure(plain === 1 || random() < newly ? 1 : 0)
    const served = row < 64 * WIDTH ? stable : canary
    cells[row]! += 1
    cells[row + 1 + served]! += 1
    if (shadow) pairs[cohort * 16 + stable * 4 + canary]! += 1
    if (call > 0) continue
    cells[row + FIRST + served]! += 1
    cells[row + SESSIONS]! += 1
    if (shadow) pairedSessions[cohort]! += 1
  }
}
