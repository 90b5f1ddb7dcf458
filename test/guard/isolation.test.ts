import { describe, expect, it } from "vitest"
import { createGuard } from "../../src/guard.js"
import type { Call } from "../../src/model/call.js"
import type { Release } from "../../src/release/ports.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { count, fakeState, harness, idOn, release, stateWith, T0, total } from "./harness.js"

const call = { action: "refund", input: { amount: 5 } }

const all: RolloutState["ramp"] = [{ at: T0 - 1, weightBp: 10_000, stage: 0 }]
const shadowOnly: RolloutState["ramp"] = [{ at: T0 - 1, weightBp: 0, stage: 0 }]

/** An asynchronous guard whose policies answer when told. */
function controlled(state = stateWith()) {
  const inner = harness({}, state)
  const waiting: ((outcome: "allow" | "deny") => void)[] = []
  const evaluate = () => new Promise<"allow" | "deny">((resolve) => waiting.push(resolve))
  const releases = new Map(["1.0.0", "2.0.0", "3.0.0"].map((version) => [version, { version, policy: { evaluate } }]))
  const guard = createGuard({ rollout: "demo", async: true, state: inner.state, clock: inner.clock, releases })
  return {
    guard,
    state: inner.state,
    clock: inner.clock,
    answer: (outcome: "allow" | "deny") => waiting.shift()!(outcome),
  }
}

describe("what fails in the shadow", () => {
  const odd: unknown[] = [
    { action: 10n },
    {},
    undefined,
    null,
    {
      get action(): string {
        throw new Error("getter")
      },
    },
  ]

  it("neither throws into the call nor stops later comparisons, whatever a call looks like", async () => {
    const { guard } = harness({ canary: () => "deny" })
    const stable = guard.session(idOn(guard, "stable"))
    for (const strange of odd) expect(stable.evaluate(strange as Call).outcome).toBe("allow")
    stable.evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(odd.length + 1)
  })

  it("is not thrown on the way back to stable either", async () => {
    const canary = () => {
      throw new Error("boom")
    }
    const { guard } = harness({ canary }, stateWith({ ramp: all }))
    const session = guard.session(idOn(guard, "canary"))
    for (const strange of odd) expect(session.evaluate(strange as Call).outcome).toBe("allow")
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(odd.length)
  })

  it("does not become an unhandled rejection when a listener is asynchronous", async () => {
    const seen: unknown[] = []
    const onRejection = (reason: unknown): void => void seen.push(reason)
    process.on("unhandledRejection", onRejection)
    const { guard, clock } = harness({}, stateWith(), { onEvent: () => Promise.reject(new Error("late")) as never })
    guard.session(idOn(guard, "stable")).evaluate(call)
    await guard.idle()
    await clock.settle()
    process.off("unhandledRejection", onRejection)
    expect(seen).toEqual([])
  })

  it("does not wait for a wrapped stable function that hangs", async () => {
    const { guard, clock } = harness({}, stateWith({ ramp: all }), { timeoutMs: 40 })
    const options = { session: (id: string) => id, outcome: (answer: "allow") => answer }
    const evaluate = guard.wrap(
      (_: string): Promise<"allow"> => new Promise(() => {}),
      (_: string) => Promise.resolve("allow" as const),
      options,
    )
    await evaluate(idOn(guard, "canary"))
    await clock.settle()
    clock.advance(40)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(1)
  })
})

describe("one session, one arm", () => {
  const late = stateWith({ revision: 2, ramp: all })

  it("also while the first answer of stable is pending", async () => {
    const { guard, state, answer } = controlled(stateWith({ ramp: [] }))
    const session = guard.session("a")
    const first = session.evaluate(call)
    state.set(late)
    answer("allow")
    expect((await first).arm).toBe("stable")
    const second = session.evaluate(call)
    answer("allow")
    expect((await second).arm).toBe("stable")
  })

  it("also when its first word with stable was a scan", () => {
    const { guard, state } = harness({}, stateWith({ ramp: [] }))
    const session = guard.session("a")
    session.scan("text", { direction: "input" })
    state.set(late)
    expect(session.evaluate(call).arm).toBe("stable")
  })

  it("also when its text was scanned by stable because the canary was not loaded", () => {
    const releases = new Map<string, Release>([["1.0.0", release("1.0.0", () => "allow")]])
    const { guard } = harness({}, stateWith({ ramp: all }), { releases })
    expect(guard.session("a").scan("text", { direction: "input" })).toMatchObject({ arm: "stable", source: "fallback" })
    releases.set(
      "2.0.0",
      release("2.0.0", () => "deny"),
    )
    guard.refresh()
    expect(guard.session("a").evaluate(call).arm).toBe("stable")
  })
})

describe("pairs", () => {
  it("are counted when a wrapped canary fails", async () => {
    const { guard } = harness({}, stateWith({ ramp: all }))
    const evaluate = guard.wrap(
      (_: string): "allow" | "deny" => "allow",
      () => {
        throw new Error("boom")
      },
      { session: (id) => id, outcome: (answer) => answer },
    )
    expect(evaluate(idOn(guard, "canary"))).toBe("allow")
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(1)
  })

  it("keep the order of the calls, so that a failure after a disagreement is not stable's world", async () => {
    let n = 0
    const canary = () => {
      if (n++ > 0) throw new Error("boom")
      return "deny" as const
    }
    const { guard } = harness({ canary }, stateWith({ ramp: all }))
    const session = guard.session(idOn(guard, "canary"))
    session.evaluate(call)
    session.evaluate(call)
    await guard.idle()
    expect([total(guard.evidence(), "pairs"), total(guard.evidence(), "pairsAfter")]).toEqual([1, 1])
  })

  it("after a dropped comparison of the canary's answer are not stable's world", async () => {
    const { guard } = harness({ canary: () => "allow" }, stateWith({ ramp: all }), { shadow: { queue: 1 } })
    const session = guard.session(idOn(guard, "canary"))
    session.evaluate(call)
    session.evaluate(call)
    await guard.idle()
    session.evaluate(call)
    await guard.idle()
    // The first call was compared before anything was dropped.
    expect([total(guard.evidence(), "pairs"), total(guard.evidence(), "pairsAfter")]).toEqual([1, 1])
  })

  it("after a text that the canary flagged are not stable's world", async () => {
    const scanner = { name: "s", scan: () => ({ result: "flagged" as const }) }
    const releases = new Map([
      ["1.0.0", release("1.0.0", () => "allow")],
      ["2.0.0", { ...release("2.0.0", () => "allow"), scanners: [scanner] }],
    ])
    const { guard } = harness({}, stateWith(), { releases })
    const session = guard.session(idOn(guard, "canary"))
    session.scan("text", { direction: "input" })
    session.evaluate(call)
    await guard.idle()
    expect([total(guard.evidence(), "pairs"), total(guard.evidence(), "pairsAfter")]).toEqual([0, 1])
  })

  it("hold what a policy answered then, even if it reuses its object", async () => {
    const reused = { outcome: "allow" as "allow" | "deny" }
    let n = 0
    const stable = () => {
      reused.outcome = n++ % 2 === 0 ? "allow" : "deny"
      return reused
    }
    const { guard } = harness({ stable, canary: () => "allow" }, stateWith({ ramp: shadowOnly }))
    const session = guard.session("a")
    session.evaluate(call)
    session.evaluate(call)
    await guard.idle()
    expect(guard.diffs().map(({ calls }) => calls)).toEqual([1])
  })
})

describe("a new generation", () => {
  const next = stateWith({ revision: 2, generation: 2, salt: "other", canary: "3.0.0", ramp: shadowOnly })

  it("gets nothing of answers, pairs and differences that belong to the one before", async () => {
    const { guard, state, answer, clock } = controlled(stateWith({ ramp: all }))
    const session = guard.session("a")
    const pending = session.evaluate(call)
    state.set(next)
    session.evaluate(call).catch(() => {})
    answer("deny")
    await pending
    await clock.settle()
    expect(count(guard.evidence(), 1, "evaluations")).toBe(0)
    expect(total(guard.evidence(), "pairs")).toBe(0)
    expect(guard.diffs()).toEqual([])
  })

  it("counts a session that was there before like any other", async () => {
    const { guard, state } = harness({ stable: () => "allow", canary: () => "allow" }, stateWith({ ramp: shadowOnly }))
    const session = guard.session("a")
    for (let i = 0; i < 25; i++) session.evaluate(call)
    await guard.idle()
    state.set(stateWith({ revision: 2, generation: 2, salt: "other", ramp: shadowOnly }))
    session.evaluate(call)
    await guard.idle()
    expect([total(guard.evidence(), "pairs"), total(guard.evidence(), "pairedSessions")]).toEqual([1, 1])
  })

  it("remembers that the canary has changed a session's world", async () => {
    const { guard, state } = harness({}, stateWith({ ramp: all }))
    const session = guard.session("a")
    session.evaluate(call)
    await guard.idle()
    state.set(stateWith({ revision: 2, generation: 2, salt: "other", ramp: all }))
    session.evaluate(call)
    await guard.idle()
    expect([total(guard.evidence(), "pairs"), total(guard.evidence(), "pairsAfter")]).toEqual([0, 1])
  })
})

describe("after a kill", () => {
  it("the canary is run for nobody, not even for calls that were waiting", async () => {
    let ran = 0
    const { guard, state } = harness({ canary: () => (ran++, "allow") }, stateWith({ ramp: shadowOnly }))
    for (let i = 0; i < 9; i++) guard.session(`s-${i}`).evaluate(call)
    state.set(stateWith({ revision: 2, kill: "stable" }))
    await guard.idle()
    expect(ran).toBe(0)
  })
})

describe("after a rollback", () => {
  it("sessions of the canary go on at stable without counting as stable's", () => {
    const { guard, state } = harness({ canary: () => "allow" })
    const session = guard.session(idOn(guard, "canary"))
    session.evaluate(call)
    state.set(stateWith({ revision: 2, ended: { kind: "rolled_back", at: T0 } }))
    expect(session.evaluate(call).arm).toBe("stable")
    expect([count(guard.evidence(), 0, "evaluations"), count(guard.evidence(), 1, "evaluations")]).toEqual([0, 1])
  })
})

describe("bounds", () => {
  it("count at most 20 scans of a session", () => {
    const scanner = { name: "s", scan: () => ({ result: "clean" as const }) }
    const releases = new Map([["1.0.0", { ...release("1.0.0", () => "allow"), scanners: [scanner] }]])
    const { guard } = harness({}, stateWith({ ramp: [] }), { releases })
    for (let i = 0; i < 50; i++) guard.session("a").scan("text", { direction: "input" })
    expect(count(guard.evidence(), 0, "scans")).toBe(20)
  })

  it("keep sessions that came after the cap out of the comparison at later revisions, too", () => {
    const capped = (revision: number): RolloutState => {
      const state = stateWith({ revision })
      return { ...state, spec: { ...state.spec, maxSessions: 1 } }
    }
    const { guard, state } = harness({}, capped(1))
    guard.session(idOn(guard, "canary")).evaluate(call)
    const sessions = Array.from({ length: 40 }, (_, i) => guard.session(`later-${i}`))
    for (const session of sessions) session.evaluate(call)
    state.set(capped(2))
    for (const session of sessions) session.evaluate(call)
    expect(count(guard.evidence(), 0, "evaluations") + count(guard.evidence(), 1, "evaluations")).toBe(1)
  })

  it("keep long lists by reference rather than spend the host's time on copying them", async () => {
    const judged: unknown[] = []
    const canary = (c: Call) => (judged.push((c.input as { numbers: number[] }).numbers), "allow" as const)
    const { guard } = harness({ canary }, stateWith({ ramp: shadowOnly }))
    const [short, long] = [10, 10_000].map((length) => Array.from({ length }, () => 1))
    guard.session("a").evaluate({ action: "sum", input: { numbers: short } })
    guard.session("a").evaluate({ action: "sum", input: { numbers: long } })
    await guard.idle()
    expect(judged).toEqual([short, long])
    expect(judged.map((numbers, i) => numbers === [short, long][i])).toEqual([false, true])
  })

  it("let an asynchronous wrapped function reject, not throw, in lockdown", async () => {
    const { guard } = harness({}, stateWith({ kill: "deny" }))
    const evaluate = guard.wrap(
      async (_: string): Promise<"allow"> => "allow",
      async () => "allow" as const,
      { session: (id) => id, outcome: (answer) => answer },
    )
    await expect(evaluate("a")).rejects.toMatchObject({ code: "LOCKED_DOWN" })
  })

  it("take a scan without options for input", () => {
    const { guard } = harness({}, stateWith({ ramp: [] }))
    const scan = guard.session("a").scan as unknown as (text: string) => { result: string }
    expect(scan.call(guard.session("a"), "text").result).toBe("clean")
  })
})

describe("a call id", () => {
  const ids = { callId: "call_0" }

  it("that comes back with another call is another call", () => {
    const stable = (c: Call) => ((c.input as { amount: number }).amount > 100 ? ("deny" as const) : ("allow" as const))
    const { guard } = harness({ stable }, stateWith({ ramp: [] }))
    const session = guard.session("a")
    expect(session.evaluate(call, ids).outcome).toBe("allow")
    expect(session.evaluate({ action: "refund", input: { amount: 1_000_000 } }, ids).outcome).toBe("deny")
    expect(session.evaluate({ action: "refund", input: { amount: 1_000_000 } }, ids).outcome).toBe("deny")
    const mutable = { action: "refund", input: { amount: 1 } }
    session.evaluate(mutable, { callId: "m" })
    mutable.input.amount = 1_000_000
    expect(session.evaluate(mutable, { callId: "m" }).outcome).toBe("deny")
  })

  it("that is empty is none", () => {
    let n = 0
    const { guard } = harness({ stable: () => (n++, "allow") }, stateWith({ ramp: [] }))
    for (let i = 0; i < 3; i++) guard.session("a").evaluate(call, { callId: "" })
    expect(n).toBe(3)
  })

  it("does not keep a denial that came from stable's failure", () => {
    let down = true
    const stable = () => {
      if (down) throw new Error("down")
      return "allow" as const
    }
    const { guard } = harness({ stable }, stateWith({ ramp: [] }))
    expect(guard.session("a").evaluate(call, ids)).toMatchObject({ outcome: "deny", source: "posture" })
    down = false
    expect(guard.session("a").evaluate(call, ids).outcome).toBe("allow")
  })
})

describe("a host with nothing else to do", () => {
  it("is kept alive until an asynchronous answer or its time limit is there", () => {
    const asked: unknown[] = []
    const clock = {
      now: () => T0,
      monotonic: () => 0,
      schedule: (_fn: () => void, _ms: number, options?: unknown) => (asked.push(options), () => {}),
    }
    const guard = createGuard({
      rollout: "demo",
      async: true,
      clock,
      state: fakeState(stateWith({ ramp: [] })),
      releases: new Map([["1.0.0", { version: "1.0.0", policy: { evaluate: () => new Promise<"allow">(() => {}) } }]]),
    })
    void guard.session("a").evaluate(call)
    expect(asked).toContainEqual({ keepAlive: true })
  })
})
