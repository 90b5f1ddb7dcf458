import type { Evidence, Stratum } from "../model/evidence.js"
import { CANARY, STABLE, armTally, armTotal } from "./counts.js"
import { designEffect, kish, total, type Tally } from "./rates.js"
import { MOST_CALLS, type Traffic } from "./workload.js"

/** Fewest sessions of stable from which anything is estimated. */
const MIN_SESSIONS = 20

/**
 * Estimate traffic from evidence: sizes, rates and correlation from the sessions that stable served, of all strata together. They describe traffic and
 * judge nobody, so that they may be added. Null: too few sessions.
 *
 * @param ms how long the sessions came in
 */
export function observedTraffic({ strata }: Evidence, ms: number): Traffic | null {
  const sum = (pick: (stratum: Stratum) => number): number => strata.reduce((all, stratum) => all + pick(stratum), 0)
  const sessions = sum((stratum) => armTotal(stratum, STABLE, "sessions"))
  const started = sum((stratum) => armTotal(stratum, STABLE, "sessions") + armTotal(stratum, CANARY, "sessions"))
  if (sessions < MIN_SESSIONS || !(ms > 0)) return null
  const denied = addTallies(strata.map((stratum) => armTally(stratum, STABLE, "deny", "evaluations")))
  const calls = total(denied.trials)
  const size = kish(denied)
  const rate = (cell: "deny" | "escalate" | "error"): number =>
    sum((stratum) => armTotal(stratum, STABLE, cell)) / calls
  const scans = sum((stratum) => armTotal(stratum, STABLE, "scans"))
  const watched = sum((stratum) => armTotal(stratum, STABLE, "observations"))
  return {
    sessionsPerMinute: (started / ms) * 60_000,
    callsPerSession: calls / sessions,
    kish: Math.min(MOST_CALLS, size),
    rates: {
      deny: rate("deny"),
      escalate: rate("escalate"),
      error: rate("error"),
      flagged: scans > 0 ? Math.min(1, sum((s) => armTotal(s, STABLE, "scan_flagged")) / scans) : undefined,
      alerts: watched > 0 ? Math.min(1, sum((s) => armTotal(s, STABLE, "alerts")) / watched) : undefined,
    },
    correlation: size > 1 ? Math.min(1, (designEffect(denied) - 1) / (size - 1)) : undefined,
  }
}

function addTallies(tallies: readonly Tally[]): Tally {
  const add = (pick: (tally: Tally) => ArrayLike<number>): number[] =>
    Array.from({ length: tallies[0]!.trials.length }, (_, k) =>
      tallies.reduce((sum, tally) => sum + pick(tally)[k]!, 0),
    )
  return {
    events: add(({ events }) => events),
    trials: add(({ trials }) => trials),
    sessions: tallies.reduce((sum, { sessions }) => sum + sessions, 0),
  }
}
