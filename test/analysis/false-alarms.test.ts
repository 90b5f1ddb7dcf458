import { describe, expect, it } from "vitest"
import { judge } from "../../src/analysis/judge.js"
import { advanceTrip, type TripState } from "../../src/analysis/trip.js"
import { createStratum } from "../../src/evidence/cells.js"
import { OUTCOMES } from "../../src/model/decision.js"
import { CELLS, type Stratum } from "../../src/model/evidence.js"
import type { CriterionName } from "../../src/model/verdict.js"
import { enforce, input, on, uniforms, type World } from "./traffic.js"

const RUNS = 80
const LOOKS = 3
// Copied out of the modules: this runs a million times.
const ORDER = [...OUTCOMES]
const WIDTH = CELLS.length
const SESSIONS = CELLS.indexOf("sessions")
const FIRST = CELLS.indexOf("first_allow")
const CRITERIA = [
  enforce("deny_rate_delta_max"),
  enforce("error_rate_delta_max", 0.01),
  enforce("newly_denied_rate_max"),
  enforce("newly_allowed_rate_max", 0.005),
  enforce("error_rate_max", 0.02),
]

/** A session is quick to be denied or not: calls of a session go together. */
const clustered: World["stable"] = (mood, random) =>
  random() < (mood < 0.1 ? 0.32 : 0.02) ? "deny" : random() < 0.002 ? "error" : "allow"

/** Serve 110 sessions, a fifth of them by the canary; counts only what the criteria above read. */
function serve(stratum: Stratum, canary: World["canary"], shadow: boolean, random: () => number): void {
  const { cells, pairs, pairedSessions } = stratum
  for (let session = 0; session < 110; session++) {
    const cohort = Math.floor(random() * 64)
    const row = ((random() < 0.2 ? 64 : 0) + cohort) * WIDTH
    const mood = random()
    const calls = 1 + Math.floor(random() * 12)
    for (let call = 0; call < calls; call++) {
      const answer = clustered(mood, random)
      const [s, c] = [ORDER.indexOf(answer), ORDER.indexOf(canary(answer, mood, random))]
      const served = row < 64 * WIDTH ? s : c
      cells[row]! += 1
      cells[row + 1 + served]! += 1
      if (shadow) pairs[cohort * 16 + s * 4 + c]! += 1
      if (call > 0) continue
      cells[row + FIRST + served]! += 1
      cells[row + SESSIONS]! += 1
      if (shadow) pairedSessions[cohort]! += 1
    }
  }
}

/** Runs that are ever breached, and runs in which criterion `name` ever passes, over all looks. */
function rollouts(
  canary: World["canary"],
  shadow: boolean,
  name: CriterionName = "deny_rate_delta_max",
  runs = RUNS,
  criteria = CRITERIA,
): { breached: number; passed: number } {
  let [breached, passed] = [0, 0]
  const stratum = createStratum()
  const asked = input(criteria, [stratum], { shadow })
  for (let run = 0; run < runs; run++) {
    const random = uniforms(1000 + run)
    for (const counts of [stratum.cells, stratum.pairs, stratum.pairedSessions]) counts.fill(0)
    let [everBreached, everPassed] = [false, false]
    let trip: TripState | undefined
    for (let look = 0; look < LOOKS; look++) {
      serve(stratum, canary, shadow, random)
      trip = advanceTrip(trip, asked)
      const verdict = judge({ ...asked, trip })
      everBreached ||= verdict.result === "breach"
      everPassed ||= on(verdict, name).result === "pass"
    }
    if (everBreached) breached++
    if (everPassed) passed++
  }
  return { breached, passed }
}

/** The same with nothing else to spend the rate on. */
function atLimit(canary: World["canary"], shadow: boolean, name: CriterionName): ReturnType<typeof rollouts> {
  const alone = CRITERIA.filter((criterion) => criterion.name === name)
  return rollouts(canary, shadow, name, RUNS, alone)
}

/** Denies 2 pp more, all of it in a tenth of the sessions. */
const atTheLimit: World["canary"] = (stable, mood, random) =>
  stable === "allow" && mood >= 0.9 && random() < 0.204 ? "deny" : stable
const beyond: World["canary"] = (stable, _, random) => (stable === "allow" && random() < 0.35 ? "deny" : stable)
/** Lets through what stable denies, in 0.5 % of all calls. */
const allowingAtTheLimit: World["canary"] = (stable, mood, random) =>
  stable === "deny" && mood < 0.1 && random() < 0.156 ? "allow" : stable

// Half a second each on an idle machine.
describe("false alarms, looked for at every look", { timeout: 60_000 }, () => {
  const most = RUNS * 0.05

  it("stay within the rate for equal releases on served sessions", () => {
    expect(rollouts((stable) => stable, false, undefined, 40).breached).toBeLessThanOrEqual(1)
  })

  it("stay within the rate for equal releases on pairs, most of which pass", () => {
    const { breached, passed } = rollouts((stable) => stable, true, undefined, 40)
    expect(breached).toBeLessThanOrEqual(1)
    expect(passed).toBeGreaterThan(20)
  })

  it("stay within the rate for a canary exactly at its limit of denials", () => {
    expect(atLimit(atTheLimit, false, "deny_rate_delta_max").breached).toBeLessThanOrEqual(most)
    const { breached, passed } = atLimit(atTheLimit, true, "deny_rate_delta_max")
    expect(breached).toBeLessThanOrEqual(most)
    expect(passed).toBeLessThanOrEqual(most)
  })

  it("stay within the rate for a canary exactly at its budget of new allows", () => {
    const { breached, passed } = atLimit(allowingAtTheLimit, true, "newly_allowed_rate_max")
    expect(breached).toBeLessThanOrEqual(most)
    expect(passed).toBeLessThanOrEqual(most)
  })

  it("are not bought by blindness: a canary far beyond its limit is breached", () => {
    expect(rollouts(beyond, false, undefined, 15).breached).toBeGreaterThan(12)
  })
})
