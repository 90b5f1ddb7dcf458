import { describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import { phaseOf, servesCanary } from "../../src/rollout/phase.js"
import { serializeState, type RolloutState } from "../../src/rollout/state.js"
import { transition, type RolloutEvent } from "../../src/rollout/transition.js"
import { at, CONTROLLER, holdsOf, HUMAN, idle, look, MINUTE, NOW, since, specOf, started } from "./states.js"

const asked = { actor: HUMAN, reason: "because" } as const
const apply = (state: RolloutState, event: RolloutEvent, now = NOW) => transition(state, event, now)
const kill = (state: RolloutState, position: "stable" | "deny" = "stable") =>
  apply(state, { type: "kill", position, ...asked })
const rollback = (state: RolloutState) => apply(state, { type: "rollback", ...asked })
const promote = (state: RolloutState, to: "next" | "end" = "next") => apply(state, { type: "promote", to, ...asked })
const canary = at(started(), 500)

const next = { ...specOf(), stable: "1", canary: "3" }
const start = (spec = next, actor: typeof HUMAN | typeof CONTROLLER = HUMAN): RolloutEvent => ({
  type: "start",
  spec,
  salt: "salt-2",
  actor,
  reason: "try again",
})
const retry: RolloutEvent = { type: "retry", salt: "salt-2", ...asked }

function refused(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (isSerinError(error) && error.code === "TRANSITION_REFUSED") return error.message
    throw error
  }
  throw new Error("it was not refused")
}

describe("start", () => {
  it("opens a generation in shadow, which counts at once", () => {
    const spec = specOf()
    expect(apply(idle(), { type: "start", spec, salt: "s", ...asked })).toMatchObject({
      revision: 2,
      generation: 1,
      salt: "s",
      canary: "2",
      ramp: [{ at: NOW, weightBp: 0, stage: 0 }],
      last: { event: "start", at: NOW, actor: HUMAN, reason: "because" },
    })
  })

  it("without shadow, serves nobody before every process can know of it", () => {
    expect(started("shadow: false", "activation_delay: 30s").ramp).toEqual([
      { at: NOW + 30_000, weightBp: 500, stage: 0 },
    ])
  })

  it("supersedes a running canary of another version, with nothing of the last generation left", () => {
    const paused = apply(canary, { type: "pause", ...asked })
    const superseded = apply(paused, start())
    expect(superseded).toMatchObject({
      generation: 2,
      canary: "3",
      salt: "salt-2",
      holds: [],
      approvals: [],
      ended: null,
      last: { event: "start", reason: "supersedes 2 (at 5 %): try again" },
    })
    expect(superseded.ramp).toEqual([{ at: NOW, weightBp: 0, stage: 0 }])
  })

  it("follows a rollback with another version, for controllers as well", () => {
    expect(phaseOf(apply(rollback(canary), start(next, CONTROLLER))).phase).toBe("shadow")
  })

  it("follows a promotion from the version that was promoted", () => {
    const promoted = promote(canary, "end")
    expect(apply(promoted, start({ ...next, stable: "2" }))).toMatchObject({ stable: "2", canary: "3", generation: 2 })
    expect(refused(() => apply(promoted, start()))).toContain("write stable: 2, or `rollback` first")
  })

  it.each([
    ["while killed", kill(canary), start(), "which is killed (stable, 2026-01-01T00:00:00.000Z): `retry` begins again"],
    ["twice", canary, start(specOf()), "which is at 5 %: 2 is under way: `promote` or `rollback` it"],
    ["what was rolled back", rollback(canary), start(specOf()), "`retry` gives 2 another chance"],
    ["what is promoted", promote(canary, "end"), start({ ...specOf(), stable: "2" }), "2 is promoted already"],
    ["with another stable under way", canary, start({ ...next, stable: "0" }), "stable is 1, not 0"],
    ["another rollout", canary, start({ ...next, rollout: "other" }), "the spec is of another rollout, other"],
    [
      "by a controller past a human's pause",
      apply(canary, { type: "pause", ...asked }),
      start(next, CONTROLLER),
      "`resume` first",
    ],
  ])("is refused %s", (_when, state, event, message) => {
    expect(refused(() => apply(state, event))).toContain(message)
  })

  it("refuses a salt of nothing and a time that is none, as the programmer's errors", () => {
    expect(() => apply(idle(), { ...start(), salt: "" } as RolloutEvent)).toThrow(RangeError)
    expect(() => apply(idle(), start(), Number.NaN)).toThrow(RangeError)
  })
})

describe("pause and resume", () => {
  it("hold and lift, once each", () => {
    const paused = apply(canary, { type: "pause", ...asked }, NOW + 5)
    expect(paused.holds).toEqual([{ reason: "paused", since: NOW + 5, note: "because" }])
    expect(apply(paused, { type: "pause", ...asked })).toBe(paused)
    const resumed = apply(paused, { type: "resume", ...asked })
    expect(resumed).toMatchObject({ holds: [], revision: paused.revision + 1 })
    expect(apply(resumed, { type: "resume", ...asked })).toBe(resumed)
  })

  it("resume lifts a breach that is held for a human to look at", () => {
    const held = look(at(started("on_failure: hold"), 500), "breach", NOW)
    expect(holdsOf(held)).toEqual(["breach"])
    expect(apply(held, { type: "resume", ...asked }).holds).toEqual([])
  })
})

describe("approve", () => {
  const stage = at(started("stages: [{ percentage: 5, approval: true }, 100]"), 500)
  const due = since(stage) + 60 * MINUTE
  const asking = look(stage, "pass", due)
  const approve = (by = "ana", reason = "because"): RolloutEvent => {
    return { type: "approve", actor: { kind: "human", id: by }, reason }
  }

  it("is kept with who and why, once", () => {
    const approved = apply(asking, approve(), due + 3)
    expect(approved.approvals).toEqual([{ stage: 1, by: "ana", reason: "because", at: due + 3 }])
    expect(apply(approved, approve())).toBe(approved)
  })

  it("of a name without end can be written down", () => {
    expect(() => serializeState(apply(asking, approve("x".repeat(5000)), due))).not.toThrow()
  })

  it.each([
    ["before a look", stage, NOW, "its period ends at 2026-01-01T01:10:10.000Z"],
    ["when the period is over and nobody has looked", stage, due, "no look has passed yet"],
    [
      "while the evidence says too little",
      look(stage, "inconclusive", due, { sessions: 1 }),
      due,
      "it is held by sample, inconclusive",
    ],
    ["under a pause alone", apply(stage, { type: "pause", ...asked }), due, "no look has passed yet"],
  ])("is the last gate: refused %s", (_when, state, now, message) => {
    expect(refused(() => apply(state, approve(), now))).toBe(
      `Cannot approve r, which is at 5 %: its evidence has to pass first: ${message}`,
    )
  })

  it.each([
    ["nobody", " ", "because"],
    ["no reason", "ana", ""],
  ])("is refused with %s", (_what, by, reason) => {
    expect(refused(() => apply(asking, approve(by, reason), due))).toContain("says who gives it, and why")
  })

  it("is refused where nobody asks", () => {
    expect(refused(() => apply(canary, { type: "approve", ...asked }))).toContain("`promote` goes on at once")
  })
})

describe("promote", () => {
  it("goes to the next stage once every process can know of it", () => {
    const promoted = apply(started(), { type: "promote", ...asked }, NOW + MINUTE)
    expect(promoted.ramp.at(-1)).toEqual({ at: NOW + MINUTE + 10_000, weightBp: 500, stage: 1 })
    expect(promoted.last).toMatchObject({ event: "promote", actor: HUMAN, reason: "because" })
  })

  it("from the last stage, ends the rollout", () => {
    expect(promote(at(started(), 10_000)).ended).toEqual({ kind: "promoted", at: NOW })
  })

  it("to the end, gives every new session to the canary", () => {
    const promoted = promote(canary, "end")
    expect(phaseOf(promoted)).toEqual({ phase: "promoted", at: NOW })
    expect(promoted.ramp.at(-1)).toMatchObject({ weightBp: 10_000, stage: 3 })
  })

  it("takes a human's pause along, and no hold of the stage it leaves", () => {
    const held = look(apply(canary, { type: "pause", ...asked }), "inconclusive", NOW, { sessions: 0, srm: true })
    expect(holdsOf(held)).toEqual(["paused", "srm", "sample"])
    expect(holdsOf(promote(held))).toEqual(["paused"])
  })

  it("never lets the ramp go back in time, whatever the clock does", () => {
    const promoted = apply(canary, { type: "promote", ...asked }, NOW - 1_000_000)
    expect(since(promoted)).toBe(since(canary))
  })
})

describe("rollback", () => {
  it("acts in the event itself", () => {
    const back = rollback(canary)
    expect(back.ended).toEqual({ kind: "rolled_back", at: NOW })
    expect(servesCanary(back)).toBe(false)
    expect(rollback(back)).toBe(back)
  })

  it("takes a promotion back when a human asks, and only then", () => {
    const promoted = promote(canary, "end")
    expect(phaseOf(rollback(promoted)).phase).toBe("rolled_back")
    expect(refused(() => apply(promoted, { type: "rollback", actor: CONTROLLER, reason: "x" }))).toContain(
      "only a human may",
    )
  })

  it("may be asked for by a controller while the canary is under way", () => {
    expect(servesCanary(apply(canary, { type: "rollback", actor: CONTROLLER, reason: "fuse" }))).toBe(false)
  })
})

describe("kill", () => {
  it.each([
    ["idle", idle()],
    ["shadow", started()],
    ["canary", canary],
    ["rolled back", rollback(canary)],
    ["promoted", promote(canary, "end")],
  ])("works whatever the phase: %s", (_name, state) => {
    expect(phaseOf(kill(state, "deny"))).toEqual({ phase: "killed", at: NOW, position: "deny" })
    expect(phaseOf(kill(state))).toMatchObject({ phase: "killed", position: "stable" })
  })

  it("twice is once, and its position can be changed", () => {
    const killed = kill(canary)
    expect(kill(killed)).toBe(killed)
    expect(kill(killed, "deny").kill).toBe("deny")
    expect(kill(kill(killed, "deny")).kill).toBe("stable")
  })

  it("by a controller never lifts a lockdown", () => {
    const event = { type: "kill", position: "stable", actor: CONTROLLER, reason: "x" } as const
    expect(refused(() => apply(kill(canary, "deny"), event))).toContain("only a human may")
    expect(apply(canary, event).kill).toBe("stable")
  })

  it("is not held up by a reason of a megabyte", () => {
    const killed = apply(canary, { type: "kill", position: "stable", actor: HUMAN, reason: "x".repeat(1_000_000) })
    expect(killed.last.reason).toHaveLength(2001)
  })
})

describe("retry", () => {
  it.each([
    ["a rollback", rollback(canary)],
    ["a kill", kill(canary, "deny")],
    ["a kill over a rollback", kill(rollback(canary))],
    ["a kill over a promotion", kill(promote(canary, "end"))],
  ])("begins a new generation after %s, from the first stage, with other sessions", (_name, state) => {
    expect(apply(state, retry, NOW + 9)).toMatchObject({
      generation: 2,
      salt: "salt-2",
      kill: "off",
      ended: null,
      ramp: [{ at: NOW + 9, weightBp: 0, stage: 0 }],
    })
  })

  it("takes a mended spec, so that a killed version need not run again", () => {
    expect(apply(kill(canary), { ...retry, spec: next } as RolloutEvent)).toMatchObject({ canary: "3", kill: "off" })
  })

  it("lifts a kill that fell on an idle rollout and starts nothing", () => {
    expect(phaseOf(apply(kill(idle(), "deny"), retry))).toEqual({ phase: "idle" })
  })

  it.each([
    ["idle", idle(), "`start` a canary"],
    ["under way", canary, "it is under way: `rollback` first"],
    ["promoted", promote(canary, "end"), "`start` a canary"],
  ])("is refused when %s", (_name, state, message) => {
    expect(refused(() => apply(state, retry))).toContain(message)
  })
})

describe("contain", () => {
  const contain: RolloutEvent = { type: "contain", ...asked }
  const controlled = { actor: CONTROLLER, reason: "" }
  const contained = apply(canary, contain)

  it.each([
    ["shadow", started()],
    ["a canary", canary],
    ["baking", at(started(), 10_000)],
    ["a promotion", promote(canary, "end")],
    ["a rollback", rollback(canary)],
  ])("contains from %s, at once, with no hold left", (_name, state) => {
    const after = apply(state, contain, NOW + 3)
    expect(after).toMatchObject({
      generation: 1,
      ended: { kind: "contained", at: NOW + 3 },
      holds: [],
      last: { event: "contain", actor: HUMAN },
    })
    expect(servesCanary(after)).toBe(false)
    expect(apply(after, contain)).toBe(after)
  })

  it("is a human's verb, refused without a canary and over a kill", () => {
    expect(refused(() => apply(canary, { type: "contain", ...controlled }))).toContain("only a human may")
    expect(refused(() => apply(idle(), contain))).toContain("there is no canary yet")
    expect(refused(() => apply(kill(canary), contain))).toContain("nothing is stricter than `deny`")
    expect(refused(() => apply(contained, { type: "promote", ...asked }))).toContain("`retry` begins again")
  })

  it("is ended by a human: with a rollback, a retry, a new canary or a kill at stable", () => {
    expect(phaseOf(rollback(contained)).phase).toBe("rolled_back")
    expect(apply(contained, retry)).toMatchObject({ generation: 2, ended: null })
    expect(apply(contained, start())).toMatchObject({ generation: 2, canary: "3", ended: null })
    expect(phaseOf(kill(contained))).toMatchObject({ phase: "killed", position: "stable" })
    expect(refused(() => apply(contained, start(specOf())))).toContain("`retry` gives 2 another chance")
  })

  it("is not ended by a controller, which may only deny every call", () => {
    for (const event of [
      { type: "rollback", ...controlled },
      { ...start(), actor: CONTROLLER },
      { ...retry, actor: CONTROLLER },
      { type: "kill", position: "stable", ...controlled },
    ] as RolloutEvent[]) {
      expect(refused(() => apply(contained, event))).toMatch(/only a human may$/)
    }
    expect(apply(contained, { type: "kill", position: "deny", ...controlled }).kill).toBe("deny")
  })
})

describe("lead", () => {
  const lead = (epoch: number, actor: typeof HUMAN | typeof CONTROLLER = CONTROLLER): RolloutEvent => ({
    type: "lead",
    epoch,
    actor,
    reason: "it leads",
  })

  it("has the state bear the epoch, and changes nothing else", () => {
    const led = apply(canary, lead(7))
    expect(led).toEqual({ ...canary, epoch: 7, revision: canary.revision + 1, last: led.last })
    expect(led.last).toMatchObject({ event: "lead", actor: CONTROLLER })
    expect(apply(led, lead(7))).toBe(led)
  })

  it("refuses a leader of a lower epoch, and a human", () => {
    expect(refused(() => apply(apply(canary, lead(7)), lead(6)))).toContain("epoch 7")
    expect(refused(() => apply(canary, lead(7, HUMAN)))).toContain("only a controller")
  })

  it("leaves what nobody moves as it was ended, and when", () => {
    for (const ended of [idle(), rollback(canary), kill(canary)]) expect(apply(ended, lead(7))).toBe(ended)
  })

  it("is kept by whatever humans do, a new generation too", () => {
    const led = apply(canary, lead(7))
    for (const next of [kill(led), rollback(led), promote(led), apply(rollback(led), retry)]) expect(next.epoch).toBe(7)
  })
})

describe("a refusal", () => {
  const verbs = ["pause", "resume", "approve", "promote"] as const

  it.each(verbs)("%s says where the rollout stands and which verb would work", (type) => {
    const event = { type, ...asked } as RolloutEvent
    expect(refused(() => apply(idle(), event))).toBe(`Cannot ${type} r, which is idle: \`start\` a canary first`)
    expect(refused(() => apply(rollback(canary), event))).toBe(
      `Cannot ${type} r, which is rolled back (2026-01-01T00:00:00.000Z): \`retry\` begins again`,
    )
    expect(refused(() => apply(kill(canary, "deny"), event))).toContain(
      "which is killed (deny, 2026-01-01T00:00:00.000Z)",
    )
    expect(refused(() => apply(promote(canary, "end"), event))).toContain("promoted (2026-01-01T00:00:00.000Z)")
  })

  it.each([...verbs, "retry"] as const)("%s is a human's verb", (type) => {
    const event = { type, salt: "x", actor: CONTROLLER, reason: "" } as RolloutEvent
    expect(refused(() => apply(canary, event))).toBe(`Cannot ${type} r, which is at 5 %: only a human may`)
  })

  it("of a rollback says that there is nothing to take back", () => {
    expect(refused(() => rollback(idle()))).toContain("there is nothing to roll back")
    expect(refused(() => rollback(kill(canary)))).toContain("no session is served by the canary as it is")
  })
})
