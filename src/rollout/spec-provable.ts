import type { Problem } from "../errors.js"
import type { Criterion, CriterionName } from "../model/verdict.js"
import { FULL_BP } from "./spec-fields.js"
import type { RolloutSpec, Stage } from "./spec.js"
import type { YamlMap } from "./yaml-value.js"

/** Whom the canary serves and which calls both releases judge: what criteria have their data from. */
type Exposure = Pick<RolloutSpec, "stages" | "shadowSampleBp">

const SHOW_PAIRS = "remove shadow: false"

/** Say why a criterion would never have data under this exposure, and so never pass. */
export function unprovable(
  name: CriterionName,
  { stages, shadowSampleBp }: Exposure,
): Omit<Problem, "where"> | undefined {
  const shadows = shadowSampleBp > 0
  if (!shadows && name.startsWith("newly_")) {
    const message = "would never pass: it is known from calls that both releases judge, and `shadow: false` has none"
    return { message, fix: `${SHOW_PAIRS}, write mode: notify, or leave it out` }
  }
  if (stages.some(servesBoth) || !name.includes("_delta_")) return undefined
  if (isServedOnly(name)) {
    const message = "would never pass: it compares sessions that stable and the canary serve, and no stage has both"
    return { message, fix: "write a stage below 100, or mode: notify" }
  }
  if (shadows) return undefined
  const message = "would never pass: it compares with stable, and with `shadow: false` no stage has both releases"
  return { message, fix: `${SHOW_PAIRS}, or write a stage below 100` }
}

/** Check that a rollout can show what its intent promises. */
export function checkIntent(
  canary: YamlMap,
  intent: RolloutSpec["intent"],
  criteria: readonly Criterion[],
  { stages, shadowSampleBp }: Exposure,
): void {
  if (intent === null) return
  if (intent === "loosen") return checkLoosening(canary, criteria, stages)
  // The budget that the intent brings along is known from pairs alone.
  if (shadowSampleBp > 0 || criteria.some(({ name }) => name === "newly_allowed_rate_max")) return
  const message = `${intent} needs shadow: it adds newly_allowed_rate_max, which is known from calls that both releases judge`
  canary.fail("intent", message, `${SHOW_PAIRS}, or intent`)
}

/** A loosening takes protection away: it says how much, proves that in shadow, and a human looks before it grows. */
function checkLoosening(canary: YamlMap, criteria: readonly Criterion[], stages: readonly Stage[]): void {
  if (!criteria.some(({ name, mode }) => name === "newly_allowed_rate_max" && mode === "enforce")) {
    const fix =
      "write acceptance_criteria: { newly_allowed_rate_max: … } with the share of calls that may newly be allowed"
    canary.fail("intent", "loosen must say how much it newly allows, and be held to it", fix)
  }
  if (stages[0]?.weightBp !== 0) {
    canary.fail("intent", "loosen must prove itself in shadow before it serves a session", SHOW_PAIRS)
  }
  const beforeGrowth = stages.slice(0, stages[0]?.weightBp === 0 ? 2 : 1)
  if (!beforeGrowth.some((stage) => stage.approval)) {
    const first = stages.find((stage) => stage.weightBp > 0)?.weightBp ?? 500
    const fix = `write stages: [{ percentage: ${first / 100}, approval: true }, …], or shadow: { approval: true } to look before the first session`
    canary.fail("intent", "loosen must be approved by a human before it grows beyond its first sessions", fix)
  }
}

/** A gate that no call can shut is none. */
export function checkGate(canary: YamlMap, criteria: readonly Criterion[]): void {
  if (criteria.some(({ name, mode }) => mode === "enforce" && !isServedOnly(name))) return
  const message = "would never open: a replay tells nothing of the criteria that are enforced"
  canary.fail("gate", message, "enforce newly_denied_rate_max or newly_allowed_rate_max")
}

/** Below 100 % the cap keeps sessions from the canary, and a stage asks for a number of them. */
export function checkSessions(
  canary: YamlMap,
  { minSessions, maxSessions }: Pick<RolloutSpec, "minSessions" | "maxSessions">,
  stages: readonly Stage[],
): void {
  if (maxSessions === null || maxSessions >= minSessions || !stages.some(servesBoth)) return
  const message = `is below min_sessions, ${minSessions}: no stage below 100 would ever be left`
  canary.fail("max_sessions", message, `write max_sessions: ${minSessions} or more, or a smaller min_sessions`)
}

const servesBoth = ({ weightBp }: Stage): boolean => weightBp > 0 && weightBp < FULL_BP

/** Runs are watched once, by the release that serves: there are no pairs of them. */
const isServedOnly = (name: CriterionName): boolean => name.startsWith("alert_")
