import { describe, expect, it } from "vitest"
import type { CriterionVerdict, Verdict } from "../../src/model/verdict.js"
import { DEFAULT_KINDS, MESSAGE_KINDS } from "../../src/notify/message.js"
import type { MessageKind } from "../../src/notify/message.js"
import { summaryMessage, transitionMessage, unjudgedMessage } from "../../src/notify/transition-message.js"
import type { Telling } from "../../src/notify/transition-message.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { transition } from "../../src/rollout/transition.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import {
  at,
  CONTROLLER,
  HOUR,
  HUMAN,
  idle,
  look,
  MINUTE,
  NOW,
  since,
  started,
  tickOf,
  verdictOf,
} from "../rollout/states.js"

const telling: Telling = { say: (verb) => `serin ${verb}` }
const asked = { actor: HUMAN, reason: "because of the noise" } as const
const act = (state: RolloutState, event: RolloutEvent, now = NOW + MINUTE): RolloutState =>
  transition(state, event, now)

/** A verdict in which one criterion is over its limit. */
function breach(): Verdict {
  const verdict = verdictOf("breach")
  const [first] = verdict.criteria as [CriterionVerdict]
  const cause = {
    ...first,
    result: "breach",
    estimate: 0.04,
    lower: 0.02,
    reason: "errors: +4 pp; the limit is +1 pp",
  } as const
  return { ...verdict, criteria: [cause], cause: cause.criterion, reason: `${cause.criterion}: ${cause.reason}` }
}

const shadow = started()
const half = at(started("stages: [{ percentage: 5, approval: true }, 100]"), 500)
const waiting = look(half, "pass", since(half) + HOUR)
const approved = act(waiting, { type: "approve", ...asked })
const blind = act(shadow, tickOf(null, { noData: "stale" }))
const paused = act(shadow, { type: "pause", ...asked })
const killed = act(shadow, { type: "kill", position: "stable", ...asked })
const rolledBack = act(shadow, tickOf(breach()))

const STEPS: readonly (readonly [MessageKind, RolloutState, RolloutState])[] = [
  ["started", idle(), shadow],
  ["started", killed, act(killed, { type: "retry", salt: "s", ...asked })],
  ["advanced", shadow, at(shadow, 500)],
  ["approval", half, waiting],
  ["approved", waiting, approved],
  ["no_data", shadow, blind],
  ["released", blind, look(blind, "pass", NOW + MINUTE)],
  ["held", shadow, paused],
  ["released", paused, act(paused, { type: "resume", ...asked })],
  ["held", shadow, look(shadow, "pass", NOW + MINUTE, { srm: true })],
  ["held", shadow, act(shadow, { type: "tick", actor: CONTROLLER, verdict: verdictOf("pass"), fuse: "it threw" })],
  ["waiting", shadow, look(shadow, "pass", NOW + MINUTE, { sessions: 1 })],
  ["waiting", shadow, act(shadow, tickOf(null, { noData: "zero" }))],
  ["breach", started("on_failure: hold"), act(started("on_failure: hold"), tickOf(breach()))],
  ["rolled_back", shadow, rolledBack],
  ["contained", shadow, act(shadow, { type: "contain", ...asked })],
  ["killed", shadow, killed],
  ["killed", killed, act(killed, { type: "kill", position: "deny", ...asked })],
  ["promoted", shadow, act(shadow, { type: "promote", to: "end", ...asked })],
]

describe("what a step means to people", () => {
  it.each(STEPS)("is told as %s", (kind, before, after) => {
    const message = transitionMessage(before, after, telling)
    expect(message).toMatchObject({
      format: "serin/message/1",
      kind,
      key: `r/${after.generation}/${after.revision}`,
      rollout: "r",
      generation: after.generation,
      revision: after.revision,
      at: after.last.at,
      event: after.last.event,
      by: after.last.actor,
    })
    expect(message?.title).toMatch(/^r: /)
    expect(message?.why).toContain(after.last.reason)
    expect(message?.next.length).toBeGreaterThan(0)
  })

  it("has a step for every kind but those that no step makes", () => {
    const shown = new Set<MessageKind>([...STEPS.map(([kind]) => kind), "standing", "unjudged"])
    expect(MESSAGE_KINDS.filter((kind) => !shown.has(kind))).toEqual([])
  })

  it("is nothing where only the lead went from one process to another", () => {
    const led = act(shadow, { type: "lead", epoch: 3, actor: CONTROLLER, reason: "leads" })
    expect(led.revision).toBe(shadow.revision + 1)
    expect(transitionMessage(shadow, led, telling)).toBeNull()
  })

  it("leaves out by default only steps of a ramp and the wait for sessions", () => {
    expect(MESSAGE_KINDS.filter((kind) => !DEFAULT_KINDS.includes(kind))).toEqual(["advanced", "waiting"])
  })

  it("is told of a lapsed approval, which is asked for anew", () => {
    const lapsed = look(approved, "breach", since(half) + 2 * HOUR, { srm: true })
    expect(transitionMessage(approved, { ...lapsed, ended: null, approvals: [] }, telling)?.kind).toBe("held")
  })
})

describe("a message", () => {
  it("says from where to where, who, why with the numbers of the criterion, and what to type", () => {
    const message = transitionMessage(shadow, rolledBack, telling)
    expect(message).toMatchObject({
      title: "r: rolled back (was in shadow)",
      why: "error_rate_delta_max: errors: +4 pp; the limit is +1 pp",
      before: { phase: "shadow", weightBp: 0 },
      after: { phase: "rolled_back", weightBp: 0, words: "rolled back" },
      criterion: { criterion: "error_rate_delta_max", max: 0.01, estimate: 0.04, lower: 0.02, unit: "rate" },
      by: { kind: "controller", id: "host-1" },
    })
    expect(message?.next.join()).toContain("`serin explain`")
  })

  it("is the same whoever makes it, and when: by the revision's own time", () => {
    const once = transitionMessage(half, waiting, telling)
    expect(transitionMessage(half, waiting, { ...telling })).toEqual(once)
  })

  it("asks for the link of an approval only while one is waited for", () => {
    const approve = (after: RolloutState): string => `https://x/approve?r=${after.revision}`
    expect(transitionMessage(half, waiting, { ...telling, approve })?.links.approve).toBe(
      `https://x/approve?r=${waiting.revision}`,
    )
    expect(transitionMessage(waiting, approved, { ...telling, approve })?.links.approve).toBeUndefined()
  })

  it("is one line without escapes, whatever somebody wrote, and bounded", () => {
    const reason = `a\nb\u001b[31m\u202eevil ${"x".repeat(5000)}`
    const message = transitionMessage(shadow, act(shadow, { type: "pause", actor: HUMAN, reason }), telling)
    expect(message?.why).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(message?.why.length).toBeLessThan(1010)
    expect(message?.holds[0]?.note).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  it("tells a channel that was never told anything where the rollout stands", () => {
    expect(transitionMessage(null, waiting, telling)).toMatchObject({
      kind: "standing",
      before: null,
      title: "r: canary at 5 %, held by approval",
    })
  })

  it("stands for many revisions by what is most urgent in them", () => {
    const message = summaryMessage(shadow, killed, ["held", "killed", "held"], telling)
    expect(message).toMatchObject({
      kind: "killed",
      covers: { from: shadow.revision + 1, to: killed.revision },
      title: "r: 1 changes (held, killed); now killed: stable serves every session",
    })
    expect(message.next.at(-1)).toContain("serin history")
  })

  it("says from when to when nobody judged", () => {
    const message = unjudgedMessage(shadow, { since: NOW, until: NOW + HOUR }, telling)
    expect(message).toMatchObject({ kind: "unjudged", key: "r/1/2/unjudged", at: NOW + HOUR })
    expect(message.why).toContain("from 2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z")
  })
})
