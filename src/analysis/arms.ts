import type { Criterion } from "../model/verdict.js"
import { CANARY, STABLE, armTally, armTotal, column, sessionsOf } from "./counts.js"
import { FACTS } from "./criteria.js"
import { readHistogram } from "./histogram.js"
import { latencyDelta } from "./quantiles.js"
import { isSplit, servesCanary, type Ramped } from "./ramp.js"
import { rateAgainst, rateDelta, total } from "./rates.js"
import {
  STRATUM_GUARD,
  enoughTimed,
  gather,
  isSpread,
  same,
  type Measurement,
  type Reading,
  type Two,
} from "./reading.js"

/** Fewest sessions per arm, all strata together, for a pass. */
export const PASS_SESSIONS = 30

/** Read what served sessions say about a criterion. */
export function readArms(criterion: Criterion, strata: readonly Ramped[]): Reading {
  const isBudget = FACTS[criterion.name].kind === "budget"
  const measured = strata.filter(isBudget ? servesCanary : isSplit).map((ramped) => measure(criterion, ramped))
  return gather(criterion, measured, ({ stable, canary }) => {
    return (isBudget ? canary : Math.min(stable, canary)) >= PASS_SESSIONS
  })
}

function measure({ name, max }: Criterion, ramped: Ramped): Measurement {
  const facts = FACTS[name]
  if (facts.kind === "delta") return measureRate(max, facts.cells, ramped)
  if (facts.kind === "budget") return measureBudget(max, ramped)
  return measureLatency(max, facts.scans ? "scanLatency" : "latency", ramped)
}

function measureRate(
  max: number,
  { events, trials }: { events: Parameters<typeof armTally>[2]; trials: Parameters<typeof armTally>[3] },
  { stratum }: Ramped,
): Measurement {
  const stable = armTally(stratum, STABLE, events, trials)
  const canary = armTally(stratum, CANARY, events, trials)
  const evaluations = { stable: total(stable.trials), canary: total(canary.trials) }
  const sessions = { stable: stable.sessions, canary: canary.sessions }
  const valid = enoughSessions(sessions) && isSpread(stable.trials) && isSpread(canary.trials)
  return { ...same(valid ? rateDelta(stable, canary, max) : null), evaluations, sessions, pairs: 0 }
}

/** The canary's own errors against an absolute limit: also of strata in which it is served alone. */
function measureBudget(max: number, { stratum }: Ramped): Measurement {
  const canary = armTally(stratum, CANARY, "error", "evaluations")
  const valid = canary.sessions >= STRATUM_GUARD.canarySessions && isSpread(canary.trials)
  return {
    ...same(valid ? rateAgainst(canary, max, canary) : null),
    evaluations: { stable: 0, canary: total(canary.trials) },
    sessions: { stable: 0, canary: canary.sessions },
    pairs: 0,
    events: total(canary.events),
  }
}

function measureLatency(
  maxMs: number,
  array: "latency" | "scanLatency",
  { stratum, index, coarse }: Ramped,
): Measurement {
  const name = `strata[${index}].${array}`
  const trials = array === "scanLatency" ? "scans" : "evaluations"
  const stable = readHistogram(stratum[array], STABLE, column(stratum, STABLE, trials), name, coarse?.[array])
  const canary = readHistogram(stratum[array], CANARY, column(stratum, CANARY, trials), name, coarse?.[array])
  const evaluations = { stable: total(stable.totals), canary: total(canary.totals) }
  const cell = sessionsOf(trials)
  const sessions = { stable: armTotal(stratum, STABLE, cell), canary: armTotal(stratum, CANARY, cell) }
  const valid =
    enoughSessions(sessions) && enoughTimed(evaluations) && isSpread(stable.totals) && isSpread(canary.totals)
  const deltas = valid
    ? latencyDelta(
        { histogram: stable, sessions: sessions.stable },
        { histogram: canary, sessions: sessions.canary },
        maxMs,
      )
    : same(null)
  return { ...deltas, evaluations, sessions, pairs: 0, histograms: [stable, canary] }
}

function enoughSessions({ stable, canary }: Two): boolean {
  return stable >= STRATUM_GUARD.stableSessions && canary >= STRATUM_GUARD.canarySessions
}
