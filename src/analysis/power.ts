import type { Criterion } from "../model/verdict.js"
import type { Game } from "./betting.js"
import { FACTS, isZeroTolerance, outcomeOf, weigh } from "./criteria.js"
import { ALPHA_PASS } from "./criterion.js"
import { deffOf, informationOf, leastSessions, truthOf, type Setting, type Source, type Truth } from "./expected.js"
import { callsForZero } from "./outlook.js"
import { gamesOf } from "./paired.js"
import { informationNeeded } from "./passage.js"
import { precisionFor } from "./reading.js"
import { lateStart, startMixture } from "./strata.js"
import { bet, ceilingOf } from "./trip.js"
import { NO_WAGER, pooledLogE, wagerLogE, type Wager } from "./wager.js"
import type { Workload } from "./workload.js"

/** Sessions of both arms together, from the beginning of the stage, until a share of all rollouts has decided; ∞: never. */
export interface Need {
  /** Half of them. */
  readonly typical: number
  /** Four of five. */
  readonly likely: number
}

const QUANTILES = { typical: 0.5, likely: 0.8 } as const
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
  if (isZeroTolerance(criterion.name, criterion.max)) return zeroNeed(source, workload, share)
  const truth = truthOf(criterion, workload, null)
  const { within: games } = gamesOf(criterion)
  if (source === "pairs" && games !== undefined) return wageredPass(criterion, games, truth, workload, setting)
  const { perSession, noise } = informationOf(criterion, source, truth, workload, setting)
  const question = { excess: -truth.excess, alpha: ALPHA_PASS, rho: precisionFor(criterion).within, noise }
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

/** A pass by bets: what is counted are effective calls. A healthy canary is slow on some of the calls that stable is slow on. */
function wageredPass(
  criterion: Criterion,
  games: readonly Game[],
  { stable, canary }: Truth,
  workload: Workload,
  setting: Setting,
): PassNeed {
  const rates = [
    { plus: Math.max(0, stable - canary), minus: Math.max(0, canary - stable) },
    { plus: 0, minus: canary },
  ]
  const effective = { trials: 1, deff: 1 }
  const until = (off: number): number =>
    firstCount((calls) =>
      modelled(games).every(
        (game, i) => pooledLogE([wagerOf(rates[i]!, calls, effective, off)], game) >= -Math.log(ALPHA_PASS),
      ),
    )
  return {
    source: "pairs",
    perSession: (workload.callsPerSession * setting.sample) / deffOf("pairs", workload),
    typical: until(EVENTS_OFF.typical),
    likely: until(EVENTS_OFF.likely),
    least: leastSessions(criterion, "pairs", workload, setting, "pass"),
  }
}

/** Of latency the claims at stable's p99. Those at the canary's are the same from the other side, of which a plan knows nothing. */
const modelled = (games: readonly Game[]): readonly Game[] => games.slice(0, 2)

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
  if (isZeroTolerance(criterion.name, criterion.max)) {
    const calls = workload.callsPerSession * (source === "pairs" ? setting.sample : setting.share)
    const until = (quantile: number): number =>
      Math.log(1 - quantile) / Math.log(1 - Math.min(truth.excess, 1 - 1e-12)) / calls
    return { typical: Math.ceil(until(QUANTILES.typical)), likely: Math.ceil(until(QUANTILES.likely)) }
  }
  if (source === "pairs") {
    return wagerNeed(criterion, truth, workload, setting, Math.log(1 / level), least)
  }
  const alpha = level * startWeight(setting, lateStart)
  const { perSession, noise } = informationOf(criterion, source, truth, workload, setting)
  const rho = precisionFor(criterion).worse
  const until = (quantile: number): number => {
    const information = informationNeeded({ excess: truth.excess, alpha, rho, noise }, quantile)
    return Math.ceil(Math.max(least, information / perSession))
  }
  return { typical: until(QUANTILES.typical), likely: until(QUANTILES.likely) }
}

/** How far off the mean the events are in runs that decide by then, in standard deviations: simulated first passages. */
const EVENTS_OFF = { typical: 0.35, likely: -0.48 } as const
/** Paired sessions of a stage before this one, in which nothing was wrong. */
const HEALTHY_SESSIONS = 1000

/** Events of one claim, as shares of trials. */
interface Rates {
  readonly plus: number
  readonly minus: number
}

/** Events as they are to be expected, or `off` standard deviations better: more that win or, where none can, fewer that lose. */
function wagerOf(
  rates: Rates,
  sessions: number,
  per: { readonly trials: number; readonly deff: number },
  off: number,
): Wager {
  const trials = sessions * per.trials
  const events = (rate: number, sign: number): number =>
    Math.min(trials, Math.max(0, rate * trials + sign * off * Math.sqrt(rate * (1 - rate) * trials * per.deff)))
  const plus = events(rates.plus, 1)
  const minus = rates.plus > 0 ? rates.minus * trials : events(rates.minus, -1)
  return { plus: Math.min(plus, trials - minus), minus, trials, deff: per.deff }
}

/** Pairs are bet on: as many events as there are to be expected, against the bets themselves. */
function wagerNeed(
  criterion: Criterion,
  { stable, canary, minus }: Truth,
  workload: Workload,
  { sample, before }: Setting,
  target: number,
  least: number,
): Need {
  const games = gamesOf(criterion).worse
  const events = games[0]?.least === 0 ? canary : canary - stable + minus
  // The second game of latency is about the canary alone.
  const rates = [
    { plus: events, minus },
    { plus: canary, minus: 0 },
  ]
  const per = { trials: sample * workload.callsPerSession, deff: deffOf("pairs", workload) }
  // Sessions from before the ramp have a stratum as well, and nothing in it.
  const healthy = wagerOf({ plus: minus, minus }, HEALTHY_SESSIONS, per, 0)
  const earlier = [NO_WAGER, ...Array.from({ length: before.pairs }, () => healthy)]
  const until = (off: number): number =>
    firstCount((sessions) =>
      modelled(games).every(
        (game, i) => wagerLogE([...earlier, wagerOf(rates[i]!, sessions, per, off)], game) >= target,
      ),
    )
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
  const budget = FACTS[criterion.name].kind === "budget"
  const rate = workload.rates[outcomeOf(criterion.name)]
  const bad = Math.min(1, rate + effect)
  const target = -Math.log(level * startWeight(setting, startMixture))
  const enough = (sessions: number, z: number): boolean => {
    const stable = sessions * (1 - share)
    const ceiling = budget ? criterion.max : ceilingOf(rate * stable, stable, criterion.max)
    if (ceiling === null) return false
    const [win, loss] = [bet(ceiling, 1, 0), bet(ceiling, 0, 1)]
    const mean = bad * win + (1 - bad) * loss
    const n = sessions * share
    return n * mean - z * Math.sqrt(n * bad * (1 - bad)) * (win - loss) >= target
  }
  // A ceiling that comes down and a sum that grows cross once.
  const until = (z: number): number => firstCount((sessions) => enough(sessions, z))
  return { typical: until(0), likely: until(Z_LIKELY) }
}

/** Weight of a regression that begins in this stage, of served sessions. */
function startWeight({ before }: Setting, mix: (logEFrom: readonly number[]) => number): number {
  const much = 1000
  const logEs = Array.from({ length: before.arms + 1 }, (_, i) => (i === before.arms ? much : 0))
  return Math.exp(mix(logEs) - much)
}
