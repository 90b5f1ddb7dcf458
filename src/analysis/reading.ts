import type { Criterion } from "../model/verdict.js"
import { FACTS, limitAsRate } from "./criteria.js"
import { msAt, quantilePosition, type Histogram } from "./histogram.js"
import { QUANTILE } from "./quantiles.js"
import { cohortsInUse, total, type Delta, type PerCohort } from "./rates.js"
import { NO_LOOK, lookAt, type Look } from "./strata.js"
import { NO_WAGER, type Games, type Stake, type Wagers } from "./wager.js"

/** Fewest sessions of one stratum at which the normal approximation is valid: with fewer it says nothing. */
export const STRATUM_GUARD = { stableSessions: 20, canarySessions: 5, cohorts: 2 } as const
/** Fewest timed evaluations for a p99 to mean anything. */
export const LATENCY_GUARD = { stable: 1000, canary: 50 } as const

/** τ for a limit of 0, where there is no limit to take it from: for latency as many calls as are slow. It moves power, never validity. */
const TAU_AT_ZERO = 0.01
/** Least τ for a breach of a budget: what is worth stopping for is a percent or more, however small the budget. */
const TAU_BUDGET = 0.02

export interface Two {
  readonly stable: number
  readonly canary: number
}

export interface Sizes {
  readonly evaluations: Two
  readonly sessions: Two
  readonly pairs: number
}

/** What one stratum says about one criterion. Deltas are null while its guards fail; sizes are counted all the same. */
export interface Measurement extends Sizes {
  readonly worse: Delta | null
  readonly within: Delta | null
  /** What is bet on, a wager for each game; none while the guards fail. */
  readonly wagers?: Wagers | undefined
  /** Events against a budget. */
  readonly events?: number
  readonly histograms?: readonly [stable: Histogram, canary: Histogram]
}

/** What one source says about one criterion, over all strata. */
export interface Reading extends Sizes {
  /** What estimates are held against: the limit as a rate, 0 for exceedance differences. */
  readonly limit: number
  /** As {@link precisionFor} has it. */
  readonly rho: { readonly worse: number; readonly within: number }
  /** Looks for a breach and for a pass; they differ only where durations are known to a bin. */
  readonly worse: readonly Look[]
  readonly within: readonly Look[]
  /** What is bet on instead of judging by `worse`, or by `within`. All stakes have to win. */
  readonly stakes: { readonly worse?: readonly Stake[] | undefined; readonly within?: readonly Stake[] | undefined }
  readonly events: number
  /** Canary evaluations, or pairs, of strata that say something, divided by their design effects. */
  readonly effective: number
  /** Sizes suffice for a pass. */
  readonly enough: boolean
  readonly quantiles?: { readonly stableMs: number; readonly canaryMs: number } | undefined
}

/** 1/τ² for a breach and for a pass. τ is about the excess that is looked for; as a rule that is as large as the limit. */
export function precisionFor({ name, max }: Pick<Criterion, "name" | "max">): Reading["rho"] {
  const tau = limitAsRate(name, max) || TAU_AT_ZERO
  const tauWorse = FACTS[name].kind === "budget" ? Math.max(tau, TAU_BUDGET) : tau
  return { worse: 1 / (tauWorse * tauWorse), within: 1 / (tau * tau) }
}

/** Put the strata of one source together. Looks stay apart: they are combined by information, never by counts. */
export function gather(
  criterion: Criterion,
  strata: readonly Measurement[],
  enoughSessions: (sessions: Two) => boolean,
  games?: Games,
): Reading {
  const isLatency = FACTS[criterion.name].kind === "latency"
  const limit = limitAsRate(criterion.name, criterion.max)
  const sum = (pick: (part: Measurement) => number): number => strata.reduce((all, part) => all + pick(part), 0)
  const evaluations = { stable: sum((p) => p.evaluations.stable), canary: sum((p) => p.evaluations.canary) }
  const sessions = { stable: sum((p) => p.sessions.stable), canary: sum((p) => p.sessions.canary) }
  const stakesOf = (side: keyof Games): readonly Stake[] | undefined =>
    games?.[side]?.map((game, i) => ({ game, strata: strata.map(({ wagers }) => wagers?.[side]?.[i] ?? NO_WAGER) }))
  return {
    limit,
    rho: precisionFor(criterion),
    worse: strata.map(({ worse }) => (worse === null ? NO_LOOK : lookAt(worse, limit))),
    within: strata.map(({ within }) => (within === null ? NO_LOOK : lookAt(within, limit))),
    stakes: { worse: stakesOf("worse"), within: stakesOf("within") },
    evaluations,
    sessions,
    pairs: sum((p) => p.pairs),
    events: sum((p) => p.events ?? 0),
    effective: sum((p) => (p.worse === null ? 0 : p.evaluations.canary / p.worse.deff)),
    enough: enoughSessions(sessions) && (!isLatency || enoughTimed(evaluations)),
    quantiles: isLatency ? quantilesOf(strata) : undefined,
  }
}

/** The same delta for a breach and for a pass; null when it must not be read. */
export function same(delta: Delta | null): { readonly worse: Delta | null; readonly within: Delta | null } {
  return { worse: delta, within: delta }
}

export function enoughTimed({ stable, canary }: Two): boolean {
  return stable >= LATENCY_GUARD.stable && canary >= LATENCY_GUARD.canary
}

export function isSpread(trials: PerCohort): boolean {
  return cohortsInUse(trials) >= STRATUM_GUARD.cohorts
}

/** p99 over all strata, for people to read; what is judged are exceedances stratum by stratum. */
function quantilesOf(strata: readonly Measurement[]): Reading["quantiles"] {
  const stableMs = pooledQuantile(strata.map(({ histograms }) => histograms![0]))
  const canaryMs = pooledQuantile(strata.map(({ histograms }) => histograms![1]))
  return stableMs === null || canaryMs === null ? undefined : { stableMs, canaryMs }
}

function pooledQuantile(histograms: readonly Histogram[]): number | null {
  const timed = histograms.some(({ totals }) => total(totals) > 0)
  return timed ? msAt(quantilePosition(histograms, QUANTILE)) : null
}
