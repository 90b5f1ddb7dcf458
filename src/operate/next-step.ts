import { isUnderWay, phaseOf, type Phase, type UnderWay } from "../rollout/phase.js"
import type { HoldReason, RolloutState } from "../rollout/state.js"
import { formatShare, formatTime, formatWhen } from "./format.js"

/** Writes a command that works on the rollout in question. */
export type Say = (verb: string) => string

/** Name a phase in a few words. */
export function phaseWords(phase: Phase): string {
  switch (phase.phase) {
    case "idle":
      return "idle"
    case "shadow":
      return "in shadow"
    case "canary":
      return `canary at ${formatShare(phase.weightBp)}`
    case "baking":
      return "baking at 100 %"
    case "promoted":
      return "promoted"
    case "rolled_back":
      return "rolled back"
    case "contained":
      return "contained: both judge, the stricter answer is served"
    case "killed":
      return phase.position === "deny" ? "killed: every call is denied" : "killed: stable serves every session"
  }
}

/** Say what happens next by itself, and what somebody has to do. One sentence or more, a line each. */
export function nextSteps(state: RolloutState, now: number, say: Say): readonly string[] {
  const phase = phaseOf(state)
  const { spec, canary, stable } = state
  if (isUnderWay(phase)) {
    const { holds } = state
    return holds.length === 0
      ? underWay(state, phase, now, say)
      : holds.map(({ reason }) => holdStep(state, reason, say))
  }
  switch (phase.phase) {
    case "idle":
      return [`\`${say("start")}\` puts ${spec.canary} to the test; ${stable} serves every session`]
    case "promoted":
      return [`write stable: ${canary} in the rollout file, then the next canary below it, and \`${say("start")}\``]
    case "rolled_back":
      // Whoever gave it back knows why, and no verdict does.
      if (state.last.actor.kind === "human") {
        return [
          `\`${say("start")}\` a new version, or \`${say('retry --reason "…"')}\` to give ${canary} another chance`,
        ]
      }
      return [
        `\`${say("explain")}\` says why; mend it and \`${say("start")}\` a new version, or \`${say('retry --reason "…"')}\``,
      ]
    case "contained":
      return [
        `\`${say("explain")}\` says why; \`${say("rollback")}\` once ${stable} is known to be safe, \`${say("start")}\` a mended version, or \`${say('retry --reason "…"')}\``,
      ]
    case "killed":
      if (phase.position === "deny") {
        const back = `\`${say('kill --position stable --reason "…"')}\` has ${stable} serve again, once it is known to be safe`
        if (canary === null) return [back]
        return [
          back,
          `\`${say('retry --reason "…"')}\` serves again as well, and begins with the canary that the rollout file then names: mend what is wrong in it first`,
        ]
      }
      return [
        `\`${say('retry --reason "…"')}\` lifts the kill${canary === null ? "" : " and begins again from the first stage"}`,
      ]
  }
}

function underWay(state: RolloutState, phase: UnderWay, now: number, say: Say): readonly string[] {
  const { spec } = state
  const stage = spec.stages[phase.stage]
  const next = spec.stages[phase.stage + 1]
  if (stage === undefined) return []
  const goal = next === undefined ? `${state.canary} is promoted` : `${formatShare(next.weightBp)} of new sessions`
  const at = phase.since + stage.periodMs
  const earliest =
    at > now ? `${formatTime(at)} (${formatWhen(at, now)}) at the earliest` : "as soon as every criterion passes"
  const steps = [`${goal}: ${earliest}${at > now ? ", if every criterion passes" : ""}`]
  const approved = state.approvals.some((approval) => approval.stage === phase.stage)
  if (stage.approval && !approved) steps.push(`then it waits for \`${say('approve --reason "…"')}\``)
  return steps
}

function holdStep(state: RolloutState, reason: HoldReason, say: Say): string {
  switch (reason) {
    case "paused":
      return `\`${say("resume")}\` lifts the pause`
    case "breach":
      return `a limit is broken: \`${say("explain")}\`, then \`${say("rollback")}\`; \`${say("resume")}\` takes the risk`
    case "no_data":
      return "there is nothing to judge by: is the process running, and does it get calls?"
    case "srm":
      return "the arms are not as large as the ramp says: look for sessions that lose their arm or their calls"
    case "sample":
      return `it waits for ${state.spec.minSessions} sessions`
    case "inconclusive":
      return `the evidence does not settle it yet: \`${say("explain")}\`; more calls may, \`${say('promote --reason "…"')}\` decides it`
    case "approval":
      return `it waits for \`${say('approve --reason "…"')}\``
    case "fuse":
      return `a process took the canary out by itself; mend it and \`${say("start")}\` a new version. \`guard.resetFuse()\` in that process, or its restart, takes the risk`
    case "releases":
      return `release ${state.canary} cannot be loaded where it should run: \`${say("validate")}\``
  }
}
