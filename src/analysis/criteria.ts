import type { Outcome } from "../model/decision.js"
import type { Cell } from "../model/evidence.js"
import type { CriterionName, EvidenceSourceName } from "../model/verdict.js"

/** Events and trials of a rate among the cells of served sessions. */
interface RateCells {
  readonly events: Cell
  readonly trials: Cell
}

/**
 * How each criterion is read. `delta`: canary's rate minus stable's; `budget`: one rate against an absolute limit;
 * `latency`: exceedances of stable's p99 plus the limit. `sources` is what may speak for it, known before any data:
 *
 * - `arms`: served sessions of both arms (for a budget, of the canary);
 * - `pairs`: the same call judged, or the same text scanned, by both;
 * - `trip`: first evaluations of sessions. None for the allow rate: it is so near 1 that stable's upper bound plus the
 *   limit leaves nothing to bet on.
 */
export type CriterionFacts = { readonly label: string } & (
  | {
      readonly kind: "delta"
      readonly cells: RateCells
      /** For pairs and the trip. */
      readonly outcome?: Outcome
      readonly sources: readonly EvidenceSourceName[]
    }
  | { readonly kind: "latency"; readonly sources: readonly EvidenceSourceName[]; readonly scans: boolean }
  | {
      readonly kind: "budget"
      readonly sources: readonly EvidenceSourceName[]
      /** Pairs that count as an event: `stable` is what stable answered (any outcome when absent). */
      readonly flip: { readonly stable?: readonly Outcome[]; readonly canary: Outcome }
    }
)

const SERVED = ["arms", "pairs", "trip"] as const

export const FACTS: Readonly<Record<CriterionName, CriterionFacts>> = {
  error_rate_delta_max: outcomeDelta("error", "error rate", SERVED),
  deny_rate_delta_max: outcomeDelta("deny", "deny rate", SERVED),
  escalate_rate_delta_max: outcomeDelta("escalate", "escalation rate", SERVED),
  allow_rate_delta_max: outcomeDelta("allow", "allow rate", ["arms", "pairs"]),
  latency_p99_delta_max: { kind: "latency", label: "p99 latency", sources: ["arms", "pairs"], scans: false },
  scan_latency_p99_delta_max: { kind: "latency", label: "p99 scan latency", sources: ["arms", "pairs"], scans: true },
  scan_flag_rate_delta_max: {
    kind: "delta",
    label: "rate of flagged scans",
    cells: { events: "scan_flagged", trials: "scans" },
    sources: ["arms", "pairs"],
  },
  alert_rate_delta_max: {
    kind: "delta",
    label: "alert rate",
    cells: { events: "alerts", trials: "observations" },
    sources: ["arms"],
  },
  // Stable's escalation is not an allow: a call that only now passes unasked is newly allowed. Stable's errors are on
  // neither side; they have a criterion of their own.
  newly_denied_rate_max: {
    kind: "budget",
    label: "rate of newly denied calls",
    sources: ["pairs"],
    flip: { stable: ["allow"], canary: "deny" },
  },
  newly_allowed_rate_max: {
    kind: "budget",
    label: "rate of newly allowed calls",
    sources: ["pairs"],
    flip: { stable: ["deny", "escalate"], canary: "allow" },
  },
  error_rate_max: { kind: "budget", label: "error rate", sources: SERVED, flip: { canary: "error" } },
}

/** Before renormalising: pairs take half of what the arms have. */
const WEIGHTS = {
  served: { arms: 0.8, pairs: 0, trip: 0.2 },
  shadowed: { arms: 0.1, pairs: 0.85, trip: 0.05 },
} as const

export interface WeightedSource {
  readonly source: EvidenceSourceName
  readonly weight: number
}

/**
 * Say what speaks for a criterion, with weights that sum to 1. An average of e-values is an e-value only if its weights
 * are fixed before the data are seen, so they follow from the criterion's name and from whether the rollout shadows. A
 * source that turns out to be empty keeps its weight and counts as 1: it is never shared out among the others.
 */
export function weigh(name: CriterionName, shadow: boolean): readonly WeightedSource[] {
  const { sources } = FACTS[name]
  if (sources.length === 1) return sources.map((source) => ({ source, weight: 1 }))
  const weights = shadow ? WEIGHTS.shadowed : WEIGHTS.served
  const used = sources.filter((source) => weights[source] > 0)
  const sum = used.reduce((total, source) => total + weights[source], 0)
  return used.map((source) => ({ source, weight: weights[source] / sum }))
}

/** The outcome that is counted by a criterion of calls, as the ones that trip are. */
export function outcomeOf(name: CriterionName): Outcome {
  const facts = FACTS[name]
  return facts.kind === "budget" ? facts.flip.canary : (facts as Extract<CriterionFacts, { kind: "delta" }>).outcome!
}

/** What limit and estimates of a criterion are told in. */
export const unitOf = (name: CriterionName): "ms" | "rate" => (FACTS[name].kind === "latency" ? "ms" : "rate")

/** The limit on the scale of estimates and bounds: of latency they are differences of exceedances, which are held against none. */
export const limitAsRate = (name: CriterionName, max: number): number => (FACTS[name].kind === "latency" ? 0 : max)

/** A budget of 0: the first event is a breach, and nothing but a bound can be said for it. */
export const isZeroTolerance = (name: CriterionName, max: number): boolean => max === 0 && FACTS[name].kind === "budget"

function outcomeDelta(outcome: Outcome, label: string, sources: readonly EvidenceSourceName[]): CriterionFacts {
  return { kind: "delta", label, cells: { events: outcome, trials: "evaluations" }, outcome, sources }
}
