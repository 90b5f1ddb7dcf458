import { bernoulliUpper } from "../analysis/bernoulli.js"
import { ICC_PRIOR } from "../analysis/rates.js"
import { MOST_CALLS, type Traffic } from "../analysis/workload.js"
import type { Call } from "../model/call.js"
import { OUTCOMES, type Outcome } from "../model/decision.js"
import { orGiveUp } from "../model/or-give-up.js"
import type { Evaluation, Release } from "../release/ports.js"
import { readEvaluation } from "../release/run.js"
import { bySession, callOf, type RecordedCall } from "../testing/calls.js"

/** What a release answered to one recorded call, each time that it was asked. */
export interface Answered {
  readonly recorded: RecordedCall
  /** Its place in its session, from 0 on. */
  readonly position: number
  readonly outcomes: readonly Outcome[]
  readonly durationsMs: readonly number[]
}

/** How a release answers recorded calls. Rates are shares of calls. */
export interface Measured {
  readonly calls: number
  readonly sessions: number
  /** Of what counts: the first 20 calls of a session. */
  readonly callsPerSession: number
  readonly kish: number
  readonly rates: Readonly<Record<Outcome, number>>
  readonly churn: {
    /** How often each call was asked about: 1 for a stateful policy, of which nothing can be told. */
    readonly asked: number
    /** Calls on which the release disagreed with itself, asked twice. */
    readonly calls: number
    readonly rate: number
    /** 95 % upper bound, with calls of a session taken for alike as they are. */
    readonly atMost: number
    /** Shares of calls that the first asking allowed and the second did not, and the reverse. */
    readonly newlyDenied: number
    readonly newlyAllowed: number
  }
  /** Intra-session correlation of denials, [0, 1]; null: too few denials, or none but single calls. */
  readonly correlation: number | null
}

const LEVEL = 0.05
/** Events and non-events from which on a correlation is estimated. */
const MIN_EVENTS = 10

type AnyRelease = Release<Call, Evaluation | Promise<Evaluation>, never>

/**
 * Ask a release about each recorded call, `times` times, session by session as they were recorded. A throw, a rejection and an answer that is none are errors, as
 * they are in a guard. Nothing else is caught: `signal` ends it by rejecting with its reason.
 */
export async function answerCalls(
  calls: readonly RecordedCall[],
  release: AnyRelease,
  times: number,
  options: { readonly monotonic: () => number; readonly signal?: AbortSignal | undefined },
): Promise<readonly Answered[]> {
  const answered: { recorded: RecordedCall; position: number; outcomes: Outcome[]; durationsMs: number[] }[] = []
  const positions = new Map<string, number>()
  for (const recorded of calls) {
    const position = positions.get(recorded.session) ?? 0
    positions.set(recorded.session, position + 1)
    answered.push({ recorded, position, outcomes: [], durationsMs: [] })
  }
  // One whole pass after the other, so that what changes over time shows as churn.
  for (let time = 0; time < times; time++) {
    for (const { recorded, outcomes, durationsMs } of answered) {
      options.signal?.throwIfAborted()
      const startedAt = options.monotonic()
      outcomes.push(await outcomeOf(release, recorded, options.signal))
      durationsMs.push(options.monotonic() - startedAt)
    }
  }
  return answered
}

async function outcomeOf(
  { policy }: AnyRelease,
  recorded: RecordedCall,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  try {
    const asked = policy.evaluate(callOf(recorded), { sessionId: recorded.session, startedAt: 0 })
    // It may never come.
    const answer = asked instanceof Promise && signal !== undefined ? orGiveUp(signal, asked) : asked
    return readEvaluation(await answer)?.outcome ?? "error"
  } catch {
    signal?.throwIfAborted()
    return "error"
  }
}

/** Measure what was answered: of the calls that count. */
export function measure(answered: readonly Answered[]): Measured {
  const counted = answered.filter(({ position }) => position < MOST_CALLS)
  const sessions = groupBySession(counted)
  const sizes = sessions.map((session) => session.length)
  const squares = sizes.reduce((sum, size) => sum + size * size, 0)
  const kish = squares / counted.length
  const share = (has: (answered: Answered) => boolean): number => counted.filter(has).length / counted.length
  const first = ({ outcomes }: Answered): Outcome => outcomes[0] ?? "error"
  const second = ({ outcomes }: Answered): Outcome => outcomes[1] ?? outcomes[0] ?? "error"
  const rates = Object.fromEntries(
    OUTCOMES.map((outcome) => [outcome, share((one) => first(one) === outcome)]),
  ) as Measured["rates"]
  const correlation = correlationOf(sessions, (one) => first(one) === "deny")
  const unsure = share((one) => first(one) !== second(one))
  const deff = 1 + Math.max(ICC_PRIOR, correlation ?? 0) * (kish - 1)
  const effective = counted.length / deff
  return {
    calls: counted.length,
    sessions: sessions.length,
    callsPerSession: counted.length / sessions.length,
    kish,
    rates,
    churn: {
      asked: counted[0]?.outcomes.length ?? 0,
      calls: counted.filter((one) => first(one) !== second(one)).length,
      rate: unsure,
      atMost: bernoulliUpper(unsure * effective, effective, LEVEL),
      newlyDenied: share((one) => first(one) === "allow" && second(one) === "deny"),
      newlyAllowed: share((one) => (first(one) === "deny" || first(one) === "escalate") && second(one) === "allow"),
    },
    correlation,
  }
}

/** The same as a plan takes it. */
export function trafficOf(measured: Measured, sessionsPerMinute: number): Traffic {
  const { callsPerSession, kish, rates, churn, correlation } = measured
  const { deny, escalate, error } = rates
  return {
    sessionsPerMinute,
    callsPerSession,
    kish,
    rates: { deny, escalate, error },
    churn: churn.rate,
    correlation: correlation ?? undefined,
  }
}

export const groupBySession = (answered: readonly Answered[]): readonly (readonly Answered[])[] =>
  bySession(answered, ({ recorded }) => recorded.session)

/** One-way analysis of variance: what sessions differ by, beyond what their calls differ by (Fleiss; Donner 1986). */
function correlationOf(sessions: readonly (readonly Answered[])[], event: (one: Answered) => boolean): number | null {
  const sizes = sessions.map((session) => session.length)
  const n = sizes.reduce((sum, size) => sum + size, 0)
  const k = sessions.length
  const counts = sessions.map((session) => session.filter(event).length)
  const events = counts.reduce((sum, count) => sum + count, 0)
  if (events < MIN_EVENTS || n - events < MIN_EVENTS || n === k || k < 2) return null
  const between = counts.reduce((sum, count, i) => sum + count ** 2 / sizes[i]!, 0) - events ** 2 / n
  const within = events - counts.reduce((sum, count, i) => sum + count ** 2 / sizes[i]!, 0)
  const [msBetween, msWithin] = [between / (k - 1), within / (n - k)]
  const size = (n - sizes.reduce((sum, one) => sum + one * one, 0) / n) / (k - 1)
  const found = (msBetween - msWithin) / (msBetween + (size - 1) * msWithin)
  return Number.isFinite(found) ? Math.min(1, Math.max(0, found)) : null
}
