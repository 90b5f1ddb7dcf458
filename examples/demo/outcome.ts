import type { CriterionVerdict, Diff, Phase, RolloutState } from "serin"
import { phaseOf } from "serin/rollout"
import { count, duration } from "./numbers.js"
import type { Expected } from "./scenarios.js"

/** How an act ended. */
export interface Outcome {
  readonly ok: boolean
  /** One sentence. */
  readonly sentence: string
  /** A few words, for the summary. */
  readonly summary: string
}

/** What the end of an act is judged by. */
export interface Ending {
  readonly state: RolloutState
  /** The phase that was in force when it ended. */
  readonly before: Phase
  readonly startedAt: number
  readonly at: number
  readonly sessions: number
  readonly canarySessions: number
  readonly diffs: readonly Diff[]
}

/** Say how an act ended, and hold it against how it must end. */
export function outcomeOf(ending: Ending, expected: Expected): Outcome {
  const { state } = ending
  const { phase } = phaseOf(state)
  const seen = `${count(ending.sessions)} sessions, ${count(ending.canarySessions)} of them served by the canary`
  const when = `after ${duration(ending.at - ending.startedAt)} and ${seen}`
  const short = `${count(ending.sessions)} sessions, ${count(ending.canarySessions)} on the canary`
  const byItself = state.last.actor.kind === "controller"
  if (phase === "promoted" && byItself) {
    const sentence = `Promoted automatically ${when}.`
    return { ok: expected.kind === "promoted", sentence, summary: `promoted, ${short}` }
  }
  const cause = state.last.verdict?.criteria.find(({ criterion }) => criterion === state.last.verdict?.cause)
  if (phase === "rolled_back" && byItself && cause !== undefined) {
    const diff = ending.diffs.find((diff) => isOf(diff, cause))
    return {
      ok: isExpected(cause, diff, expected),
      sentence: `Rolled back automatically in ${ending.before.phase}, ${when}. ${because(state.last.reason, diff)}`,
      summary: `rolled back on ${cause.criterion} (${diff?.stable.rule ?? "no rule"}), ${short}`,
    }
  }
  const holds = state.holds.map(({ reason }) => reason).join(", ") || "none"
  const sentence = `Not decided: still ${phase} ${when}. ${state.last.reason}; holds: ${holds}.`
  return { ok: false, sentence, summary: `not decided, still ${phase}, ${short}` }
}

function isExpected(cause: CriterionVerdict, diff: Diff | undefined, expected: Expected): boolean {
  if (expected.kind === "newly_allowed") return cause.criterion === "newly_allowed_rate_max"
  if (expected.kind !== "denials" || !DENIALS.has(cause.criterion) || diff === undefined) return false
  return diff.action === expected.action && diff.stable.rule === expected.rule
}

const DENIALS: ReadonlySet<string> = new Set(["deny_rate_delta_max", "newly_denied_rate_max"])

/** Whether a group of disagreements is what a criterion counts. */
function isOf({ stable, canary }: Diff, { criterion }: CriterionVerdict): boolean {
  if (DENIALS.has(criterion)) return stable.outcome === "allow" && canary.outcome === "deny"
  if (criterion !== "newly_allowed_rate_max") return false
  return canary.outcome === "allow" && (stable.outcome === "deny" || stable.outcome === "escalate")
}

function because(reason: string, diff: Diff | undefined): string {
  if (diff === undefined) return `${reason}.`
  return `${reason}. The difference: ${diff.action}, ${sidesOf(diff)}, ${count(diff.calls)} ${diff.calls === 1 ? "call" : "calls"}.`
}

/** Say what each arm answered, and by which rule; a call that no rule matches is denied by default. */
export function sidesOf({ stable, canary }: Diff): string {
  return [stable, canary].map(({ outcome, rule }) => `${outcome} (${rule ?? "default"})`).join(" → ")
}
