import type { Criterion } from "../model/verdict.js"
import { PASS_SESSIONS } from "./arms.js"
import type { Game } from "./betting.js"
import { FACTS, weigh } from "./criteria.js"
import { ALPHA_PASS, isZeroTolerance } from "./criterion.js"
import { callsForZero } from "./outlook.js"
import { PASS_PAIRED_SESSIONS } from "./paired.js"
import { informationNeeded } from "./passage.js"
import { QUANTILE } from "./quantiles.js"
import { ICC_PRIOR } from "./rates.js"
import { LATENCY_GUARD, STRATUM_GUARD, gather } from "./reading.js"
import { startMixture } from "./strata.js"
import { bet, ceilingOf } from "./trip.js"
import { NO_WAGER, wagerLogE, type Wager } from "./wager.js"
import type { Workload } from "./workload.js"

/** Where a criterion is asked: one stage of the ramp. */
export interface Setting {
  /** Share of sessions that the canary serves, [0, 1]. */
  readonly share: number
  /** Share of sessions whose calls both judge, [0, 1]. */
  readonly sample: number
  /** Chance of a false alarm, and how many enforced criteria share it. */
  readonly falseAlarmRate: number
  readonly enforced: number
  /** Stages before this one that served the canary, and stages before this one: evidence is weighed by where a regression begins. */
  readonly before: { readonly arms: number; readonly pairs: number }
}

/** Sessions of both arms together, from the beginning of the stage, until a share of all rollouts has decided; ∞: never. */
export interface Need {
  /** Half of them. */
  readonly typical: number
  /** Four of five. */
  readonly likely: number
}

export type Source = "arms" | "pairs"

const QUANTILES = { typical: 0.5, likely: 0.8 } as const
/** Two releases that never disagree still differ from one rollout to the next by the sizes of their sessions. */
const LEAST_NOISE = 0.05
/** The normal quantile of `likely`. */
const Z_LIKELY = 0.8416

/** Information that one session gives about a criterion, and how much is asked for. */
export interface PassNeed {
  readonly source: Source
  /** Of one session of either arm; 0: this stage tells nothing. */
  readonly perSession: number
  readonly typical: number
  readonly likely: number
  /** Sessions that the method asks for whatever they tell. */
  readonly least: number
}

/** Say what a pass takes when the canary is as good as stable. */
export function passNeed(criterion: Criterion, workload: Workload, setting: Setting): PassNeed {
  const shadow = setting.sample > 0
  const source: Source = weigh(criterion.name, shadow).some((one) => one.source === "pairs") ? "pairs" : "arms"
  const share = source === "pairs" ? setting.sample : setting.share
  if (isZeroTolerance(criterion)) return zeroNeed(source, workload, share)
  const truth = truthOf(criterion, workload, null)
  const { rho } = gather(criterion, [], () => false)
  const { perSession, noise } = informationOf(criterion, source, truth, workload, setting)
  const question = { excess: -truth.excess, alpha: ALPHA_PASS, rho: rho.within, noise }
  return {
    source,
    perSession,
    typical: informationNeeded(question, QUANTILES.typical),
    likely: informationNeeded(question, QUANTILES.likely),
    least: leastSessions(criterion, source, workload, setting, "pass"),
  }
}

/** A limit of 0 never passes; it stops holding when its bound is low enough. Its information is counted in effective calls. */
function zeroNeed(source: Source, workload: Workload, share: number): PassNeed {
  // Churn is an event sooner or later, and the first one is a breach.
  const calls = workload.churn > 0 ? Infinity : callsForZero()
  const perSession = (workload.callsPerSession * share) / deffOf(source, workload)
  return { source, perSession, typical: calls, likely: calls, least: 0 }
}

/** Say how many sessions it takes to stop a canary that is worse by `effect`: the fastest of its sources. */
export function breachNeed(criterion: Criterion, workload: Workload, setting: Setting, effect: number): Need {
  const needs = weigh(criterion.name, setting.sample > 0).map(({ source, weight }): Need => {
    const alpha = (setting.falseAlarmRate / setting.enforced) * weight
    if (source === "trip") return tripNeed(criterion, workload, setting, effect, alpha)
    return readingNeed(criterion, source, workload, setting, effect, alpha)
  })
  return {
    typical: Math.min(...needs.map(({ typical }) => typical)),
    likely: Math.min(...needs.map(({ likely }) => likely)),
  }
}

function readingNeed(
  criterion: Criterion,
  source: Source,
  workload: Workload,
  setting: Setting,
  effect: number,
  level: number,
): Need {
  const least = leastSessions(criterion, source, workload, setting, "breach")
  const truth = truthOf(criterion, workload, effect)
  if (isZeroTolerance(criterion)) {
    const calls = workload.callsPerSession * (source === "pairs" ? setting.sample : setting.share)
    const until = (quantile: number): number =>
      Math.log(1 - quantile) / Math.log(1 - Math.min(truth.excess, 1 - 1e-12)) / calls
    return { typical: Math.ceil(until(QUANTILES.typical)), likely: Math.ceil(until(QUANTILES.likely)) }
  }
  if (source === "pairs" && FACTS[criterion.name].kind !== "latency") {
    return wagerNeed(criterion, truth, workload, setting, Math.log(1 / level), least)
  }
  const alpha = level * startWeight(source, setting)
  const { perSession, noise } = informationOf(criterion, source, truth, workload, setting)
  const { rho } = gather(criterion, [], () => false)
  const until = (quantile: number): number => {
    const information = informationNeeded({ excess: truth.excess, alpha, rho: rho.worse, noise }, quantile)
    return Math.ceil(Math.max(least, information / perSession))
  }
  return { typical: until(QUANTILES.typical), likely: until(QUANTILES.likely) }
}

/** How far off the mean the events are in runs that decide by then, in standard deviations: simulated first passages. */
const EVENTS_OFF = { typical: 0.35, likely: -0.48 } as const
/** Paired sessions of a stage before this one, in which nothing was wrong. */
const HEALTHY_SESSIONS = 1000

/** Pairs are bet on: as many events as there are to be expected, against the bets themselves. */
function wagerNeed(
  { name, max }: Criterion,
  { stable, canary, minus }: Truth,
  workload: Workload,
  { sample, before }: Setting,
  target: number,
  least: number,
): Need {
  const game: Game = { max, least: FACTS[name].kind === "budget" ? 0 : -1 }
  const deff = deffOf("pairs", workload)
  const plus = game.least === 0 ? canary : canary - stable + minus
  const wagerOf = (sessions: number, rate: number, off: number): Wager => {
    const trials = sessions * sample * workload.callsPerSession
    const lost = Math.min(trials, minus * trials)
    const events = rate * trials + off * Math.sqrt(rate * (1 - rate) * trials * deff)
    return { plus: Math.min(trials - lost, Math.max(0, events)), minus: lost, trials, deff }
  }
  const healthy = wagerOf(HEALTHY_SESSIONS, minus, 0)
  // Sessions from before the ramp have a stratum as well, and nothing in it.
  const earlier = [NO_WAGER, ...Array.from({ length: before.pairs }, () => healthy)]
  const until = (off: number): number =>
    firstCount((sessions) => wagerLogE([...earlier, wagerOf(sessions, plus, off)], game) >= target)
  return {
    typical: Math.max(Math.ceil(least), until(EVENTS_OFF.typical)),
    likely: Math.max(Math.ceil(least), until(EVENTS_OFF.likely)),
  }
}

/** The least number that is enough; ∞ where a thousand million are not. What is enough once stays so. */
function firstCount(isEnough: (count: number) => boolean): number {
  let above = 1
  while (!isEnough(above)) {
    above *= 2
    if (above > 1e9) return Infinity
  }
  let below = Math.floor(above / 2)
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2)
    if (isEnough(middle)) above = middle
    else below = middle
  }
  return above
}

/** First evaluations of sessions: held against a ceiling that comes down as stable is known better. */
function tripNeed(criterion: Criterion, workload: Workload, setting: Setting, effect: number, level: number): Need {
  const { share } = setting
  const facts = FACTS[criterion.name]
  const budget = facts.kind === "budget"
  const outcome = facts.kind === "delta" ? facts.outcome : facts.kind === "budget" ? facts.flip.canary : undefined
  if (outcome === undefined || share === 0 || (share === 1 && !budget)) return { typical: Infinity, likely: Infinity }
  const rate = workload.rates[outcome]
  const bad = Math.min(1, rate + effect)
  const target = -Math.log(level * startWeight("arms", setting))
  const enough = (sessions: number, z: number): boolean => {
    const stable = sessions * (1 - share)
    const ceiling = budget ? criterion.max : ceilingOf(rate * stable, stable, criterion.max)
    if (ceiling === null || ceiling <= 0 || ceiling >= 1) return false
    const [win, loss] = [bet(ceiling, 1, 0), bet(ceiling, 0, 1)]
    const mean = bad * win + (1 - bad) * loss
    const n = sessions * share
    return n * mean - z * Math.sqrt(n * bad * (1 - bad)) * (win - loss) >= target
  }
  // A ceiling that comes down and a sum that grows cross once.
  const until = (z: number): number => firstCount((sessions) => enough(sessions, z))
  return { typical: until(0), likely: until(Z_LIKELY) }
}

/** What is true of a canary, and of the evidence about it. */
interface Truth {
  /** Beyond the limit where above 0. */
  readonly excess: number
  /** Stable's rate of the event that is counted. */
  readonly stable: number
  readonly canary: number
  /** Share of calls with the event in stable alone. */
  readonly minus: number
}

/** `effect`: what the canary has on top of stable; null: it is as good. For latency, the share of its calls that are too slow. */
function truthOf({ name, max }: Criterion, { rates, churn, slowShare }: Workload, effect: number | null): Truth {
  const facts = FACTS[name]
  if (facts.kind === "latency") {
    const stable = 1 - QUANTILE
    const canary = effect ?? slowShare
    return { excess: canary - stable, stable, canary, minus: stable }
  }
  if (facts.kind === "budget") {
    const base = facts.sources.includes("arms") ? rates.error : churn / 2
    const canary = Math.min(1, base + (effect ?? 0))
    return { excess: canary - max, stable: base, canary, minus: 0 }
  }
  const stable =
    facts.outcome === undefined
      ? name === "alert_rate_delta_max"
        ? rates.alerts
        : rates.flagged
      : rates[facts.outcome]
  const canary = Math.min(1, stable + (effect ?? 0))
  return { excess: canary - stable - max, stable, canary, minus: Math.min(stable, churn / 2) }
}

/** Of one session of either arm, as the judge reckons it; and how noisy it is in truth, where it reckons with a floor. */
interface Information {
  readonly perSession: number
  readonly noise: number
}

function informationOf(
  { name, max }: Criterion,
  source: Source,
  truth: Truth,
  workload: Workload,
  { share, sample }: Setting,
): Information {
  const { kind } = FACTS[name]
  const { stable, canary, minus } = truth
  const limit = kind === "latency" ? 0 : max
  const calls = workload.callsPerSession / deffOf(source, workload)
  const per = (inArm: number, actual: number, floor: number): Information => {
    const variance = Math.max(actual, floor)
    return { perSession: (calls * inArm) / variance, noise: Math.max(LEAST_NOISE, actual / variance) }
  }
  if (kind === "budget") return per(source === "pairs" ? sample : share, binomial(canary), binomial(limit))
  if (source === "pairs") {
    const plus = canary - stable + minus
    return per(sample, plus + minus - (plus - minus) ** 2, limit + 2 * minus - limit ** 2)
  }
  // Nothing to compare with where one arm serves alone.
  if (share === 0 || share === 1) return { perSession: 0, noise: 1 }
  const ofStable = (binomial(stable) * share) / (1 - share)
  const atLimit = Math.max(binomial(Math.min(1, stable + limit)), binomial(stable))
  return per(share, binomial(canary) + ofStable, atLimit + ofStable)
}

const binomial = (p: number): number => p * (1 - p)

function deffOf(source: Source, { kish, correlation }: Workload): number {
  return 1 + (source === "pairs" ? Math.max(ICC_PRIOR, correlation) : correlation) * (kish - 1)
}

/** Sessions of both arms below which the method says nothing. */
function leastSessions(
  { name }: Criterion,
  source: Source,
  { callsPerSession }: Workload,
  { share, sample }: Setting,
  goal: "pass" | "breach",
): number {
  const { kind } = FACTS[name]
  const timed = (of: number, inArm: number): number => (kind === "latency" ? of / callsPerSession / inArm : 0)
  if (source === "pairs") {
    const sessions = goal === "pass" ? PASS_PAIRED_SESSIONS : STRATUM_GUARD.canarySessions
    return Math.max(sessions / sample, timed(LATENCY_GUARD.stable, sample))
  }
  const [stable, canary] =
    goal === "pass" ? [PASS_SESSIONS, PASS_SESSIONS] : [STRATUM_GUARD.stableSessions, STRATUM_GUARD.canarySessions]
  const ofCanary = Math.max(canary / share, timed(LATENCY_GUARD.canary, share))
  return kind === "budget" ? ofCanary : Math.max(ofCanary, stable / (1 - share), timed(LATENCY_GUARD.stable, 1 - share))
}

/** Weight of a regression that begins in this stage. In a source's first one, starts in empty strata before it are the same. */
function startWeight(source: Source, { before }: Setting): number {
  const much = 1000
  // Pairs of sessions from before the ramp have a stratum as well, and nothing in it.
  const index = source === "pairs" ? before.pairs + 1 : before.arms
  const first = before[source] === 0
  const logEs = Array.from({ length: index + 1 }, (_, i) => (first || i === index ? much : 0))
  return Math.exp(startMixture(logEs) - much)
}
