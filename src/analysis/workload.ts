import { ICC_PRIOR } from "./rates.js"

/** What a plan is made for. All but the first have a default, which is a guess: measure them. */
export interface Traffic {
  /** Sessions that start and take part, a minute. */
  readonly sessionsPerMinute: number
  /** Calls of a session that are counted (at most 20), on average. Default 8. */
  readonly callsPerSession?: number | undefined
  /** Size of the session that the average call belongs to: Σn²/Σn. Default 1.5 × `callsPerSession`. */
  readonly kish?: number | undefined
  /** How stable answers, as shares of calls (`flagged`: of scans, `alerts`: of watched events). */
  readonly rates?:
    | {
        /** Default 0.05. */
        readonly deny?: number | undefined
        /** Default 0.03. */
        readonly escalate?: number | undefined
        /** Default 0.005. */
        readonly error?: number | undefined
        /** Default 0.01. */
        readonly flagged?: number | undefined
        /** Default 0.01. */
        readonly alerts?: number | undefined
      }
    | undefined
  /** Share of calls on which a release disagrees with itself when it is asked again. Default 0: it is deterministic. */
  readonly churn?: number | undefined
  /** Intra-session correlation of outcomes: how alike the calls of a session are, [0, 1]. Default 0.1. */
  readonly correlation?: number | undefined
  /** Share of calls that are slower than stable's p99 plus the limit when the canary is as fast as stable. Default 0.002. */
  readonly slowShare?: number | undefined
}

/** The same, with nothing left open. */
export interface Workload {
  readonly sessionsPerMinute: number
  readonly callsPerSession: number
  readonly kish: number
  readonly rates: Readonly<Record<"allow" | "deny" | "escalate" | "error" | "flagged" | "alerts", number>>
  readonly churn: number
  readonly correlation: number
  readonly slowShare: number
}

export const TRAFFIC_DEFAULTS = {
  callsPerSession: 8,
  spread: 1.5,
  deny: 0.05,
  escalate: 0.03,
  error: 0.005,
  flagged: 0.01,
  alerts: 0.01,
  churn: 0,
  correlation: ICC_PRIOR,
  slowShare: 0.002,
} as const

/** Evaluations of a session that are counted. */
export const MOST_CALLS = 20

/** Fill in the defaults. Throws a RangeError that names what is out of range. */
export function workloadOf(traffic: Traffic): Workload {
  const { sessionsPerMinute, rates = {} } = traffic
  const callsPerSession = traffic.callsPerSession ?? TRAFFIC_DEFAULTS.callsPerSession
  const need = (ok: boolean, rule: string, value: number): void => {
    if (!ok) throw new RangeError(`traffic.${rule}, got ${value}`)
  }
  need(sessionsPerMinute > 0 && sessionsPerMinute < Infinity, "sessionsPerMinute: must be above 0", sessionsPerMinute)
  need(
    callsPerSession >= 1 && callsPerSession <= MOST_CALLS,
    `callsPerSession: must be 1 to ${MOST_CALLS}, as many as are counted`,
    callsPerSession,
  )
  const kish = traffic.kish ?? Math.min(MOST_CALLS, TRAFFIC_DEFAULTS.spread * callsPerSession)
  need(
    kish >= callsPerSession * (1 - 1e-9) && kish <= MOST_CALLS,
    `kish: must be callsPerSession to ${MOST_CALLS}`,
    kish,
  )
  const share = (name: string, value: number | undefined, standard: number): number => {
    const found = value ?? standard
    need(found >= 0 && found <= 1, `${name}: must be 0 to 1`, found)
    return found
  }
  const deny = share("rates.deny", rates.deny, TRAFFIC_DEFAULTS.deny)
  const escalate = share("rates.escalate", rates.escalate, TRAFFIC_DEFAULTS.escalate)
  const error = share("rates.error", rates.error, TRAFFIC_DEFAULTS.error)
  const rest = deny + escalate + error
  // Shares of calls, of which stable allows none, may come out a rounding above.
  need(rest <= 1 + 1e-9, "rates: deny, escalate and error must be at most 1 together", rest)
  return {
    sessionsPerMinute,
    callsPerSession,
    kish,
    rates: {
      allow: Math.max(0, 1 - deny - escalate - error),
      deny,
      escalate,
      error,
      flagged: share("rates.flagged", rates.flagged, TRAFFIC_DEFAULTS.flagged),
      alerts: share("rates.alerts", rates.alerts, TRAFFIC_DEFAULTS.alerts),
    },
    churn: share("churn", traffic.churn, TRAFFIC_DEFAULTS.churn),
    correlation: share("correlation", traffic.correlation, TRAFFIC_DEFAULTS.correlation),
    slowShare: share("slowShare", traffic.slowShare, TRAFFIC_DEFAULTS.slowShare),
  }
}
