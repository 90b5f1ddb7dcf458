import { describe, expect, it } from "vitest"
import { phaseOf } from "../../src/rollout/phase.js"
import type { Pins, RolloutSpec, Stage } from "../../src/rollout/spec.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { bucketOf } from "../../src/session/bucket.js"
import { count, harness, stateWith, T0 } from "./harness.js"

const call = { action: "pay" }
const HOUR = 3_600_000
const internal = { tier: "internal" }
const beta = { tier: "beta" }

/** Shadow at T0, 50 % of internal sessions an hour later, 60 % of internal and beta ones, then everybody. */
const stages: readonly Stage[] = [
  { weightBp: 0, periodMs: HOUR, approval: false },
  { weightBp: 5000, periodMs: HOUR, approval: false, eligible: { tier: ["internal"] } },
  { weightBp: 6000, periodMs: HOUR, approval: false, eligible: { tier: ["internal", "beta"] } },
  { weightBp: 10_000, periodMs: HOUR, approval: false },
]

function at(stage: number, differs: Partial<RolloutSpec> = {}, rest: Partial<RolloutState> = {}): RolloutState {
  const ramp = stages.slice(0, stage + 1).map(({ weightBp }, i) => ({ at: T0 + i * HOUR, weightBp, stage: i }))
  const state = stateWith({ ramp, revision: stage + 1, ...rest })
  return { ...state, spec: { ...state.spec, stages, ...differs } }
}

/** An id whose bucket is below `belowBp` and not below `fromBp`. */
function idIn(fromBp: number, belowBp: number, skip = 0): string {
  for (let i = 0, found = 0; i < 10_000; i++) {
    const bucket = bucketOf("salt", `id-${i}`)
    if (bucket >= fromBp && bucket < belowBp && found++ === skip) return `id-${i}`
  }
  throw new Error("no such id")
}

describe("a stage with an eligible of its own", () => {
  it("takes in the sessions that have its attributes, and compares nobody else", async () => {
    const { guard } = harness({}, at(1))
    const began = { startedAt: T0 + HOUR }
    const arm = (id: string, attributes?: typeof internal) =>
      guard.session(id, { ...began, attributes }).evaluate(call).arm
    expect(arm(idIn(0, 5000), internal)).toBe("canary")
    expect(arm(idIn(5000, 10_000), internal)).toBe("stable")
    await guard.idle()
    const before = count(guard.evidence(), 0, "sessions") + count(guard.evidence(), 1, "sessions")
    expect(before).toBe(2)
    expect(arm(idIn(0, 5000, 1), beta)).toBe("stable")
    expect(arm(idIn(0, 5000, 2))).toBe("stable")
    await guard.idle()
    expect(count(guard.evidence(), 0, "sessions") + count(guard.evidence(), 1, "sessions")).toBe(before)
  })

  it("moves no session that is running when a later stage takes in more, in a process that has never seen it as well", () => {
    const { guard, state } = harness({}, at(1))
    const id = idIn(0, 5000)
    const options = { startedAt: T0 + HOUR, attributes: beta }
    expect(guard.session(id, options).arm).toBe("stable")
    for (const stage of [2, 3]) {
      state.set(at(stage))
      expect(guard.session(id, options).arm).toBe("stable")
      expect(harness({}, at(stage)).guard.session(id, options).arm).toBe("stable")
    }
    const later = { ...options, startedAt: T0 + 2 * HOUR }
    expect(guard.session(idIn(0, 5000, 1), later).arm).toBe("canary")
  })

  it("leaves those that an earlier stage took in where they are", () => {
    const id = idIn(0, 5000)
    const options = { startedAt: T0 + HOUR, attributes: internal }
    for (const stage of [1, 2, 3]) expect(harness({}, at(stage)).guard.session(id, options).arm).toBe("canary")
  })

  it("counts each session in the stratum of its own stage", async () => {
    const { guard } = harness({}, at(2))
    guard.session(idIn(0, 5000), { startedAt: T0 + HOUR, attributes: internal }).evaluate(call)
    guard.session(idIn(0, 5000, 1), { startedAt: T0 + 2 * HOUR, attributes: beta }).evaluate(call)
    await guard.idle()
    const { strata, generation } = guard.evidence()
    const perStratum = strata.map((stratum) => count({ generation, strata: [stratum] }, 1, "sessions"))
    expect(perStratum).toEqual([0, 0, 1, 1])
  })

  it("takes the place of the eligible around it, which counts in every other stage", () => {
    const around = { eligible: { tier: ["internal", "beta", "paying"] } }
    const { guard } = harness({}, at(3, around))
    const arm = (startedAt: number, tier: string, skip: number) =>
      guard.session(idIn(0, 5000, skip), { startedAt, attributes: { tier } }).arm
    expect(arm(T0 + HOUR, "paying", 0)).toBe("stable")
    expect(arm(T0 + 3 * HOUR, "paying", 1)).toBe("canary")
    expect(arm(T0 + 3 * HOUR, "free", 2)).toBe("stable")
  })
})

describe("pins of the rollout's file", () => {
  const pins: Pins = {
    stable: { sessions: [], attributes: { account: ["bigcorp"] } },
    canary: { sessions: ["nightly"], attributes: null },
  }
  const began = { startedAt: T0 + HOUR }

  it("give their sessions the arm, whatever is drawn and whoever is eligible, and are evidence for nothing", async () => {
    const { guard } = harness({}, at(3, { pins }))
    const drawn = { startedAt: T0 + 3 * HOUR }
    expect(guard.session("big", { ...drawn, attributes: { account: "bigcorp" } }).evaluate(call).arm).toBe("stable")
    expect(guard.session("nightly", began).evaluate(call).arm).toBe("canary")
    expect(guard.session("someone", drawn).evaluate(call).arm).toBe("canary")
    await guard.idle()
    expect(count(guard.evidence(), 0, "sessions")).toBe(0)
    expect(count(guard.evidence(), 1, "sessions")).toBe(1)
  })

  it("mean stable where several say different things", () => {
    const { guard } = harness({}, at(1, { pins }))
    const account = { account: "bigcorp" }
    expect(guard.session("nightly", { ...began, attributes: account }).arm).toBe("stable")
    expect(guard.session("other", { ...began, attributes: account, arm: "canary" }).arm).toBe("stable")
    const host = harness({}, at(1, { pins })).guard
    expect(host.session("nightly", { ...began, arm: "stable" }).arm).toBe("stable")
  })

  it.each([
    ["a rollback", { ended: { kind: "rolled_back", at: T0 } }],
    ["a kill", { kill: "stable" }],
    ["a containment", { ended: { kind: "contained", at: T0 } }],
  ] as const)("bring no canary back after %s, nor once it is under way again", (_, stopped) => {
    const { guard, state } = harness({}, at(1, { pins }))
    const session = guard.session("nightly", began)
    expect(session.evaluate(call).arm).toBe("canary")
    state.set(at(1, { pins }, { ...stopped, revision: 7 }))
    expect(session.arm).toBe("stable")
    session.evaluate(call)
    // A new generation, which began after the session did.
    const ramp = [{ at: T0 + 2 * HOUR, weightBp: 5000, stage: 1 }]
    state.set(at(1, { pins }, { ramp, generation: 2, salt: "other", revision: 8 }))
    expect(session.arm).toBe("stable")
    expect(harness({}, state.current()).guard.session("nightly", began).arm).toBe("stable")
  })
})

describe("a session that is pinned to the canary", () => {
  const pinned = { arm: "canary" } as const

  it("and began before the rollout is stable's: stable served it, or a canary before this one", () => {
    const { guard } = harness({}, at(1))
    expect(guard.session("a", { ...pinned, startedAt: T0 - 1 }).arm).toBe("stable")
    expect(guard.session("b", { ...pinned, startedAt: T0 }).arm).toBe("canary")
  })

  it("is served by no loosening that is in shadow, nor ever if it began then", () => {
    const loosen = { intent: "loosen" } as const
    const { guard, state } = harness({}, at(0, loosen))
    expect(phaseOf(state.current()!).phase).toBe("shadow")
    expect(guard.session("a", { ...pinned, startedAt: T0 }).arm).toBe("stable")
    state.set(at(1, loosen))
    expect(guard.session("a", { ...pinned, startedAt: T0 }).arm).toBe("stable")
    expect(guard.session("b", { ...pinned, startedAt: T0 + HOUR }).arm).toBe("canary")
  })
})

describe("a superseded canary", () => {
  it("hands its sessions to stable for good: none enters the canary that takes its place", () => {
    const { guard, state } = harness({}, at(1))
    const ids = Array.from({ length: 200 }, (_, i) => `s-${i}`)
    const options = { startedAt: T0 + HOUR, attributes: internal }
    const first = new Set(ids.filter((id) => guard.session(id, options).evaluate(call).arm === "canary"))
    expect(first.size).toBeGreaterThan(50)
    const ramp = [{ at: T0 + 5 * HOUR, weightBp: 10_000, stage: 3 }]
    state.set(at(3, {}, { ramp, generation: 2, salt: "other", revision: 9 }))
    const elsewhere = harness({}, state.current()).guard
    for (const id of ids) {
      expect(guard.session(id, options).arm).toBe("stable")
      expect(elsewhere.session(id, options).arm).toBe("stable")
    }
    expect(guard.session("new", { ...options, startedAt: T0 + 5 * HOUR }).arm).toBe("canary")
  })
})
