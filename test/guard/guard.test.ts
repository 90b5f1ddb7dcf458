import fc from "fast-check"
import { describe, expect, expectTypeOf, it } from "vitest"
import type { Decision } from "../../src/model/decision.js"
import { createGuard } from "../../src/guard.js"
import type { Guard } from "../../src/guard.js"
import type { Call } from "../../src/model/call.js"
import type { Alert, EvaluationContext, Monitor } from "../../src/release/ports.js"
import { count, fakeState, harness, idOn, release, stateWith, T0, total } from "./harness.js"
import { runs } from "../runs.js"

/** Nobody is served by stable. */
const everybody = stateWith({ ramp: [{ at: T0 - 1, weightBp: 10_000, stage: 0 }] })

const call = { action: "refund", input: { amount: 5 } }

describe("a decision", () => {
  it("is a value, by type, in a synchronous guard", () => {
    const { guard } = harness()
    const decision = guard.session("a").evaluate(call)
    expectTypeOf(decision).toEqualTypeOf<Decision>()
    expect(["allow", "deny"]).toContain(decision.outcome)
  })

  it("is a promise, by type, in an asynchronous guard, whether its policy is or not", async () => {
    const guard = createGuard({
      rollout: "demo",
      async: true,
      state: fakeState(stateWith({ ramp: [] })),
      releases: new Map([["1.0.0", release("1.0.0", () => "allow")]]),
    })
    const decision = guard.session("a").evaluate(call)
    expectTypeOf(decision).toEqualTypeOf<Promise<Decision>>()
    expect(decision).toBeInstanceOf(Promise)
    expect(await decision).toMatchObject({ outcome: "allow", arm: "stable" })
    guard.close()
  })

  it("comes from the session's arm and says who decided", () => {
    const { guard } = harness({ canary: () => ({ outcome: "deny", rule: "cap", reason: "too much" }) })
    expect(guard.session(idOn(guard, "stable")).evaluate(call)).toEqual({
      outcome: "allow",
      arm: "stable",
      release: "1.0.0",
      source: "policy",
      reason: undefined,
      rule: undefined,
      errorType: undefined,
    })
    expect(guard.session(idOn(guard, "canary")).evaluate(call)).toMatchObject({
      outcome: "deny",
      arm: "canary",
      release: "2.0.0",
      source: "policy",
      reason: "too much",
      rule: "cap",
    })
  })

  it("stays on the arm when the session is kept and when it is asked for again", () => {
    const { guard } = harness()
    const id = idOn(guard, "canary")
    const kept = guard.session(id)
    for (let i = 0; i < 5; i++) {
      expect(kept.evaluate(call).arm).toBe("canary")
      expect(guard.session(id).evaluate(call).arm).toBe("canary")
    }
  })

  it("refuses an empty session id with what to do instead", () => {
    const { guard } = harness()
    expect(() => guard.session("")).toThrow(expect.objectContaining({ code: "SESSION_ID_INVALID" }))
    expect(() => guard.session(undefined as unknown as string)).toThrow(/sessionless/)
    expect(guard.sessionless.evaluate(call)).toMatchObject({ arm: "stable", outcome: "allow" })
  })

  it("of a call without a session is stable's and evidence for nothing", async () => {
    const { guard } = harness({}, stateWith({ ramp: [{ at: 0, weightBp: 10_000, stage: 0 }] }))
    expect(guard.sessionless.evaluate(call).arm).toBe("stable")
    await guard.idle()
    expect(count(guard.evidence(), 0, "evaluations") + total(guard.evidence(), "pairs")).toBe(0)
  })
})

describe("eligibility", () => {
  const half = stateWith()
  const eligible = { tier: ["internal", "beta"], paying: [true] }
  const state = { ...half, ramp: [{ at: T0, weightBp: 10_000, stage: 0 }], spec: { ...half.spec, eligible } }

  it("lets only sessions with the named attributes take part; the rest are stable's and compared with nobody", async () => {
    const { guard } = harness({}, state)
    const arms = [
      { tier: "internal", paying: true },
      { tier: "beta", paying: true, more: 1 },
      { tier: "internal", paying: false },
      { tier: "internal" },
      { tier: "toString", paying: true },
      undefined,
    ].map((attributes, i) => guard.session(`s-${i}`, { attributes }).evaluate(call).arm)
    expect(arms).toEqual(["canary", "canary", "stable", "stable", "stable", "stable"])
    await guard.idle()
    expect(count(guard.evidence(), 0, "evaluations")).toBe(0)
    expect(count(guard.evidence(), 1, "evaluations")).toBe(2)
    expect(total(guard.evidence(), "pairs")).toBe(2)
  })
})

describe("max_sessions", () => {
  const at = (weightBp: number) => {
    const state = stateWith({ ramp: [{ at: T0, weightBp, stage: 0 }] })
    return { ...state, spec: { ...state.spec, maxSessions: 3 } }
  }
  const decideAll = (guard: Guard): string[] =>
    Array.from({ length: 100 }, (_, i) => guard.session(`s-${i}`).evaluate(call).arm)

  it("serves no more sessions by the canary, keeps those it has, and compares nobody that comes later", () => {
    const { guard } = harness({}, at(5000))
    const arms = decideAll(guard)
    expect(arms.filter((arm) => arm === "canary")).toHaveLength(3)
    expect(decideAll(guard)).toEqual(arms)
    const before = arms.lastIndexOf("canary") + 1
    expect(count(guard.evidence(), 0, "sessions") + count(guard.evidence(), 1, "sessions")).toBe(before)
  })

  it("is not used up by pinned sessions", () => {
    const { guard } = harness({}, at(5000))
    for (let i = 0; i < 5; i++) guard.session(`pinned-${i}`, { arm: "canary" }).evaluate(call)
    expect(decideAll(guard).filter((arm) => arm === "canary")).toHaveLength(3)
  })

  it("is over at 100 %", () => {
    expect(new Set(decideAll(harness({}, at(10_000)).guard))).toEqual(new Set(["canary"]))
  })
})

describe("withSession", () => {
  it("gives deep code its session, through promises, timers and nesting", async () => {
    const { guard } = harness()
    const deep = async (): Promise<string> => {
      await new Promise((resolve) => setImmediate(resolve))
      return guard.current().sessionId
    }
    const [a, b] = await Promise.all([
      guard.withSession("a", deep),
      guard.withSession("b", () => guard.withSession("c", deep).then(async (inner) => [inner, await deep()].join())),
    ])
    expect([a, b]).toEqual(["a", "c,b"])
  })

  it("decides for the session, and for none outside of it", () => {
    const { guard } = harness()
    const id = idOn(guard, "canary")
    expect(guard.withSession(id, () => guard.evaluate(call)).arm).toBe("canary")
    expect(guard.evaluate(call).arm).toBe("stable")
    expect(count(guard.evidence(), 0, "evaluations")).toBe(0)
  })
})

describe("a pinned session", () => {
  it("is served by its arm, is evidence for nothing, and leaves the canary with everybody else", async () => {
    const { guard, state } = harness({}, stateWith({ ramp: [{ at: T0, weightBp: 0, stage: 0 }] }))
    const session = guard.session("tester", { arm: "canary" })
    expect(session.evaluate(call)).toMatchObject({ arm: "canary", outcome: "deny" })
    expect(guard.session("careful", { arm: "stable" }).evaluate(call).arm).toBe("stable")
    await guard.idle()
    expect(count(guard.evidence(), 0, "evaluations") + count(guard.evidence(), 1, "evaluations")).toBe(0)
    expect(total(guard.evidence(), "pairs")).toBe(0)
    state.set(stateWith({ revision: 2, kill: "stable" }))
    expect(session.evaluate(call).arm).toBe("stable")
    state.set(stateWith({ revision: 3 }))
    expect(session.evaluate(call).arm).toBe("stable")
  })
})

describe("a call with an id", () => {
  it("is decided and counted once in its session, however often it is asked", () => {
    let n = 0
    const { guard } = harness({}, stateWith({ ramp: [] }), {
      releases: new Map([["1.0.0", release("1.0.0", () => (n++ === 0 ? "allow" : "deny"))]]),
    })
    const session = guard.session("a")
    const first = session.evaluate(call, { callId: "call-1" })
    expect(session.evaluate(call, { callId: "call-1" })).toBe(first)
    expect(guard.session("a").evaluate(call, { callId: "call-1" })).toBe(first)
    expect(session.evaluate(call, { callId: "call-2" }).outcome).toBe("deny")
    expect(guard.session("b").evaluate(call, { callId: "call-1" }).outcome).toBe("deny")
    expect(count(guard.evidence(), 0, "evaluations")).toBe(3)
  })

  it("keeps its answer through a rollback, but not against the kill switch", () => {
    const { guard, state } = harness({ canary: () => "allow", stable: () => "deny" })
    const session = guard.session(idOn(guard, "canary"))
    const first = session.evaluate(call, { callId: "1" })
    state.set(stateWith({ revision: 2, ended: { kind: "rolled_back", at: T0 } }))
    expect(session.evaluate(call, { callId: "1" })).toBe(first)
    expect(session.evaluate(call, { callId: "2" }).outcome).toBe("deny")
    state.set(stateWith({ revision: 3, kill: "deny" }))
    expect(session.evaluate(call, { callId: "1" })).toMatchObject({ outcome: "deny", source: "lockdown" })
  })

  it("is remembered in bounded number, and never shared by calls without a session", () => {
    let n = 0
    const { guard } = harness({ stable: () => (n++, "allow") }, stateWith({ ramp: [] }))
    for (let i = 0; i < 1000; i++) guard.session("a").evaluate(call, { callId: `${i}` })
    guard.session("a").evaluate(call, { callId: "999" })
    expect(n).toBe(1000)
    guard.session("a").evaluate(call, { callId: "0" })
    expect(n).toBe(1001)
    guard.sessionless.evaluate(call, { callId: "1" })
    guard.sessionless.evaluate(call, { callId: "1" })
    expect(n).toBe(1003)
  })

  it("shares a pending answer, and asks again after a failure that was thrown", async () => {
    let asked = 0
    const policy = {
      evaluate: () => (++asked === 1 ? Promise.reject(new Error("down")) : Promise.resolve("allow" as const)),
    }
    const guard = createGuard({
      rollout: "demo",
      async: true,
      onStableError: "throw",
      state: fakeState(stateWith({ ramp: [] })),
      releases: new Map([["1.0.0", { version: "1.0.0", policy }]]),
    })
    const both = ["x", "x"].map((callId) => guard.session("a").evaluate(call, { callId }))
    for (const pending of both) await expect(pending).rejects.toThrow("down")
    expect(asked).toBe(1)
    expect((await guard.session("a").evaluate(call, { callId: "x" })).outcome).toBe("allow")
    guard.close()
  })
})

describe("a canary that fails", () => {
  it.each([
    [
      "throws",
      (): never => {
        throw new Error("boom")
      },
      "throw",
    ],
    ["answers nonsense", () => "maybe" as "allow", "invalid"],
    ["answers nothing", () => undefined as unknown as "allow", "invalid"],
    [
      "answers a promise in a synchronous guard",
      () => Promise.reject(new Error("late")) as unknown as "allow",
      "invalid",
    ],
  ])("that %s: stable's answer is served and the failure counted", async (_, canary, errorType) => {
    const { guard, events } = harness({ canary })
    const decision = guard.session(idOn(guard, "canary")).evaluate(call)
    expect(decision).toMatchObject({ outcome: "allow", arm: "stable", release: "1.0.0", source: "fallback", errorType })
    expect(count(guard.evidence(), 1, "error")).toBe(1)
    expect(count(guard.evidence(), 1, "evaluations")).toBe(1)
    expect(count(guard.evidence(), 0, "evaluations")).toBe(0)
    expect(events).toContainEqual(expect.objectContaining({ type: "error", arm: "canary", errorType }))
    await guard.idle()
  })

  it("gives a pair for nothing: stable judged the same call", async () => {
    const canary = () => {
      throw new Error("boom")
    }
    const { guard } = harness({ canary }, everybody)
    guard.session("a").evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(1)
  })

  it("does not leave the event loop with an unhandled rejection", async () => {
    const seen: unknown[] = []
    const listener = (reason: unknown): void => void seen.push(reason)
    process.on("unhandledRejection", listener)
    const { guard, clock } = harness({ canary: () => Promise.reject(new Error("late")) as unknown as "allow" })
    guard.session(idOn(guard, "canary")).evaluate(call)
    await clock.settle()
    process.off("unhandledRejection", listener)
    expect(seen).toEqual([])
  })
})

describe("a stable that fails", () => {
  const stable = (): never => {
    throw new Error("stable is down")
  }

  it("denies by default", () => {
    const { guard } = harness({ stable })
    expect(guard.session(idOn(guard, "stable")).evaluate(call)).toMatchObject({
      outcome: "deny",
      source: "posture",
      errorType: "throw",
      arm: "stable",
    })
    expect(count(guard.evidence(), 0, "error")).toBe(1)
  })

  it("escalates or throws its own error when the host asked for that", () => {
    expect(
      harness({ stable }, stateWith({ ramp: [] }), { onStableError: "escalate" })
        .guard.session("a")
        .evaluate(call).outcome,
    ).toBe("escalate")
    const throwing = harness({ stable }, stateWith({ ramp: [] }), { onStableError: "throw" })
    expect(() => throwing.guard.session("a").evaluate(call)).toThrow("stable is down")
  })

  it("denies when the canary failed before it", () => {
    const { guard } = harness({ stable, canary: stable })
    expect(guard.session(idOn(guard, "canary")).evaluate(call)).toMatchObject({ outcome: "deny", source: "posture" })
  })

  it("denies when no release is loaded at all", () => {
    const { guard } = harness({}, stateWith({ stable: "9.9.9", ramp: [] }), { releases: new Map() })
    expect(guard.session("a").evaluate(call)).toMatchObject({
      outcome: "deny",
      source: "posture",
      errorType: "unavailable",
    })
  })
})

describe("the kill switch", () => {
  it("stable: takes every session off the canary at once, and keeps it off", () => {
    const { guard, state } = harness()
    const session = guard.session(idOn(guard, "canary"))
    expect(session.evaluate(call).arm).toBe("canary")
    state.set(stateWith({ kill: "stable", revision: 2 }))
    expect(session.evaluate(call)).toMatchObject({ arm: "stable", outcome: "allow", source: "policy" })
    state.set(stateWith({ revision: 3 }))
    expect(session.evaluate(call).arm).toBe("stable")
  })

  it("deny: denies every call of every session", () => {
    const { guard, state } = harness()
    state.set(stateWith({ kill: "deny", revision: 2 }))
    for (const id of ["a", "b", "c"]) {
      expect(guard.session(id).evaluate(call)).toMatchObject({ outcome: "deny", source: "lockdown" })
      expect(guard.session(id).scan("text", { direction: "input" }).result).toBe("blocked")
    }
  })

  it("a rollback takes effect in the middle of a session", () => {
    const { guard, state } = harness()
    const session = guard.session(idOn(guard, "canary"))
    session.evaluate(call)
    state.set(stateWith({ revision: 2, ended: { kind: "rolled_back", at: T0 } }))
    expect(session.evaluate(call).arm).toBe("stable")
  })
})

describe("the ramp", () => {
  it("does not move a session that began before it grew, and takes new ones", () => {
    const { guard, state, clock } = harness({}, stateWith({ ramp: [{ at: T0, weightBp: 0, stage: 0 }] }))
    const before = Array.from({ length: 50 }, (_, i) => guard.session(`old-${i}`))
    for (const session of before) session.evaluate(call)
    clock.advance(60_000)
    state.set(
      stateWith({
        revision: 2,
        ramp: [
          { at: T0, weightBp: 0, stage: 0 },
          { at: T0 + 60_000, weightBp: 10_000, stage: 1 },
        ],
      }),
    )
    expect(new Set(before.map((session) => session.evaluate(call).arm))).toEqual(new Set(["stable"]))
    expect(guard.session("new").evaluate(call).arm).toBe("canary")
    expect(guard.session("told", { startedAt: T0 + 59_999 }).evaluate(call).arm).toBe("stable")
  })

  it("never brings a served session into the canary, even when a state arrives late", () => {
    const { guard, state, clock } = harness({}, null, {})
    state.set(stateWith({ ramp: [{ at: T0, weightBp: 0, stage: 0 }] }))
    clock.advance(1000)
    const session = guard.session("late")
    expect(session.evaluate(call).arm).toBe("stable")
    const ramp = [
      { at: T0, weightBp: 0, stage: 0 },
      { at: T0 + 500, weightBp: 10_000, stage: 1 },
    ]
    state.set(stateWith({ revision: 2, ramp }))
    expect(session.evaluate(call).arm).toBe("stable")
    expect(guard.session("late").evaluate(call).arm).toBe("stable")
  })

  it.each([
    ["in time, by clocks that agree", 0, 0],
    ["by a clock that is two hours behind", -7_200_000, 0],
    ["by a clock that is two hours ahead", 7_200_000, 0],
    ["by news that are a minute late", 0, 60_000],
  ])("counts each session where its first call found it, every call of it, once: %s", (_, ahead, lateMs) => {
    const ramp = [0, 2000, 5000, 10_000].map((weightBp, stage) => ({ at: T0 + stage * 60_000, weightBp, stage }))
    const { guard, state, clock } = harness({}, stateWith({ ramp: ramp.slice(0, 1) }))
    const begun: { readonly id: string; readonly startedAt: number }[] = []
    let calls = 0
    for (let stage = 0; stage < ramp.length; stage++) {
      clock.setWall(ramp[stage]!.at + 1)
      const tell = (): void => state.set(stateWith({ revision: stage + 2, ramp: ramp.slice(0, stage + 1) }))
      if (lateMs === 0) tell()
      begun.push(...Array.from({ length: 40 }, (_, i) => ({ id: `s-${stage}-${i}`, startedAt: clock.now() + ahead })))
      for (let again = 0; again < 2; again++) {
        for (const { id, startedAt } of begun) {
          guard.session(id, { startedAt }).evaluate(call)
          calls++
        }
        if (lateMs > 0) clock.advance(lateMs)
        tell()
      }
    }
    const evidence = guard.evidence()
    expect(count(evidence, 0, "evaluations") + count(evidence, 1, "evaluations")).toBe(calls)
    for (const stratum of evidence.strata) {
      // Of an arm that nobody of the stratum was drawn for there are no calls either.
      const arms = ([0, 1] as const).map((arm) => (name: "sessions" | "evaluations") => {
        return count({ generation: 1, strata: [stratum] }, arm, name)
      })
      for (const arm of arms) expect(arm("evaluations") > 0).toBe(arm("sessions") > 0)
    }
  })

  it("takes a session that was called before its generation for one that began before it, whatever its clock says", () => {
    const { guard, state } = harness({}, null)
    const id = idOn(harness().guard, "canary")
    const ask = () => guard.session(id, { startedAt: T0 + 7_200_000 }).evaluate(call).arm
    expect(ask()).toBe("stable")
    state.set(stateWith())
    expect(ask()).toBe("stable")
    // It was neither drawn for the canary and kept from it, nor one of stable beside others that were.
    expect(count({ generation: 1, strata: guard.evidence().strata.slice(0, 1) }, 0, "sessions")).toBe(1)
    expect(count({ generation: 1, strata: guard.evidence().strata.slice(1) }, 0, "evaluations")).toBe(0)
  })

  it("holds for any sequence of ramps: a session goes canary to stable or stays", () => {
    const step = fc.record({
      weightBp: fc.constantFrom(0, 500, 2500, 5000, 10_000),
      ahead: fc.integer({ min: -2000, max: 2000 }),
      kill: fc.constantFrom<"off" | "stable" | "deny">("off", "off", "off", "stable", "deny"),
      ended: fc.boolean(),
      generation: fc.integer({ min: 0, max: 1 }),
    })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        const { guard, state, clock } = harness({}, stateWith({ ramp: [] }))
        const arms = new Map<string, string[]>()
        let ramp: { at: number; weightBp: number; stage: number }[] = []
        let generation = 1
        for (const [i, s] of steps.entries()) {
          if (s.generation === 1) {
            generation += 1
            ramp = []
          }
          ramp = [
            ...ramp,
            { at: Math.max(clock.now() + s.ahead, ramp.at(-1)?.at ?? 0), weightBp: s.weightBp, stage: i },
          ]
          const ended = s.ended ? ({ kind: "rolled_back", at: clock.now() } as const) : null
          state.set(stateWith({ revision: i + 2, generation, salt: `salt-${generation}`, ramp, kill: s.kill, ended }))
          for (let n = 0; n <= i * 4; n++) {
            const decision = guard.session(`s-${n}`).evaluate(call)
            if (s.kill === "deny") expect(decision.outcome).toBe("deny")
            if (s.kill !== "off" || s.ended) expect(decision.arm).toBe("stable")
            if (decision.source === "policy") arms.set(`s-${n}`, [...(arms.get(`s-${n}`) ?? []), decision.arm])
          }
          clock.advance(700)
        }
        for (const history of arms.values()) {
          const lastCanary = history.lastIndexOf("canary")
          expect(history.slice(0, lastCanary + 1).every((arm) => arm === "canary")).toBe(true)
        }
      }),
      { numRuns: runs(60) },
    )
  })
})

describe("paired shadow", () => {
  it("judges sampled calls with both releases after the answer, and serves only the arm's", async () => {
    const seen: string[] = []
    const { guard, events } = harness({
      stable: () => (seen.push("stable"), "allow"),
      canary: () => (seen.push("canary"), "deny"),
    })
    const decision = guard.session(idOn(guard, "stable")).evaluate(call)
    expect(decision.outcome).toBe("allow")
    expect(seen).toEqual(["stable"])
    await guard.idle()
    expect(seen).toEqual(["stable", "canary"])
    expect(total(guard.evidence(), "pairs")).toBe(1)
    expect(guard.diffs()).toEqual([
      {
        action: "refund",
        stable: { outcome: "allow", rule: undefined },
        canary: { outcome: "deny", rule: undefined },
        calls: 1,
        sessions: 1,
      },
    ])
    expect(events.filter((e) => e.type === "disagreement")).toHaveLength(1)
  })

  it("judges what was judged, not what the host made of it since", async () => {
    const amounts: unknown[] = []
    const { guard } = harness({ canary: (c) => (amounts.push((c.input as { amount: number }).amount), "allow") })
    const mutable = { action: "refund", input: { amount: 5 } }
    guard.session(idOn(guard, "stable")).evaluate(mutable)
    mutable.input.amount = 1_000_000
    await guard.idle()
    expect(amounts).toEqual([5])
  })

  it("keeps what follows an acted-on disagreement out of inference", async () => {
    const { guard } = harness({}, everybody)
    const session = guard.session("a")
    for (let i = 0; i < 3; i++) session.evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(1)
    expect(total(guard.evidence(), "pairsAfter")).toBe(2)
    expect(guard.diffs()).toMatchObject([{ calls: 3, sessions: 1 }])
  })

  it("infers from no session of the canary while stable serves others: it would end with its first difference", async () => {
    const { guard } = harness({ stable: () => "allow", canary: () => "allow" })
    const session = guard.session(idOn(guard, "canary"))
    for (let i = 0; i < 3; i++) session.evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(0)
    expect(total(guard.evidence(), "pairsAfter")).toBe(3)
  })

  it("counts a disagreement for the sessions that inference may use, once each", async () => {
    const { guard } = harness()
    const [stables, canaries] = [guard.session(idOn(guard, "stable")), guard.session(idOn(guard, "canary"))]
    for (const session of [stables, stables, canaries]) session.evaluate(call)
    await guard.idle()
    expect(guard.diffs()).toMatchObject([{ calls: 3, sessions: 1 }])
  })

  it("goes on pairing sessions that stable serves", async () => {
    const { guard } = harness()
    const session = guard.session(idOn(guard, "stable"))
    for (let i = 0; i < 3; i++) session.evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(3)
  })

  it("counts at most 20 evaluations and pairs of a session", async () => {
    const { guard } = harness()
    const session = guard.session(idOn(guard, "stable"))
    for (let i = 0; i < 50; i++) session.evaluate(call)
    await guard.idle()
    expect(count(guard.evidence(), 0, "evaluations")).toBe(20)
    expect(count(guard.evidence(), 0, "sessions")).toBe(1)
    expect(total(guard.evidence(), "pairs")).toBe(20)
  })

  it("never runs a stateful policy", async () => {
    let ran = 0
    const canary = { version: "2.0.0", policy: { stateful: true, evaluate: () => (ran++, "allow" as const) } }
    const releases = new Map([
      ["1.0.0", release("1.0.0", () => "allow")],
      ["2.0.0", canary],
    ])
    const { guard } = harness({}, stateWith(), { releases })
    guard.session(idOn(guard, "stable")).evaluate(call)
    await guard.idle()
    expect(ran).toBe(0)
  })

  it("drops what the queue cannot hold, and counts the rest", async () => {
    const { guard } = harness({}, stateWith(), { shadow: { queue: 3 } })
    const session = guard.session(idOn(guard, "stable"))
    for (let i = 0; i < 10; i++) session.evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(3)
  })

  it("compares nothing before the rollout starts, after it ends, and at sample 0", async () => {
    const off = stateWith()
    for (const state of [
      stateWith({ canary: null, ramp: [] }),
      stateWith({ ended: { kind: "rolled_back", at: T0 } }),
      { ...off, spec: { ...off.spec, shadowSampleBp: 0 } },
    ]) {
      const { guard } = harness({}, state)
      guard.session("a").evaluate(call)
      await guard.idle()
      expect(total(guard.evidence(), "pairs")).toBe(0)
    }
  })
})

describe("evidence", () => {
  it("goes to the stratum of the session's start, and starts anew with a generation", () => {
    const ramp = [
      { at: T0, weightBp: 0, stage: 0 },
      { at: T0 + 1000, weightBp: 5000, stage: 1 },
    ]
    const { guard, state } = harness({}, stateWith({ ramp }))
    guard.session("before", { startedAt: T0 - 1 }).evaluate(call)
    guard.session("first", { startedAt: T0 }).evaluate(call)
    guard.session("second", { startedAt: T0 + 1000 }).evaluate(call)
    const perStratum = guard
      .evidence()
      .strata.map(
        (s) =>
          count({ generation: 1, strata: [s] }, 0, "sessions") + count({ generation: 1, strata: [s] }, 1, "sessions"),
      )
    expect(perStratum).toEqual([1, 1, 1])
    state.set(stateWith({ revision: 2, generation: 2 }))
    expect(guard.evidence()).toMatchObject({ generation: 2 })
    expect(count(guard.evidence(), 0, "evaluations")).toBe(0)
  })

  it("starts anew with another salt as well: a store that lost a generation gives its number again", () => {
    const { guard, state } = harness()
    guard.session("lost").evaluate(call)
    state.set(stateWith({ revision: 5, salt: "of the one that was begun in its place" }))
    guard.session("a").evaluate(call)
    expect(count(guard.evidence(), 0, "sessions") + count(guard.evidence(), 1, "sessions")).toBe(1)
  })

  it("adds up for any interleaving of answers, throws and nonsense", async () => {
    const answer = fc.constantFrom("allow", "deny", "escalate", "throw", "nonsense")
    const run = (kind: string): "allow" => {
      if (kind === "throw") throw new Error("boom")
      return (kind === "nonsense" ? 42 : kind) as "allow"
    }
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), answer, answer), { maxLength: 80 }),
        async (calls) => {
          let current = ["allow", "allow"]
          const { guard } = harness({ stable: () => run(current[0]!), canary: () => run(current[1]!) })
          for (const [session, stable, canary] of calls) {
            current = [stable, canary]
            const decision = guard.session(`s-${session}`).evaluate(call)
            expect(["allow", "deny", "escalate"]).toContain(decision.outcome)
            const shown = decision.arm === "canary" ? canary : stable
            if (decision.source === "policy") expect(decision.outcome).toBe(shown)
            if (decision.source === "posture") expect(decision.outcome).toBe("deny")
            await guard.idle()
          }
          for (const arm of [0, 1] as const) {
            const outcomes = (["allow", "deny", "escalate", "error"] as const).map((o) =>
              count(guard.evidence(), arm, o),
            )
            expect(outcomes.reduce((a, b) => a + b, 0)).toBe(count(guard.evidence(), arm, "evaluations"))
          }
        },
      ),
      { numRuns: runs(40) },
    )
  })
})

describe("an asynchronous guard", () => {
  function asyncHarness(
    stable: (call: Call) => Promise<"allow" | "deny"> | "allow" | "deny",
    canary: (call: Call) => Promise<"allow" | "deny"> | "allow" | "deny",
  ) {
    const inner = harness({}, stateWith())
    const guard = createGuard({
      rollout: "demo",
      async: true,
      state: inner.state,
      clock: inner.clock,
      timeoutMs: 50,
      releases: new Map([
        ["1.0.0", { version: "1.0.0", policy: { evaluate: stable } }],
        ["2.0.0", { version: "2.0.0", policy: { evaluate: canary } }],
      ]),
    })
    return { guard, clock: inner.clock, canaryId: idOn(inner.guard, "canary"), stableId: idOn(inner.guard, "stable") }
  }

  it("waits for a canary no longer than its time limit, then serves stable; the late answer is dropped", async () => {
    let late: (value: "allow") => void = () => {}
    const { guard, clock, canaryId } = asyncHarness(
      () => "deny",
      () => new Promise((resolve) => (late = resolve)),
    )
    const pending = guard.session(canaryId).evaluate(call)
    clock.advance(50)
    expect(await pending).toMatchObject({ outcome: "deny", source: "fallback", errorType: "timeout" })
    late("allow")
    await clock.settle()
    expect(count(guard.evidence(), 1, "error")).toBe(1)
    expect(count(guard.evidence(), 1, "allow")).toBe(0)
  })

  it("tells a policy by its signal that nobody waits any more", async () => {
    const inner = harness({}, stateWith({ ramp: [] }))
    const signals: (AbortSignal | undefined)[] = []
    const evaluate = (_: Call, context: EvaluationContext) => {
      signals.push(context.signal)
      return signals.length === 1 ? Promise.resolve("allow" as const) : new Promise<"allow">(() => {})
    }
    const guard = createGuard({
      rollout: "demo",
      async: true,
      state: inner.state,
      clock: inner.clock,
      timeoutMs: { stable: 20 },
      releases: new Map([["1.0.0", { version: "1.0.0", policy: { evaluate } }]]),
    })
    await guard.session("a").evaluate(call)
    const pending = guard.session("a").evaluate(call)
    inner.clock.advance(20)
    expect(await pending).toMatchObject({ outcome: "deny", source: "posture", errorType: "timeout" })
    expect(signals.map((signal) => signal?.aborted)).toEqual([false, true])
  })

  it("falls back when the canary rejects, and pairs an async canary behind a sync stable", async () => {
    const { guard, canaryId, stableId } = asyncHarness(
      () => "allow",
      () => Promise.reject(new Error("no")),
    )
    expect(await guard.session(canaryId).evaluate(call)).toMatchObject({ outcome: "allow", errorType: "throw" })
    expect(await guard.session(stableId).evaluate(call)).toMatchObject({ outcome: "allow", source: "policy" })
    await guard.idle()
    expect([total(guard.evidence(), "pairs"), total(guard.evidence(), "pairsAfter")]).toEqual([1, 1])
  })
})

describe("scan", () => {
  const scanner = (result: "clean" | "flagged" | "blocked", category = "pii") => ({
    name: `says-${result}`,
    scan: () => ({ result, findings: result === "clean" ? [] : [{ category }], redacted: "***" }),
  })
  const withScanners = (stable: unknown[], canary: unknown[]): Guard =>
    harness({}, stateWith(), {
      releases: new Map([
        ["1.0.0", { ...release("1.0.0", () => "allow"), scanners: stable as [] }],
        ["2.0.0", { ...release("2.0.0", () => "allow"), scanners: canary as [] }],
      ]),
    }).guard

  it("gives the worst result of the arm's scanners, with every finding", () => {
    const guard = withScanners([scanner("clean")], [scanner("clean"), scanner("blocked"), scanner("flagged")])
    expect(guard.session(idOn(guard, "stable")).scan("text", { direction: "output" })).toMatchObject({
      result: "clean",
      findings: [],
      arm: "stable",
    })
    expect(guard.session(idOn(guard, "canary")).scan("text", { direction: "output" })).toMatchObject({
      result: "blocked",
      arm: "canary",
      redacted: "***",
      findings: [
        { scanner: "says-blocked", category: "pii" },
        { scanner: "says-flagged", category: "pii" },
      ],
    })
    expect(count(guard.evidence(), 1, "scan_flagged")).toBe(1)
    expect(count(guard.evidence(), 0, "scans")).toBe(1)
  })

  it("falls back to stable's scanners when one of the canary's fails, and blocks when stable's fail", () => {
    const broken = {
      name: "broken",
      scan: () => {
        throw new Error("boom")
      },
    }
    const guard = withScanners([scanner("flagged")], [broken])
    expect(guard.session(idOn(guard, "canary")).scan("text", { direction: "input" })).toMatchObject({
      result: "flagged",
      source: "fallback",
      arm: "stable",
      errorType: "throw",
    })
    expect(count(guard.evidence(), 1, "scan_error")).toBe(1)
    const both = withScanners([broken], [broken])
    for (const arm of ["stable", "canary"] as const) {
      expect(both.session(idOn(both, arm)).scan("text", { direction: "input" })).toMatchObject({
        result: "blocked",
        source: "posture",
      })
    }
  })
})

describe("observe", () => {
  const monitor = (alerts: unknown): Monitor => ({
    observe: () => {
      if (alerts instanceof Error) throw alerts
      return alerts as readonly Alert[]
    },
  })
  const withMonitors = (stable: unknown, canary: unknown): ReturnType<typeof harness> =>
    harness({}, stateWith(), {
      releases: new Map([
        ["1.0.0", { ...release("1.0.0", () => "allow"), monitor: monitor(stable) }],
        ["2.0.0", { ...release("2.0.0", () => "allow"), monitor: monitor(canary) }],
      ]),
    })

  it("asks the monitor of the session's arm, and counts events and those that raise alerts by arm", () => {
    const { guard } = withMonitors([], [{ name: "odd" }, { name: "fast", message: "9 calls a second" }])
    expect(guard.session(idOn(guard, "stable")).observe({})).toEqual([])
    expect(
      guard
        .session(idOn(guard, "canary"))
        .observe({})
        .map(({ name }) => name),
    ).toEqual(["odd", "fast"])
    const cells = (["observations", "alerts", "observed_sessions"] as const).map((name) => [
      count(guard.evidence(), 0, name),
      count(guard.evidence(), 1, name),
    ])
    expect(cells).toEqual([
      [1, 1],
      [0, 1],
      [1, 1],
    ])
  })

  it.each([
    ["throws", new Error("boom")],
    ["answers nonsense", [{ title: "?" }]],
    ["answers nothing", undefined],
  ])("leaves it to stable when the canary's monitor %s, and is loud when stable's does", (_, broken) => {
    const { guard, events } = withMonitors([{ name: "seen" }], broken)
    expect(guard.session(idOn(guard, "canary")).observe({})).toEqual([{ name: "seen" }])
    expect(events).toContainEqual(expect.objectContaining({ type: "error", arm: "canary" }))
    expect(count(guard.evidence(), 1, "alerts")).toBe(1)
    const both = withMonitors(broken, broken).guard
    for (const arm of ["stable", "canary"] as const) {
      expect(both.session(idOn(both, arm)).observe({})).toEqual([{ name: "monitor_failed" }])
    }
  })

  it("is loud when the release is not loaded: stable watches for a canary, and nobody for stable", () => {
    const stable = { ...release("1.0.0", () => "allow"), monitor: monitor([{ name: "seen" }]) }
    const { guard } = harness({}, stateWith(), { releases: new Map([["1.0.0", stable]]) })
    const lost = guard.session(idOn(guard, "canary"))
    expect(lost.observe({})).toEqual([{ name: "seen" }])
    expect(lost.arm).toBe("stable")
    const empty = harness({}, stateWith(), { releases: new Map() })
    expect(empty.guard.session("a").observe({})).toEqual([{ name: "monitor_failed" }])
    expect(empty.events).toContainEqual(expect.objectContaining({ type: "error", errorType: "unavailable" }))
  })

  it("sees nothing where a release has no monitor", () => {
    const { guard } = harness()
    expect(guard.session("a").observe({})).toEqual([])
    expect(count(guard.evidence(), 0, "observations") + count(guard.evidence(), 1, "observations")).toBe(0)
  })
})

describe("the guard", () => {
  it("swallows what a listener throws", () => {
    const { guard } = harness(
      {
        canary: () => {
          throw new Error("boom")
        },
      },
      stateWith(),
      {
        onEvent: () => {
          throw new Error("listener")
        },
      },
    )
    expect(guard.session(idOn(guard, "canary")).evaluate(call).source).toBe("fallback")
  })

  it("serves stable while the canary's release is not loaded, and does not move the session when it is", () => {
    const releases = new Map([["1.0.0", release("1.0.0", () => "allow")]])
    const { guard, events } = harness({}, stateWith({ ramp: [{ at: 0, weightBp: 10_000, stage: 0 }] }), { releases })
    expect(events).toContainEqual({ type: "unknown_release", arm: "canary", version: "2.0.0" })
    const session = guard.session("early")
    expect(session.evaluate(call)).toMatchObject({ arm: "stable", source: "fallback", errorType: "unavailable" })
    expect(count(guard.evidence(), 1, "evaluations")).toBe(0)
    releases.set(
      "2.0.0",
      release("2.0.0", () => "deny"),
    )
    guard.refresh()
    expect(session.evaluate(call).arm).toBe("stable")
    expect(guard.session("fresh").evaluate(call).arm).toBe("canary")
  })

  it("keeps the last known stable release when the state names one that is not loaded", () => {
    const { guard, state } = harness({}, stateWith({ ramp: [] }))
    expect(guard.session("a").evaluate(call).outcome).toBe("allow")
    state.set(stateWith({ revision: 2, stable: "1.0.1", ramp: [] }))
    expect(guard.session("a").evaluate(call)).toMatchObject({ outcome: "allow", release: "1.0.0" })
  })

  it("gives a session to a logger in a line, without the salt and without the evidence", () => {
    const { guard } = harness()
    const id = idOn(guard, "canary")
    expect(JSON.parse(JSON.stringify(guard.session(id)))).toEqual({ sessionId: id, startedAt: T0, arm: "canary" })
  })

  it("does not say that a text was scanned when there is no scanner", () => {
    const { guard } = harness({}, stateWith({ ramp: [] }))
    expect(guard.session("a").scan("text", { direction: "input" })).toMatchObject({ result: "clean", source: "none" })
  })

  it("answers as before after it was closed", () => {
    const { guard } = harness()
    const id = idOn(guard, "canary")
    guard.close()
    expect(guard.session(id).evaluate(call).arm).toBe("canary")
  })

  it("refuses limits that are not positive", () => {
    expect(() => harness({}, stateWith(), { timeoutMs: 0 })).toThrow(RangeError)
    expect(() => harness({}, stateWith(), { shadow: { queue: -1 } })).toThrow(RangeError)
    expect(() => harness({}, stateWith(), { sessionMemory: 0 })).toThrow(RangeError)
    expect(() => harness({}, stateWith(), { onStableError: "allow" as "deny" })).toThrow(/onStableError must be deny/)
  })
})
