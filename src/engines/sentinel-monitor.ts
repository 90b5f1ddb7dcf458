import { refuseUnknown, requireMethods } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { own } from "../model/record.js"
import type { Alert, EvaluationContext, Monitor } from "../release/ports.js"
import { ownCopy } from "./own-copy.js"

/** What is needed of a `Sentinel`. */
export interface SentinelLike<R extends object = object> {
  processEvent(event: object): unknown
  /** Needed where no `rules` are given: the sentinel's own are copied. */
  getAlertRules?(): readonly R[]
}

/** Options of `sentinelMonitor()`. */
export interface SentinelMonitorOptions<R extends object = object> {
  /** Make a sentinel of rules: `(alertRules) => new Sentinel({ alertRules })`. Also called without, to see the rules of its own. */
  readonly sentinel: (alertRules: R[] | undefined) => SentinelLike<R>
  /** Rules of this release; it gets copies. Default: copies of the sentinel's own. */
  readonly rules?: readonly R[] | undefined
  /** Say what an event of the host's is for the sentinel; null: nothing. Default: it is the host's event itself, an object. */
  readonly event?: ((event: unknown, context: EvaluationContext) => object | null) | undefined
}

const SENTINEL_KEYS: KeysOf<SentinelMonitorOptions> = { sentinel: true, rules: true, event: true }

/**
 * Make a monitor of a `Sentinel`: its alerts are called by the ids of their rules, and its anomalies `anomaly_<metric>`. A sentinel remembers
 * every agent that it has seen: call few things an agent.
 */
export function sentinelMonitor<R extends object = object>(options: SentinelMonitorOptions<R>): Monitor {
  const { sentinel, event } = resolve(options)
  return Object.freeze({
    observe(seen: unknown, context: EvaluationContext): readonly Alert[] {
      const told = event === undefined ? seen : event(seen, context)
      if (told === null && event !== undefined) return []
      if (typeof told !== "object" || told === null) {
        throw new TypeError(
          `an event must be an object, got ${told === null ? "null" : typeof told}; say with \`event\` what it is`,
        )
      }
      const answer = sentinel.processEvent(told)
      const anomalies = listOf(answer, "anomalies").filter((one) => own(one, "isAnomaly") !== false)
      return [
        ...listOf(answer, "alerts").map((one) => alertOf(own(one, "ruleId"), own(one, "message"))),
        ...anomalies.map((one) => alertOf(own(one, "metric"), undefined, "anomaly_")),
      ]
    },
  })
}

function listOf(answer: unknown, key: string): readonly unknown[] {
  const list = own(answer, key)
  if (Array.isArray(list)) return list
  throw new TypeError(`the sentinel's answer must have a list \`${key}\``)
}

function alertOf(name: unknown, message: unknown, prefix = ""): Alert {
  if (typeof name !== "string" || name === "")
    throw new TypeError("an alert must name its rule, and an anomaly its metric")
  return { name: prefix + name, ...(typeof message === "string" && { message }) }
}

function resolve<R extends object>(options: SentinelMonitorOptions<R>) {
  refuseUnknown("sentinelMonitor", options, SENTINEL_KEYS)
  const { sentinel: make, rules, event } = options ?? {}
  if (typeof make !== "function") throw new TypeError(`sentinel must be a function, got ${typeof make}`)
  if (event !== undefined && typeof event !== "function")
    throw new TypeError(`event must be a function, got ${typeof event}`)
  const fix = "give `(alertRules) => new Sentinel({ alertRules })`"
  // Made without rules, all sentinels of a process share one list, and a rule that is added to one is added to all.
  const given = rules ?? ownRules(make, fix)
  const sentinel = make(ownCopy("rules", given))
  requireMethods("sentinel()", sentinel, ["processEvent"], fix)
  return { sentinel, event }
}

function ownRules<R extends object>(make: SentinelMonitorOptions<R>["sentinel"], fix: string): readonly R[] {
  const model = make(undefined)
  requireMethods("sentinel()", model, ["processEvent", "getAlertRules"], `${fix}, or give \`rules\``)
  return model.getAlertRules?.() ?? []
}
