import type { Criterion } from "../model/verdict.js"
import { PASS_SESSIONS } from "./arms.js"
import { FACTS, limitAsRate } from "./criteria.js"
import { PASS_PAIRED_SESSIONS } from "./paired.js"
import { QUANTILE } from "./quantiles.js"
import { ICC_PRIOR } from "./rates.js"
import { LATENCY_GUARD, STRATUM_GUARD } from "./reading.js"
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

/** What shows it first: the arms side by side, or calls that both judged. */
export type Source = "arms" | "pairs"

/** Two releases that never disagree still differ from one rollout to the next by the sizes of their sessions. */
const LEAST_NOISE = 0.05

/** What is true of a canary, and of the evidence about it. */
export interface Truth {
  /** Beyond the limit where above 0. */
  readonly excess: number
  /** Stable's rate of the event that is counted. */
  readonly stable: number
  readonly canary: number
  /** Share of calls with the event in stable alone. */
  readonly minus: number
}

/** `effect`: what the canary has on top of stable; null: it is as good. For latency, the share of its calls that are too slow. */
export function truthOf({ name, max }: Criterion, { rates, churn, slowShare }: Workload, effect: number | null): Truth {
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
export interface Information {
  readonly perSession: number
  readonly noise: number
}

export function informationOf(
  { name, max }: Criterion,
  source: Source,
  truth: Truth,
  workload: Workload,
  { share, sample }: Setting,
): Information {
  const { kind } = FACTS[name]
  const { stable, canary, minus } = truth
  const limit = limitAsRate(name, max)
  const calls = workload.callsPerSession / deffOf(source, workload)
  const per = (inArm: number, actual: number, floor: number): Information => {
    const variance = Math.max(actual, floor)
    return { perSession: (calls * inArm) / variance, noise: Math.max(LEAST_NOISE, actual / variance) }
  }
  if (kind === "budget") return per(source === "pairs" ? sample : share, binomial(canary), binomial(limit))
  // By information pairs are asked for a pass alone, of a canary that differs as often one way as the other.
  if (source === "pairs") return per(sample, 2 * minus, limit + 2 * minus - limit ** 2)
  // Nothing to compare with where one arm serves alone.
  if (share === 0 || share === 1) return { perSession: 0, noise: 1 }
  const ofStable = (binomial(stable) * share) / (1 - share)
  const atLimit = Math.max(binomial(stable + limit), binomial(stable))
  return per(share, binomial(canary) + ofStable, atLimit + ofStable)
}

const binomial = (p: number): number => p * (1 - p)

export function deffOf(source: Source, { kish, correlation }: Workload): number {
  return 1 + (source === "pairs" ? Math.max(ICC_PRIOR, correlation) : correlation) * (kish - 1)
}

/** Sessions of both arms below which the method says nothing. */
export function leastSessions(
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
