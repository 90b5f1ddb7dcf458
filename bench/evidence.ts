import { createStratum, recordEvaluation, recordPair } from "../src/evidence/cells.js"
import { COHORTS, type Evidence, type Stratum } from "../src/model/evidence.js"
import { BASE } from "./verdicts/points.js"
import { randomOf, type Random } from "./verdicts/random.js"
import { sessionsOf, type SimulatedSession, type World } from "./verdicts/world.js"

/** From shadow to everybody: with the sessions from before the ramp six strata. */
export const RAMP = [0, 500, 2500, 5000, 10_000].map((weightBp, i) => ({ at: i * 3_600_000, minute: i * 60, weightBp }))

const WORLD: World = { ...BASE, ramp: RAMP, minutes: RAMP.length * 60, timed: true }
/** Mean of the simulation's log-normal sizes after their cut. */
const CALLS_PER_SESSION = 9.6

export const emptyEvidence = (): Evidence => ({
  generation: 1,
  strata: Array.from({ length: RAMP.length + 1 }, createStratum),
})

/**
 * Count about so many evaluations of healthy sessions, spread over all strata but the first, or over as many as there are; both arms judge
 * each call of stable's. Tells how many they were.
 */
export function serve({ strata }: Evidence, evaluations: number, seed: number): number {
  const random = randomOf(seed)
  const sessionsPerMinute = evaluations / CALLS_PER_SESSION / WORLD.minutes
  let served = 0
  for (const session of sessionsOf({ ...WORLD, sessionsPerMinute }, random)) {
    record(strata[Math.min(session.rampIndex + 1, strata.length - 1)]!, session, random)
    served += session.calls.length
  }
  return served
}

/** Count what comes between two looks: a few sessions of the stratum in force, that of the last entry of the ramp. */
export function serveMore({ strata }: Evidence, seed: number): void {
  const random = randomOf(seed)
  const newest = { ...WORLD, ramp: [{ ...RAMP.at(-1)!, minute: 0 }], minutes: 0.2 }
  for (const session of sessionsOf(newest, random)) record(strata[RAMP.length]!, session, random)
}

function record(stratum: Stratum, { calls, weightBp }: SimulatedSession, random: Random): void {
  const arm = random.uniform() * 10_000 < weightBp ? 1 : 0
  const cohort = Math.floor(random.uniform() * COHORTS)
  // A session's pairs count until the canary has changed it; where it serves everybody, up to its first difference.
  let paired = arm === 0 || weightBp === 10_000
  calls.forEach(({ stable, canary, stableMs, canaryMs }, i) => {
    const first = i === 0
    recordEvaluation(stratum, arm, cohort, arm === 0 ? stable : canary, arm === 0 ? stableMs : canaryMs, first)
    if (paired) recordPair(stratum, cohort, stable, canary, stableMs, canaryMs, first)
    if (arm === 1 && stable !== canary) paired = false
  })
}
