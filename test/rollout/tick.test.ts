import { describe, expect, it } from "vitest"
import type { NoData } from "../../src/model/verdict.js"
import { phaseOf } from "../../src/rollout/phase.js"
import { parseState, serializeState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { NO_DATA_GRACE_MS } from "../../src/rollout/tick.js"
import { transition } from "../../src/rollout/transition.js"
import {
  at,
  CONTROLLER,
  holdsOf,
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
} from "./states.js"

const asked = { actor: HUMAN, reason: "because" } as const
const phase = (state: RolloutState) => phaseOf(state).phase
const blind = (state: RolloutState, now: number, noData: NoData = "missing") =>
  transition(state, tickOf(null, { noData }), now)

describe("a pass", () => {
  it("leads from shadow over every stage and baking to promoted, each after its period", () => {
    let state = started()
    const path: [number, number][] = []
    for (const [weightBp, periodMs] of [
      [0, 10 * MINUTE],
      [500, HOUR],
      [2500, HOUR],
      [10_000, 2 * HOUR],
    ] as const) {
      expect(look(state, "pass", since(state) + periodMs - 1)).toBe(state)
      state = look(state, "pass", since(state) + periodMs)
      path.push([weightBp, state.ramp.length])
    }
    expect(path).toEqual([
      [0, 2],
      [500, 3],
      [2500, 4],
      [10_000, 4],
    ])
    expect(phase(state)).toBe("promoted")
    expect(state.last).toMatchObject({ event: "promote", actor: CONTROLLER, verdict: { result: "pass" } })
    expect(look(state, "breach", since(state) + 9 * HOUR)).toBe(state)
  })

  it("raises the weight from activation_delay later on, and counts the period from there", () => {
    const now = NOW + 10 * MINUTE
    const state = look(started("activation_delay: 1m"), "pass", now)
    expect(since(state)).toBe(now + MINUTE)
    expect(look(state, "pass", now + HOUR)).toBe(state)
    expect(look(state, "pass", now + HOUR + MINUTE).ramp).toHaveLength(3)
  })

  it("on another generation's evidence is ignored, as is its breach", () => {
    const state = at(started(), 500)
    const now = since(state) + HOUR
    expect(look(state, "pass", now, { generation: 0 })).toBe(state)
    expect(look(state, "breach", now, { generation: 2 })).toBe(state)
  })

  it("moves nothing when the clock went backwards", () => {
    const state = at(started(), 500)
    expect(look(state, "pass", NOW - HOUR)).toBe(state)
  })
})

describe("a tick moves nothing", () => {
  it.each([
    ["while idle", idle()],
    ["while killed", transition(at(started(), 500), { type: "kill", position: "stable", ...asked }, NOW)],
    ["once rolled back", transition(at(started(), 500), { type: "rollback", ...asked }, NOW)],
    ["once promoted", transition(at(started(), 500), { type: "promote", to: "end", ...asked }, NOW)],
  ])("%s", (_name, state) => {
    for (const result of ["pass", "breach", "inconclusive"] as const) {
      expect(look(state, result, NOW + 100 * HOUR)).toBe(state)
    }
    expect(blind(state, NOW + 100 * HOUR)).toBe(state)
  })
})

describe("a breach", () => {
  const everything = "stages: [{ percentage: 5, approval: true }, 100]"

  it("rolls back at once: no minimum sample, no period, no approval and no pause delays it", () => {
    const paused = transition(at(started(everything), 500), { type: "pause", ...asked }, NOW)
    const state = look(paused, "breach", NOW, { sessions: 3, srm: true })
    expect(state.ended).toEqual({ kind: "rolled_back", at: NOW })
    expect(state.last).toMatchObject({
      event: "rollback",
      reason: "the verdict is breach",
      actor: CONTROLLER,
      verdict: { result: "breach" },
    })
  })

  it.each([0, 10_000])("rolls back at %d basis points as well", (weightBp) => {
    expect(phase(look(at(started(), weightBp), "breach", NOW))).toBe("rolled_back")
  })

  it.each([0, 500, 10_000])("with on_failure: contain, contains at %d basis points, with the verdict", (weightBp) => {
    const state = look(at(started("on_failure: contain"), weightBp), "breach", NOW)
    expect(phase(state)).toBe("contained")
    expect(state.last).toMatchObject({
      event: "contain",
      reason: "the verdict is breach",
      actor: CONTROLLER,
      verdict: { result: "breach" },
    })
    for (const result of ["pass", "breach"] as const) expect(look(state, result, NOW + 9 * HOUR)).toBe(state)
  })

  it("with on_failure: contain, is told from missing data and missing proof, which roll back where they should", () => {
    const blinded = at(started("on_failure: contain", "on_no_data: rollback"), 500)
    const now = since(blinded) + NO_DATA_GRACE_MS
    expect(phase(blind(blind(blinded, since(blinded)), now))).toBe("rolled_back")
    const late = at(started("on_failure: contain", "on_inconclusive: rollback", "max_stage_duration: 3h"), 500)
    expect(phase(look(late, "inconclusive", since(late) + 3 * HOUR))).toBe("rolled_back")
  })

  it("with on_failure: hold, holds until a human decides, even if later data look better", () => {
    const state = at(started("on_failure: hold"), 500)
    const held = look(state, "breach", NOW)
    expect(holdsOf(held)).toEqual(["breach"])
    expect(look(held, "pass", since(state) + HOUR)).toBe(held)
    const resumed = transition(held, { type: "resume", ...asked }, NOW)
    expect(look(resumed, "pass", since(state) + HOUR).ramp).toHaveLength(3)
  })
})

describe("no data", () => {
  it.each(["missing", "stale", "errored", "zero"] as const)("holds, and says which kind it was: %s", (noData) => {
    expect(blind(at(started(), 500), NOW, noData).holds).toEqual([{ reason: "no_data", since: NOW, note: noData }])
  })

  it("is told by a verdict that judged nothing", () => {
    expect(holdsOf(look(at(started(), 500), "inconclusive", NOW, { noData: "zero" }))).toEqual(["no_data"])
    expect(holdsOf(look(at(started(), 500), "inconclusive", NOW, { noData: "insufficient" }))).toEqual([])
  })

  it("takes back nothing that the last verdict found", () => {
    const held = look(at(started(), 500), "inconclusive", NOW, { sessions: 1, srm: true })
    expect(holdsOf(blind(held, NOW))).toEqual(["srm", "sample", "no_data"])
  })

  it("is not called inconclusive as well, and leaves a hold that is", () => {
    const state = at(started(), 500)
    const due = since(state) + HOUR
    expect(holdsOf(look(state, "inconclusive", due, { noData: "zero" }))).toEqual(["no_data"])
    expect(holdsOf(blind(look(state, "inconclusive", due), due))).toEqual(["inconclusive", "no_data"])
  })

  it("is lifted by the next look that sees", () => {
    expect(look(blind(at(started(), 500), NOW), "inconclusive", NOW).holds).toEqual([])
  })

  const guarded = at(started("on_no_data: rollback"), 500)
  const first = since(guarded) + 20 * MINUTE
  it.each([
    ["missing", NO_DATA_GRACE_MS],
    ["stale", NO_DATA_GRACE_MS],
    ["errored", NO_DATA_GRACE_MS],
    ["zero", HOUR],
  ] as const)("with on_no_data: rollback, %s rolls back once it has lasted", (noData, graceMs) => {
    const held = blind(guarded, first, noData)
    expect(phase(held)).toBe("canary")
    expect(blind(held, first + graceMs - 1, noData)).toBe(held)
    const back = blind(held, first + graceMs, noData)
    expect(phase(back)).toBe("rolled_back")
    expect(back.last.reason).toBe(`no evidence (${noData}) since ${new Date(first).toISOString()}`)
  })

  it("with on_no_data: rollback, a stage that has just begun is not blind yet", () => {
    const spec = started("on_no_data: rollback", "activation_delay: 1h", "shadow: false")
    const held = blind(spec, NOW)
    expect(blind(held, NOW + HOUR)).toBe(held)
    expect(phase(blind(held, NOW + HOUR + NO_DATA_GRACE_MS))).toBe("rolled_back")
  })
})

describe("holds", () => {
  const state = at(started(), 500)
  const due = since(state) + HOUR

  it("are a set in which each keeps the time it began", () => {
    const first = look(state, "inconclusive", NOW + 1, { srm: true })
    const second = look(first, "inconclusive", due, { srm: true })
    expect(second.holds).toEqual([
      { reason: "srm", since: NOW + 1 },
      { reason: "inconclusive", since: due },
    ])
    expect(second.last).toMatchObject({ event: "hold", reason: "held by srm, inconclusive" })
  })

  it("that do not change are no revision, whatever the numbers do", () => {
    const held = look(state, "inconclusive", due)
    expect(look(held, "inconclusive", due + MINUTE, { sessions: 77 })).toBe(held)
  })

  it("sample ratio mismatch holds a pass", () => {
    expect(holdsOf(look(state, "pass", due, { srm: true }))).toEqual(["srm"])
  })

  it.each([
    [0, { stable: 99, canary: 99, paused: 0, paired: 9 }],
    [500, { stable: 99, canary: 9, paired: 99 }],
    [10_000, { stable: 99, canary: 99, paired: 9 }],
  ])("fewer sessions than min_sessions hold a pass at %d basis points", (weightBp, sessions) => {
    const state = at(started(), weightBp)
    const event = { type: "tick", actor: CONTROLLER, verdict: verdictOf("pass"), sessions } as const
    expect(holdsOf(transition(state, event, since(state) + 2 * HOUR))).toEqual(["sample"])
  })

  it("count served sessions in baking when nothing is shadowed", () => {
    const state = at(started("shadow: false"), 10_000)
    const event = {
      type: "tick",
      actor: CONTROLLER,
      verdict: verdictOf("pass"),
      sessions: { stable: 9, canary: 9, paired: 0 },
    } as const
    expect(holdsOf(transition(state, event, since(state) + 2 * HOUR))).toEqual(["sample"])
    const enough = { ...event, sessions: { stable: 0, canary: 10, paired: 0 } }
    expect(phase(transition(state, enough, since(state) + 2 * HOUR))).toBe("promoted")
  })

  it("inconclusive begins only when the period is over", () => {
    expect(look(state, "inconclusive", due - 1)).toBe(state)
    expect(holdsOf(look(state, "inconclusive", due))).toEqual(["inconclusive"])
    expect(look(look(state, "inconclusive", due), "pass", due + 1).ramp).toHaveLength(3)
  })

  it("releases that are not loaded everywhere hold, and are lifted when they are", () => {
    const tick = { type: "tick", actor: CONTROLLER, verdict: verdictOf("pass") } as const
    const held = transition(state, { ...tick, releases: "missing" }, due)
    expect(holdsOf(held)).toEqual(["releases"])
    expect(transition(held, tick, due).ramp).toHaveLength(3)
  })

  it("a fuse that is blown holds a pass, says why, outlasts a promotion to the next stage, and is lifted when it is whole", () => {
    const tick = { type: "tick", actor: CONTROLLER, verdict: verdictOf("pass") } as const
    const held = transition(state, { ...tick, fuse: "the canary's policy failed 5 times in a row" }, due)
    expect(held.holds).toEqual([{ reason: "fuse", since: due, note: "the canary's policy failed 5 times in a row" }])
    expect(parseState(serializeState(held))).toEqual(held)
    expect(transition(held, { ...tick, fuse: "and again" }, due + 1)).toBe(held)
    const next = transition(held, { type: "promote", ...asked }, due)
    expect(holdsOf(next)).toEqual(["fuse"])
    expect(transition(held, tick, due).ramp).toHaveLength(3)
  })

  it("a fuse that is blown delays no rollback", () => {
    const breach = { type: "tick", actor: CONTROLLER, verdict: verdictOf("breach"), fuse: "why" } as const
    expect(phase(transition(state, breach, NOW + 1))).toBe("rolled_back")
  })

  it("a reason of a fuse that is too long is cut", () => {
    const tick = { type: "tick", actor: CONTROLLER, verdict: verdictOf("pass"), fuse: "x".repeat(9000) } as const
    expect(() => serializeState(transition(state, tick, due))).not.toThrow()
  })

  it("a pause keeps a pass from advancing", () => {
    const paused = transition(state, { type: "pause", ...asked }, NOW)
    expect(look(paused, "pass", due)).toBe(paused)
    expect(look(transition(paused, { type: "resume", ...asked }, NOW), "pass", due).ramp).toHaveLength(3)
  })
})

describe("max_stage_duration", () => {
  const late = (...lines: string[]) => at(started("max_stage_duration: 2h", ...lines), 500)
  const over = (state: RolloutState) => since(state) + 2 * HOUR

  it("then on_inconclusive: hold waits for a human, even if a later look passes", () => {
    const state = late()
    const held = look(state, "inconclusive", over(state))
    expect(holdsOf(held)).toEqual(["inconclusive"])
    expect(look(held, "pass", over(state) + 1)).toBe(held)
    expect(look(transition(held, { type: "resume", ...asked }, NOW), "pass", over(state) + 2).ramp).toHaveLength(3)
  })

  it("then on_inconclusive: extend goes on as soon as it passes", () => {
    const state = late("on_inconclusive: extend")
    const held = look(state, "inconclusive", over(state))
    expect(look(held, "pass", over(state) + 1).ramp).toHaveLength(3)
  })

  it("then on_inconclusive: rollback rolls back, and not before", () => {
    const state = late("on_inconclusive: rollback")
    expect(phase(look(state, "inconclusive", over(state) - 1))).toBe("canary")
    expect(phase(look(state, "inconclusive", over(state)))).toBe("rolled_back")
    expect(phase(blind(state, over(state)))).toBe("rolled_back")
    expect(phase(look(state, "pass", over(state), { sessions: 1 }))).toBe("rolled_back")
  })

  it("of the stage itself takes the place of that of the rollout", () => {
    const own = "stages: [{ percentage: 5, max_duration: 90m }, 100]"
    const state = at(started("max_stage_duration: 3h", "on_inconclusive: rollback", own), 500)
    expect(phase(look(state, "inconclusive", since(state) + 90 * MINUTE - 1))).toBe("canary")
    expect(phase(look(state, "inconclusive", since(state) + 90 * MINUTE))).toBe("rolled_back")
    const next = at(state, 10_000)
    expect(phase(look(next, "inconclusive", since(next) + 3 * HOUR - 1))).toBe("baking")
  })

  it("does not end a stage that is proven and waits for its approval", () => {
    const state = late("on_inconclusive: rollback", "stages: [{ percentage: 5, approval: true }, 100]")
    expect(holdsOf(look(state, "pass", over(state)))).toEqual(["approval"])
  })
})

describe("approval", () => {
  const state = at(started("stages: [{ percentage: 5, approval: true }, 100]"), 500)
  const due = since(state) + HOUR

  it("is waited for only when nothing else is missing", () => {
    expect(look(state, "pass", due - 1)).toBe(state)
    expect(holdsOf(look(state, "inconclusive", due))).toEqual(["inconclusive"])
    expect(holdsOf(look(state, "pass", due))).toEqual(["approval"])
  })

  const approve = (state: RolloutState, now = due) => transition(state, { type: "approve", ...asked }, now)
  const approved = approve(look(state, "pass", due))

  it("lets the next look that passes go on", () => {
    expect(approved.holds).toEqual([])
    expect(look(approved, "pass", due + 1).ramp).toHaveLength(3)
  })

  it("is asked for under a pause and without a release, and waits for both", () => {
    const paused = transition(state, { type: "pause", ...asked }, NOW)
    const asking = look(paused, "pass", due)
    expect(holdsOf(asking)).toEqual(["paused", "approval"])
    const waiting = approve(asking)
    expect(look(waiting, "pass", due + 1)).toBe(waiting)
    expect(look(transition(waiting, { type: "resume", ...asked }, due), "pass", due + 1).ramp).toHaveLength(3)
    const tick = { type: "tick", actor: CONTROLLER, verdict: verdictOf("pass"), releases: "missing" } as const
    const missing = transition(approved, tick, due + 1)
    expect(missing).toMatchObject({ approvals: [{ by: "ana" }], holds: [{ reason: "releases" }] })
    expect(look(missing, "pass", due + 2).ramp).toHaveLength(3)
  })

  it.each([
    ["inconclusive", "inconclusive", {}, undefined],
    ["sample", "pass", { sessions: 1 }, undefined],
    ["srm", "pass", { srm: true }, undefined],
    ["fuse", "pass", {}, "why"],
  ] as const)("lapses with a look that is held by %s, and is asked for anew", (held, result, options, fuse) => {
    const event = { type: "tick", actor: CONTROLLER, verdict: verdictOf(result, options), fuse } as const
    const lapsed = transition(approved, event, due + 1)
    expect(lapsed).toMatchObject({
      approvals: [],
      holds: [{ reason: held }],
      last: { event: "hold", reason: `held by ${held}; the approval of ana has lapsed` },
    })
    const again = look(lapsed, "pass", due + 2)
    expect(holdsOf(again)).toEqual(["approval"])
    expect(look(approve(again, due + 2), "pass", due + 3).ramp).toHaveLength(3)
  })

  it("outlasts a look that sees nothing", () => {
    const blinded = blind(approved, due + 1)
    expect(blinded.approvals).toEqual(approved.approvals)
    expect(look(blinded, "pass", due + 2).ramp).toHaveLength(3)
  })
})
