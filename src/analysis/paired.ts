import type { Outcome } from "../model/decision.js"
import type { Criterion } from "../model/verdict.js"
import { CANARY, STABLE, flipTally, pairTally, pairTrials, scanPairTally, sumOf } from "./counts.js"
import { FACTS, type CriterionFacts } from "./criteria.js"
import { readHistogram } from "./histogram.js"
import { eventWager, pairedDelta, pairedWager } from "./pairs.js"
import { FASTER, SLOWER, pairedLatency } from "./quantiles.js"
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
import type { Games } from "./wager.js"

/** Fewest paired sessions, all strata together, for a pass. */
export const PASS_PAIRED_SESSIONS = 50

/** Read what calls judged by both arms say about a criterion. Pairs need no split: every stratum has its say. */
export function readPairs(criterion: Criterion, strata: readonly Ramped[]): Reading {
  const measured = strata.map((ramped) => measure(criterion, FACTS[criterion.name], ramped))
  return gather(criterion, measured, ({ canary }) => canary >= PASS_PAIRED_SESSIONS, gamesOf(criterion))
}

/** What pairs are bet against. A pass is bet on for latency alone: for rates, how skewed they are makes the normal mixture careful. */
export function gamesOf({ name, max }: Criterion): Games {
  const { kind } = FACTS[name]
  if (kind === "latency") return { worse: SLOWER, within: FASTER }
  return { worse: [{ max, least: kind === "budget" ? 0 : -1 }] }
}

function measure({ max }: Criterion, facts: CriterionFacts, ramped: Ramped): Measurement {
  if (facts.kind === "latency") return measureLatency(max, facts.scans, ramped)
  if (facts.kind === "budget") return measureFlips(max, facts.flip, ramped)
  const tally = facts.outcome === undefined ? scanPairTally(ramped.stratum) : pairTally(ramped.stratum, facts.outcome)
  const valid = isValid(tally)
  const delta = valid ? pairedDelta(tally, max) : null
  return {
    ...saying(ramped, { ...same(delta), wagers: valid ? { worse: [pairedWager(tally)] } : undefined }),
    ...sizes(total(tally.trials), tally.sessions),
  }
}

type Flip = Extract<CriterionFacts, { kind: "budget" }>["flip"]

function measureFlips(max: number, flip: Flip, ramped: Ramped): Measurement {
  const { stratum } = ramped
  const matches = (stable: Outcome, canary: Outcome): boolean =>
    canary === flip.canary && (flip.stable?.includes(stable) ?? true)
  const tally = flipTally(stratum, stratum.pairs, matches)
  // How the calls of a session cluster is better seen in stable's allows than in flips, which are few.
  const allows = pairTally(stratum, "allow")
  const clustering = { events: allows.stable, trials: allows.trials, sessions: allows.sessions }
  const valid = isValid(tally)
  const delta = valid ? rateAgainst(tally, max, clustering) : null
  const wagers = valid ? { worse: [eventWager(tally, clustering)] } : undefined
  // "Never" is broken in any world, also in one that the canary has made.
  const after = max === 0 ? flipTally(stratum, stratum.pairsAfter, matches) : null
  const events = total(tally.events) + total(after?.events ?? [])
  const seen = sizes(total(tally.trials) + total(after?.trials ?? []), tally.sessions)
  return { ...saying(ramped, { ...same(delta), wagers }), ...seen, events }
}

function measureLatency(maxMs: number, scans: boolean, ramped: Ramped): Measurement {
  const { stratum, index } = ramped
  const coarse = ramped.coarse?.[scans ? "scanLatency" : "latency"]
  const array = scans ? "pairedScanLatency" : "pairedLatency"
  const name = `strata[${index}].${array}`
  const trials = pairTrials(scans ? stratum.scanPairs : stratum.pairs)
  const stable = readHistogram(stratum[array], STABLE, trials, name, coarse)
  const canary = readHistogram(stratum[array], CANARY, trials, name, coarse)
  const sessions = sumOf(scans ? stratum.scanPairedSessions : stratum.pairedSessions)
  const timed = enoughTimed({ stable: total(stable.totals), canary: total(canary.totals) })
  const valid = timed && isValid({ trials: stable.totals, sessions })
  const found = valid ? pairedLatency(stable, canary, sessions, maxMs) : same(null)
  return { ...saying(ramped, found), ...sizes(total(trials), sessions), histograms: [stable, canary] }
}

function isValid({ trials, sessions }: { readonly trials: PerCohort; readonly sessions: number }): boolean {
  return sessions >= STRATUM_GUARD.canarySessions && isSpread(trials)
}

type Said = Pick<Measurement, "worse" | "within" | "wagers">

/**
 * What a stratum may say. Where the canary serves everybody its pairs end with a session's first difference, so the more a
 * session differs the less it counts: that understates harm, and proves none.
 */
function saying({ weightBp }: Ramped, said: Said): Said {
  if (weightBp !== 10_000) return said
  return { worse: said.worse, within: null, wagers: said.wagers && { worse: said.wagers.worse } }
}

function sizes(pairs: number, sessions: number): Sizes {
  return { evaluations: { stable: pairs, canary: pairs }, sessions: { stable: sessions, canary: sessions }, pairs }
}
