import type { Criterion } from "../model/verdict.js"
import { CANARY, STABLE, flipTally, pairTally, pairTrials, scanPairTally } from "./counts.js"
import { FACTS, type CriterionFacts } from "./criteria.js"
import { readHistogram } from "./histogram.js"
import { eventWager, pairedDelta, pairedWager } from "./pairs.js"
import { pairedLatencyDelta } from "./quantiles.js"
import type { Ramped } from "./ramp.js"
import { rateAgainst, total, type PerCohort } from "./rates.js"
import {
  STRATUM_GUARD,
  enoughTimed,
  gather,
  isSpread,
  same,
  type Measurement,
  type Reading,
  type Sizes,
} from "./reading.js"

/** Fewest paired sessions, all strata together, for a pass. */
export const PASS_PAIRED_SESSIONS = 50

/** Read what calls judged by both arms say about a criterion. Pairs need no split: every stratum has its say. */
export function readPairs(criterion: Criterion, strata: readonly Ramped[]): Reading {
  const measured = strata.map((ramped) => measure(criterion, FACTS[criterion.name], ramped))
  const { kind } = FACTS[criterion.name]
  const least = kind === "latency" ? undefined : kind === "budget" ? 0 : -1
  return gather(criterion, measured, ({ canary }) => canary >= PASS_PAIRED_SESSIONS, least)
}

function measure({ name, max }: Criterion, facts: CriterionFacts, ramped: Ramped): Measurement {
  if (facts.kind === "latency") return measureLatency(max, facts.scans, ramped)
  if (facts.kind === "budget") return measureFlips(max, facts.flip, ramped)
  const ofScans = facts.cells.trials === "scans"
  if (!ofScans && facts.outcome === undefined) throw new TypeError(`${name}: is neither of calls nor of texts`)
  const tally = facts.outcome === undefined ? scanPairTally(ramped.stratum) : pairTally(ramped.stratum, facts.outcome)
  const valid = isValid(tally)
  const delta = valid ? pairedDelta(tally, max) : null
  return { ...same(delta), wager: valid ? pairedWager(tally) : null, ...sizes(tally.trials, tally.sessions) }
}

type Flip = Extract<CriterionFacts, { kind: "budget" }>["flip"]

function measureFlips(max: number, flip: Flip, { stratum }: Ramped): Measurement {
  const tally = flipTally(
    stratum,
    (stable, canary) => canary === flip.canary && (flip.stable?.includes(stable) ?? true),
  )
  // How the calls of a session cluster is better seen in stable's allows than in flips, which are few.
  const allows = pairTally(stratum, "allow")
  const clustering = { events: allows.stable, trials: allows.trials, sessions: allows.sessions }
  const valid = isValid(tally)
  const delta = valid ? rateAgainst(tally, max, clustering) : null
  const wager = valid ? eventWager(tally, clustering) : null
  return { ...same(delta), wager, ...sizes(tally.trials, tally.sessions), events: total(tally.events) }
}

function measureLatency(maxMs: number, scans: boolean, { stratum, index }: Ramped): Measurement {
  const array = scans ? "pairedScanLatency" : "pairedLatency"
  const name = `strata[${index}].${array}`
  const trials = pairTrials(scans ? stratum.scanPairs : stratum.pairs)
  const stable = readHistogram(stratum[array], STABLE, trials, name)
  const canary = readHistogram(stratum[array], CANARY, trials, name)
  const sessions = total(scans ? stratum.scanPairedSessions : stratum.pairedSessions)
  const timed = enoughTimed({ stable: total(stable.totals), canary: total(canary.totals) })
  const valid = timed && isValid({ trials: stable.totals, sessions })
  const deltas = valid ? pairedLatencyDelta(stable, canary, sessions, maxMs) : same(null)
  return { ...deltas, ...sizes(stable.totals, sessions), histograms: [stable, canary] }
}

function isValid({ trials, sessions }: { readonly trials: PerCohort; readonly sessions: number }): boolean {
  return sessions >= STRATUM_GUARD.canarySessions && isSpread(trials)
}

function sizes(trials: PerCohort, sessions: number): Sizes {
  const pairs = total(trials)
  return { evaluations: { stable: pairs, canary: pairs }, sessions: { stable: sessions, canary: sessions }, pairs }
}
