import type { CriterionVerdict, Verdict } from "../model/verdict.js"
import type { HoldReason } from "../rollout/state.js"
import { isUnderWay } from "../rollout/phase.js"
import type { Snapshot } from "./snapshot.js"

/** Say in a sentence why a rollout stands where it does: what decided it, holds it, or keeps it from passing. */
export function whyOf({ state, phase, verdict, judged, report }: Snapshot): string {
  if (phase.phase === "killed" || !isUnderWay(phase))
    return `${state.last.event} by ${state.last.actor.id}: ${state.last.reason}`
  if (!judged) return "no process is judging this rollout"
  const held = state.holds.find(({ reason }) => OF_THEIR_OWN.includes(reason))
  if (held !== undefined) return HELD_BY[held.reason] + (held.note === undefined ? "" : `: ${held.note}`)
  if (verdict === null) return report?.problem ?? "nothing was judged yet"
  return decisive(verdict)?.reason ?? verdict.reason
}

/**
 * The criterion that breaches, or else keeps the rollout from passing; of several, the one that is nearest to a breach. Null: none does, also
 * where one is open that no sample can settle.
 */
export function decisive({ criteria, cause, result }: Verdict): CriterionVerdict | null {
  if (result === "pass") return null
  const open = criteria.filter(({ mode, result }) => mode === "enforce" && result !== "pass")
  const weight = ({ logEWorse }: CriterionVerdict): number => logEWorse ?? Number.NEGATIVE_INFINITY
  return open.find(({ criterion }) => criterion === cause) ?? [...open].sort((a, b) => weight(b) - weight(a))[0] ?? null
}

/** Holds that no criterion explains. */
const OF_THEIR_OWN: readonly HoldReason[] = ["paused", "srm", "approval", "fuse", "releases"]

const HELD_BY: Readonly<Record<HoldReason, string>> = {
  paused: "somebody paused it",
  breach: "a limit is broken",
  no_data: "there is nothing to judge by",
  srm: "the arms are not as large as the ramp says",
  sample: "too few sessions yet",
  inconclusive: "the evidence does not settle it",
  approval: "it waits for an approval",
  fuse: "a process took the canary out by itself",
  releases: "a release cannot be loaded where it should run",
}
