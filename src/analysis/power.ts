export interface PowerInput {
  /** `arms`: served sessions compared; `pairs`: both arms judge the same calls. */
  readonly source: "arms" | "pairs"
  /** Stable's rate, [0, 1]. */
  readonly rate: number
  /** Largest acceptable difference, (0, 1]. */
  readonly max: number
  /** The true difference: below `max` plans for a pass, above it for a breach. Default 0. */
  readonly effect?: number
  /** Evaluations of a session that are counted, on average. */
  readonly evaluationsPerSession: number
  /** Design effect: 1 + intra-session correlation × (Σn²/Σn − 1). */
  readonly deff: number
  /** Share of sessions served by the canary, or sampled for pairs, (0, 1]. */
  readonly share: number
  /** Level of the decision: 0.05 for a pass, the criterion's share of the false-alarm rate for a breach. */
  readonly alpha: number
}

export interface Plan {
  /** Sessions of both arms together until every second rollout has decided. */
  readonly typical: number
  /** The same until four of five have. */
  readonly likely: number
  /** Of `likely`, those that the canary serves (or that are judged by both). */
  readonly exposed: number
}

/** Information × excess² at which half and four fifths of all runs have decided: simulated at 0.05, linear in ln 1/alpha. */
const INFORMATION = { typical: { at5: 6.0, slope: 2.3 }, likely: { at5: 10.7, slope: 3.2 } } as const

/** Estimate how many sessions a rate criterion needs before it can decide; ∞ exactly at the limit. */
export function sessionsNeeded(input: PowerInput): Plan {
  const { share, evaluationsPerSession } = input
  check(input)
  const exposed = ({ at5, slope }: { at5: number; slope: number }): number => {
    const information = at5 + slope * Math.log(0.05 / input.alpha)
    return (information * variancePerEvaluation(input)) / (input.max - (input.effect ?? 0)) ** 2 / evaluationsPerSession
  }
  const likely = exposed(INFORMATION.likely)
  return {
    typical: Math.ceil(exposed(INFORMATION.typical) / share),
    likely: Math.ceil(likely / share),
    exposed: Math.ceil(likely),
  }
}

/** Of one canary evaluation, or of one pair, at the limit. The stable arm adds N(canary)/N(stable) = share/(1 − share). */
function variancePerEvaluation({ source, rate, max, deff, share }: PowerInput): number {
  if (source === "pairs") return deff * (max - max * max)
  const atLimit = Math.min(1, rate + max)
  return (deff * Math.max(atLimit * (1 - atLimit), rate * (1 - rate))) / (1 - share)
}

function check({ source, rate, max, share, alpha, evaluationsPerSession, deff }: PowerInput): void {
  const need = (ok: boolean, rule: string, value: number): void => {
    if (!ok) throw new RangeError(`${rule}, got ${value}`)
  }
  need(rate >= 0 && rate <= 1, "rate: must be 0 to 1", rate)
  need(max > 0 && max <= 1, "max: must be above 0 and at most 1", max)
  need(share > 0 && share <= 1, "share: must be above 0 and at most 1", share)
  need(source === "pairs" || share < 1, "share: must leave stable sessions to compare with", share)
  need(alpha > 0 && alpha <= 0.5, "alpha: must be above 0 and at most 0.5", alpha)
  need(evaluationsPerSession > 0, "evaluationsPerSession: must be above 0", evaluationsPerSession)
  need(deff >= 1, "deff: must be at least 1", deff)
}
