import type { Random } from "./random.js"

/** What the canary does otherwise than stable. Rates are differences per call. */
export interface Effect {
  /** Calls that stable allows and the canary denies, beside those of a refactoring. */
  readonly deny?: number
  readonly error?: number
  /** Milliseconds added to each slow call. */
  readonly slowMs?: number
  /** Another distribution of slow calls, which are the same ones in the same order: log-normal. */
  readonly tail?: { readonly medianMs: number; readonly sigma: number }
  /** Share of calls that are slow in the canary alone. */
  readonly slowAnew?: number
  /** Answers every call like this. */
  readonly always?: "deny" | "allow"
  /** Minute from which on; 0 by default. */
  readonly from?: number
}

export interface World {
  readonly sessionsPerMinute: number
  /** Share of the canary by the minute a session starts in; ascending. */
  readonly ramp: readonly { readonly minute: number; readonly weightBp: number }[]
  readonly minutes: number
  readonly effect: Effect
  /** Both arms judge each call. */
  readonly shadow: boolean
  /** Correlation of two calls' denials in a session; errors, escalations and slow calls have half of it. */
  readonly icc: number
  /** Stable's deny rate at a minute. */
  readonly denyRate: (minute: number) => number
  /** Error rate that an outage, which both arms share, adds at a minute. */
  readonly outage?: (minute: number) => number
  /** Durations are drawn too. */
  readonly timed: boolean
  /** Share of calls that a refactoring flips in either direction. */
  readonly flips: number
  /** Calls per session before the cut: log-normal with this median and σ. */
  readonly sizes: { readonly median: number; readonly sigma: number }
}

export const ALLOW = 0
export const DENY = 1
export const ESCALATE = 2
export const ERROR = 3

/** A session as a host would see it. */
export interface SimulatedSession {
  readonly startMs: number
  readonly weightBp: number
  readonly rampIndex: number
  readonly calls: readonly SimulatedCall[]
}

/** What either release answers on a call, and how long it takes. Both are defined, whoever is asked. */
export interface SimulatedCall {
  readonly atMs: number
  readonly stable: number
  readonly canary: number
  readonly stableMs: number
  readonly canaryMs: number
}

const ERROR_RATE = 0.002
const ESCALATE_RATE = 0.03
/** Evaluations of a session that count; later ones are not even drawn. */
const CAP = 20
const GAP_MS = 10_000
/** Of calls whose time is not looked at; long ones are found sooner in a histogram that is read from above. */
const UNTIMED_MS = 1000
/** Share of calls that go to a slow scanner, clustered by session, and its time. */
const SLOW = { share: 0.03, medianMs: 120, sigma: 0.35 }

/**
 * Draw the sessions of a rollout in the order of their start. Arrivals are Poisson; sizes log-normal, cut at the cap; calls of a session are 10 s apart, exponentially, so looks see parts
 * of sessions. Each session has beta propensities of its own.
 */
export function* sessionsOf(world: World, random: Random): Generator<SimulatedSession> {
  const end = world.minutes * 60_000
  const meanGap = 60_000 / world.sessionsPerMinute
  for (let at = random.exponential() * meanGap; at < end; at += random.exponential() * meanGap) {
    const rampIndex = world.ramp.findLastIndex(({ minute }) => minute * 60_000 <= at)
    yield {
      startMs: at,
      weightBp: world.ramp[rampIndex]!.weightBp,
      rampIndex,
      calls: callsOf(world, at, random),
    }
  }
}

function callsOf(world: World, startMs: number, random: Random): SimulatedCall[] {
  const { icc, flips, effect, timed } = world
  const minute = startMs / 60_000
  const { deny = 0, error = 0, slowMs = 0, tail, slowAnew = 0, always } = minute >= (effect.from ?? 0) ? effect : {}
  const denyRate = world.denyRate(minute)
  const denies = random.beta(denyRate, icc)
  const fails = random.beta(ERROR_RATE, icc / 2)
  const escalates = random.beta(ESCALATE_RATE, icc / 2)
  // Only what stable allows can be denied anew, so of that it takes a larger share.
  const allowRate = (1 - ERROR_RATE) * (1 - denyRate - ESCALATE_RATE)
  const tightens = random.beta(flips + deny, icc)
  // Of stable's denials so many that `flips` of all calls are let through.
  const loosens = flips === 0 ? 0 : random.beta(flips / denyRate, icc)
  const breaks = error === 0 ? 0 : random.beta(error, icc / 2)
  const slow = timed ? random.beta(SLOW.share, icc / 2) : 0
  const pace = timed ? Math.exp(0.3 * random.normal()) : 1

  const size = Math.min(
    CAP,
    Math.max(1, Math.round(world.sizes.median * Math.exp(world.sizes.sigma * random.normal()))),
  )
  const calls: SimulatedCall[] = []
  let atMs = startMs
  for (let i = 0; i < size; i++) {
    const outage = world.outage?.(atMs / 60_000) ?? 0
    const fails_ = random.uniform() < fails + outage
    const draw = random.uniform()
    const stable = fails_ ? ERROR : draw < denies ? DENY : draw < denies + escalates ? ESCALATE : ALLOW
    let canary = stable
    if (stable === ALLOW && random.uniform() < tightens / allowRate) canary = DENY
    else if (stable === DENY && random.uniform() < loosens) canary = ALLOW
    if (always !== undefined && stable !== ERROR) canary = always === "deny" ? DENY : ALLOW
    if (breaks > 0 && random.uniform() < breaks) canary = ERROR
    const call = { atMs, stable, canary, stableMs: UNTIMED_MS, canaryMs: UNTIMED_MS }
    if (timed) {
      const base = 8 * pace * Math.exp(0.5 * random.normal())
      const isSlow = random.uniform() < slow
      const rank = isSlow ? random.normal() : 0
      const wait = isSlow ? SLOW.medianMs * Math.exp(SLOW.sigma * rank) : 0
      let canaryWait = isSlow ? wait + slowMs : 0
      if (isSlow && tail !== undefined) canaryWait = tail.medianMs * Math.exp(tail.sigma * rank)
      if (!isSlow && slowAnew > 0 && random.uniform() < slowAnew) {
        canaryWait = SLOW.medianMs * Math.exp(SLOW.sigma * random.normal())
      }
      // The same call costs either release about the same.
      call.stableMs = (base + wait) * Math.exp(0.1 * random.normal())
      call.canaryMs = (base + canaryWait) * Math.exp(0.1 * random.normal())
    }
    calls.push(call)
    atMs += GAP_MS * random.exponential()
  }
  return calls
}

/** Share of the canary's calls that are more than `ms` slower than stable's p99: of 60,000 sessions, to 0.0002 or so. */
export function slowShare(world: World, ms: number, random: Random): number {
  const long = { ...world, timed: true, minutes: 60_000 / world.sessionsPerMinute }
  const calls = [...sessionsOf(long, random)].flatMap((session) => session.calls)
  const limit = Float64Array.from(calls, ({ stableMs }) => stableMs).sort()[Math.floor(0.99 * calls.length)]! + ms
  return calls.filter(({ canaryMs }) => canaryMs > limit).length / calls.length
}
