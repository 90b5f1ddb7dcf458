import type { Call } from "../model/call.js"
import { OUTCOMES } from "../model/decision.js"
import type { Decision, Effect, Finding, Scan } from "../model/decision.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { Alert } from "../release/ports.js"
import { answerOf, lost, posture } from "./answer.js"
import { capture } from "./capture.js"
import { postureOf } from "./core.js"
import type { Core } from "./core.js"
import { ERROR } from "./judge.js"
import type { Judged } from "./judge.js"
import { CANARY, STABLE } from "./seat.js"
import type { Turn } from "./seat.js"
import type { GuardSession } from "./session.js"
import type { View } from "./view.js"

/**
 * Contained, neither release is known to be safe: both judge every call, and the stricter answer is served. That is so for
 * every session, also for those that are pinned, not eligible or no session at all: this is about which answer may be trusted,
 * not about who takes part in a comparison. And it is no comparison: nothing here is evidence.
 */

/** Who answers a contained call; null: nobody, stable failed and the host's posture is at least as strict as the canary. */
export interface Ruling {
  readonly arm: ArmIndex
  readonly source: "contained" | "fallback"
}

const STRICTNESS: Readonly<Record<Effect, number>> = { allow: 0, escalate: 1, deny: 2 }
const strictnessOf = ({ outcome }: Judged): number => STRICTNESS[OUTCOMES[outcome] as Effect]

/** Rule between two answers; on a tie stable decides. A stable release that failed counts as what the host wants then. */
export function ruleBetween(stable: Judged, canary: Judged, onStableError: Effect): Ruling | null {
  if (stable.outcome === ERROR) {
    const beyond = canary.outcome !== ERROR && strictnessOf(canary) > STRICTNESS[onStableError]
    return beyond ? { arm: CANARY, source: "contained" } : null
  }
  // As everywhere: what the canary could not answer, stable answers.
  if (canary.outcome === ERROR) return { arm: STABLE, source: "fallback" }
  return { arm: strictnessOf(canary) > strictnessOf(stable) ? CANARY : STABLE, source: "contained" }
}

/** Judge one call by both releases: in a synchronous guard one after the other, else side by side, each within its time limit. */
export function contain<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  turn: Turn<C>,
  call: C,
  callId?: string,
): Decision | Promise<Decision> {
  const { view } = turn
  // Both judge the call as it came, whatever one of them does to it; so it is told of and written down, too.
  const copy = capture(call)
  const kept = capture(call)
  const serve = (stable: Judged, canary: Judged): Decision => {
    const ruling = ruleBetween(stable, canary, postureOf(core.onStableError))
    tell(core, session, turn, kept, stable, canary, ruling)
    const { onStableError } = core
    const decision = ruledOf(view, stable, canary, ruling) ?? lost(onStableError, view, stable)
    // An async guard asks them side by side.
    const ms = core.async ? Math.max(stable.ms, canary.ms) : stable.ms + canary.ms
    record(core, session, turn, kept, decision, stable, canary, ms, callId)
    return ruling === null ? posture(onStableError, view, stable) : decision
  }
  if (!core.async) return serve(session.judge(view, STABLE, call), session.judge(view, CANARY, copy))
  const both = [session.judgeAsync(view, STABLE, call), session.judgeAsync(view, CANARY, copy)] as const
  view.inFlight.count += 1
  return Promise.all(both)
    .then(([stable, canary]) => serve(stable, canary))
    .finally(() => (view.inFlight.count -= 1))
}

/** The decision of a ruling; null: there is none. */
export function ruledOf(view: View<never>, stable: Judged, canary: Judged, ruling: Ruling | null): Decision | null {
  if (ruling === null) return null
  const errorType = ruling.source === "fallback" ? canary.errorType : stable.errorType
  return answerOf(view, ruling.arm, ruling.source, ruling.arm === CANARY ? canary : stable, errorType)
}

/** Hand on what was decided, and what it was decided from. `ms`: until both had answered. */
export function record<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  turn: Turn<C>,
  call: C,
  decision: Decision,
  stable: Judged,
  canary: Judged,
  ms: number,
  callId?: string,
): void {
  const { recorder } = core
  if (recorder === null) return
  const [own, other] = turn.arm === CANARY ? [canary, stable] : [stable, canary]
  recorder.decision(session, turn, call, decision, own, ms, callId)
  // A canary that was never there has said nothing.
  if (canary.errorType !== "unavailable") recorder.pair(turn, own, other)
}

/** Report what failed and count what both said. */
export function tell<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  turn: Turn<C>,
  call: C,
  stable: Judged,
  canary: Judged,
  ruling: Ruling | null,
): void {
  if (stable.errorType !== undefined) session.report(STABLE, stable.errorType, stable.error)
  if (canary.errorType !== undefined) session.report(CANARY, canary.errorType, canary.error)
  const failure = stable.errorType ?? canary.errorType
  if (failure !== undefined) core.telemetry.fallback(failure)
  session.comparison.contained(turn, call, stable, canary, ruling?.arm ?? STABLE)
}

/** The turn of one arm's part in a contained scan or observation. */
export const partOf = <C extends Call>(turn: Turn<C>, arm: ArmIndex): Turn<C> => ({ ...turn, arm, inferable: false })

const SEVERITY = { clean: 0, flagged: 1, blocked: 2 } as const

/**
 * Join the scans of both arms: the worse result, and what both found. As everywhere, stable's stands alone when the canary's
 * failed, and a text that stable could not scan is blocked. Two texts that were redacted differently cannot be joined, and
 * neither is known to be safe: then it is blocked as well.
 */
export function joinScans(stable: Scan, canary: Scan): Scan {
  if (stable.source === "posture") return stable
  if (canary.source === "posture") return { ...stable, source: "fallback", errorType: canary.errorType }
  if (stable.source === "none" && canary.source === "none") return stable
  const decides = SEVERITY[canary.result] > SEVERITY[stable.result] ? canary : stable
  const torn = stable.redacted !== undefined && canary.redacted !== undefined && stable.redacted !== canary.redacted
  return {
    result: torn ? "blocked" : decides.result,
    findings: [...stable.findings, ...canary.findings.filter((finding) => !stable.findings.some(isSame(finding)))],
    arm: decides.arm,
    release: decides.release,
    source: "contained",
    redacted: torn ? undefined : (stable.redacted ?? canary.redacted),
  }
}

const isSame =
  (finding: Finding) =>
  ({ scanner, category, message }: Finding): boolean =>
    finding.scanner === scanner && finding.category === category && finding.message === message

/** Show an event to the monitors of both releases; what either of them raises is raised. */
export function observeBoth<C extends Call>(
  session: GuardSession<C>,
  turn: Turn<C>,
  event: unknown,
  failure: readonly Alert[],
): readonly Alert[] {
  const { view } = turn
  const copy = capture(event)
  const look = (arm: ArmIndex, seen: unknown): readonly Alert[] | null => {
    const release = arm === CANARY ? view.canary : view.stable
    const alerts = session.watch(turn, arm, seen)
    if (release?.monitor !== undefined)
      session.tally.observation(partOf(turn, arm), alerts?.length ?? 1, alerts === null)
    return alerts
  }
  const stable = look(STABLE, event) ?? failure
  const canary = look(CANARY, copy) ?? []
  const isNew = (alert: Alert): boolean =>
    !stable.some(({ name, message }) => name === alert.name && message === alert.message)
  return [...stable, ...canary.filter(isNew)]
}
