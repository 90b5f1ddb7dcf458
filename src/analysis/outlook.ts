import type { CriterionName, CriterionVerdict, Verdict } from "../model/verdict.js"
import { PASS_SESSIONS } from "./arms.js"
import { bernoulliUpper } from "./bernoulli.js"
import { FACTS, isZeroTolerance, limitAsRate } from "./criteria.js"
import { ALPHA_PASS, ZERO_RESOLUTION, holds } from "./criterion.js"
import { bound } from "./mixture.js"
import { PASS_PAIRED_SESSIONS } from "./paired.js"
import { precisionFor } from "./reading.js"

/** When a criterion that is not settled will be, if traffic and estimate stay as they are. */
export type Outlook = { readonly criterion: CriterionName } & (
  | {
      readonly heading: "pass" | "breach"
      /** Sessions that are still needed: of both arms or, for pairs, of those that both judge. */
      readonly sessions: number
      readonly ms: number
    }
  /** `at_limit`: the estimate is at its limit, or years away from settled; `not_here`: this stage tells nothing more; `no_rate`: how fast sessions come is not known. */
  | { readonly heading: "at_limit" | "not_here" | "no_rate" }
)

export interface OutlookContext {
  /** The ramp of the generation, ms since the epoch and basis points. */
  readonly ramp: readonly { readonly at: number; readonly weightBp: number }[]
  /** When the process that counts began to, ms since the epoch; what it counted before is gone. */
  readonly since?: number | undefined
}

/** Longer is no answer, ms. */
const LONGEST_MS = 2 * 365 * 86_400_000
const FULL_BP = 10_000

/** Say for each inconclusive criterion that holds the rollout when it will be settled at this rate. An estimate: bounds close as they do on average. */
export function outlook(verdict: Verdict, context: OutlookContext): readonly Outlook[] {
  return verdict.criteria
    .filter((one) => one.result === "inconclusive" && holds(one))
    .map((one) => ({ criterion: one.criterion, ...headingOf(one, verdict.at, context) }))
}

type Heading = Outlook extends infer O ? (O extends Outlook ? Omit<O, "criterion"> : never) : never

function headingOf(one: CriterionVerdict, now: number, context: OutlookContext): Heading {
  const exposure = exposureOf(one, now, context)
  const counted = one.sessions.canary
  if (exposure.now === 0) return { heading: "not_here" }
  if (!(exposure.ms > 0) || counted === 0) return { heading: "no_rate" }
  const found = stillNeeded(one)
  if (found === null) return { heading: "no_rate" }
  // Sessions of both arms, as they came in so far.
  const perMs = counted / exposure.ms
  const sessions = Math.ceil(found.more / exposure.now)
  const ms = sessions / perMs
  if (!(ms <= LONGEST_MS)) return { heading: "at_limit" }
  return { heading: found.heading, sessions, ms }
}

/** Share of sessions that tell something now, and for how long sessions would have had to come in if all of them had: the time, weighed by that share. */
function exposureOf({ method, criterion }: CriterionVerdict, now: number, { ramp, since = -Infinity }: OutlookContext) {
  const shareOf = (weightBp: number): number => {
    if (method === "pairs") return 1
    const split = weightBp < FULL_BP || FACTS[criterion].kind === "budget"
    return split ? weightBp / FULL_BP : 0
  }
  const ms = ramp.reduce((sum, { at, weightBp }, i) => {
    const from = Math.max(at, since)
    const to = Math.min(now, ramp[i + 1]?.at ?? now)
    return sum + Math.max(0, to - from) * shareOf(weightBp)
  }, 0)
  return { now: shareOf(ramp.at(-1)?.weightBp ?? 0), ms }
}

/** How many more sessions of the canary, or of pairs, it takes; null: too few so far to tell. */
function stillNeeded(one: CriterionVerdict): { readonly heading: "pass" | "breach"; readonly more: number } | null {
  const { estimate, upper, max, effectiveSize, alphaBreach, criterion } = one
  const counted = one.sessions.canary
  const least = Math.max(0, (one.method === "pairs" ? PASS_PAIRED_SESSIONS : PASS_SESSIONS) - counted)
  if (estimate === null || upper === null || effectiveSize === null) return null
  if (isZeroTolerance(criterion, max)) {
    const times = callsForZero() / effectiveSize
    return { heading: "pass", more: Math.max(least, counted * (times - 1)) }
  }
  const rho = precisionFor({ name: criterion, max })
  const information = informationAt(upper - estimate, ALPHA_PASS, rho.within)
  const excess = estimate - limitAsRate(criterion, max)
  const heading = excess > 0 ? "breach" : "pass"
  const needed =
    excess > 0 ? informationAt(excess, alphaBreach, rho.worse) : informationAt(-excess, ALPHA_PASS, rho.within)
  const more = counted * (needed / information - 1)
  return { heading, more: Math.max(1, more, ...(heading === "pass" ? [least] : [])) }
}

/** Information at which a bound is as wide as `width`; next to infinite for none. */
function informationAt(width: number, alpha: number, rho: number): number {
  let below = 1e-12
  let above = 1e18
  while (above > below * 1.001) {
    const middle = Math.sqrt(below * above)
    if (bound(middle, alpha, rho) / middle > width) below = middle
    else above = middle
  }
  return above
}

/** Effective calls without an event that show a rate to be next to none. */
export function callsForZero(): number {
  let [below, above] = [1, 1e6]
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2)
    if (bernoulliUpper(0, middle, ALPHA_PASS) > ZERO_RESOLUTION) below = middle
    else above = middle
  }
  return above
}
