import { describe, expect, it } from "vitest"
import type { Call } from "../../src/model/call.js"
import { createGuard } from "../../src/guard.js"
import type { Policy } from "../../src/release/ports.js"
import { count, fakeState, harness, idOn, stateWith } from "./harness.js"

const byContent = { recognise: "content" } as const

/** A guard whose stable policy says which of its evaluations answered. */
function counting(policy: Partial<Policy> = {}) {
  let n = 0
  const evaluate = () => ({ outcome: "allow", reason: `answer ${++n}` }) as const
  return harness({}, stateWith({ ramp: [] }), {
    ...byContent,
    releases: new Map([["1.0.0", { version: "1.0.0", policy: { evaluate, ...policy } }]]),
  })
}

describe("a call without an id, recognised by its content", () => {
  it("is decided and counted once, whatever the order of its keys", () => {
    const { guard } = counting()
    const session = guard.session("a")
    const first = session.evaluate({ action: "refund", input: { amount: 5, to: { name: "Ada", id: 7 } } })
    expect(session.evaluate({ input: { to: { id: 7, name: "Ada" }, amount: 5 }, action: "refund" })).toBe(first)
    expect(guard.session("b").evaluate({ action: "refund", input: { amount: 5 } }).reason).toBe("answer 2")
    expect(count(guard.evidence(), 0, "evaluations")).toBe(2)
  })

  it("is another call when its action, its input or anything else in it differs", () => {
    const { guard } = counting()
    const session = guard.session("a")
    const calls: Call[] = [
      { action: "refund", input: { amount: 5 } },
      { action: "cancel", input: { amount: 5 } },
      { action: "refund", input: { amount: 6 } },
      { action: "refund", input: { amount: "5" } },
      { action: "refund", input: [5] },
      { action: "refund" },
      { action: "refund", input: { amount: 5 }, principal: "ada" },
      { action: "refund", input: { amount: 5 }, principal: "bob" },
    ]
    const answers = calls.map((call) => session.evaluate(call).reason)
    expect(new Set(answers).size).toBe(calls.length)
  })

  it("is decided anew each time when its input has no canonical form, and never throws", () => {
    const { guard } = counting()
    const cyclic: Record<string, unknown> = {}
    cyclic["self"] = cyclic
    const hostile = {
      toJSON(): never {
        throw new Error("no")
      },
    }
    for (const input of [cyclic, 10n, hostile]) {
      const answers = [1, 2].map(() => guard.session("a").evaluate({ action: "refund", input }).reason)
      expect(answers[0]).not.toBe(answers[1])
    }
  })

  it("is decided anew by a stateful policy, which may count calls", () => {
    const { guard } = counting({ stateful: true })
    const answers = [1, 2].map(() => guard.session("a").evaluate({ action: "refund", input: 1 }).reason)
    expect(answers).toEqual(["answer 1", "answer 2"])
  })

  it("is not taken for a call whose id reads like its key, and an id goes before content", () => {
    const { guard } = counting()
    const session = guard.session("a")
    const call = { action: "refund", input: 1 }
    const first = session.evaluate(call)
    expect(session.evaluate(call, { callId: "x" })).not.toBe(first)
    expect(session.evaluate(call)).toBe(first)
  })

  it("is not recognised unless that is asked for", () => {
    const { guard } = harness({}, stateWith({ ramp: [] }))
    const call = { action: "refund", input: 1 }
    expect(guard.session("a").evaluate(call)).not.toBe(guard.session("a").evaluate(call))
    expect(() => harness({}, null, { recognise: "hash" as "content" })).toThrow(/recognise must be call-id or content/)
  })

  it("keeps to a call that cannot be compared", () => {
    const { guard } = counting()
    const trap = new Proxy({ action: "refund" } as Call, {
      ownKeys() {
        throw new Error("no keys for you")
      },
    })
    const answers = [1, 2].map(() => guard.session("a").evaluate(trap, { callId: "1" }).outcome)
    expect(answers).toEqual(["allow", "allow"])
  })
})

describe("a wrapped function with call ids", () => {
  interface Asked {
    readonly session: string
    readonly id?: string
    readonly amount: number
  }
  const options = { session: (a: Asked) => a.session, outcome: () => "allow" as const, callId: (a: Asked) => a.id }

  it("answers a call that is asked again with the same value, counted once", () => {
    const { guard } = harness({}, stateWith({ ramp: [] }))
    const evaluate = guard.wrap(
      (a: Asked) => ({ paid: a.amount }),
      (a: Asked) => ({ paid: a.amount }),
      options,
    )
    const asked = { session: "a", id: "1", amount: 5 }
    const first = evaluate(asked)
    expect(evaluate({ ...asked })).toBe(first)
    expect(evaluate({ ...asked, amount: 6 })).toEqual({ paid: 6 })
    expect(evaluate({ ...asked, session: "b" })).not.toBe(first)
    expect(evaluate({ session: "a", amount: 5 })).not.toBe(evaluate({ session: "a", amount: 5 }))
    expect(count(guard.evidence(), 0, "evaluations")).toBe(5)
  })

  it("keeps the ids of two wrapped pairs apart", () => {
    const { guard } = harness({}, stateWith({ ramp: [] }))
    const [first, second] = ["first", "second"].map((name) => {
      const answer = (_: Asked) => name
      return guard.wrap(answer, answer, options)
    }) as [(asked: Asked) => string, (asked: Asked) => string]
    const asked = { session: "a", id: "1", amount: 5 }
    expect([first(asked), second(asked), first(asked)]).toEqual(["first", "second", "first"])
  })

  it("shares a pending answer, and asks again after the host's own denial", async () => {
    let asks = 0
    const stable = async (_: Asked) => {
      if (++asks === 1) throw new Error("down")
      return `answer ${asks}`
    }
    const { guard } = harness({}, stateWith({ ramp: [] }))
    const evaluate = guard.wrap(stable, stable, { ...options, denied: () => Promise.resolve("denied") })
    const asked = { session: "a", id: "1", amount: 5 }
    expect(await Promise.all([evaluate(asked), evaluate(asked)])).toEqual(["denied", "denied"])
    expect(asks).toBe(1)
    expect(await evaluate(asked)).toBe("answer 2")
    expect(await evaluate(asked)).toBe("answer 2")
  })

  it("decides anew when the id cannot be read, and obeys the kill switch at once", () => {
    const { guard, state } = harness({}, stateWith({ ramp: [] }))
    let n = 0
    const stable = (_: Asked) => ++n
    const broken = guard.wrap(stable, stable, {
      ...options,
      callId: () => {
        throw new Error("no id")
      },
    })
    const asked = { session: "a", id: "1", amount: 5 }
    expect([broken(asked), broken(asked)]).toEqual([1, 2])
    const evaluate = guard.wrap(stable, stable, { ...options, denied: () => -1 })
    expect([evaluate(asked), evaluate(asked)]).toEqual([3, 3])
    state.set(stateWith({ revision: 2, kill: "deny" }))
    expect(evaluate(asked)).toBe(-1)
  })
})

describe("a call with an id in an async guard", () => {
  it("is one evaluation for concurrent duplicates on the canary", async () => {
    let asks = 0
    const policy = { evaluate: () => (asks++, Promise.resolve("allow" as const)) }
    const guard = createGuard({
      rollout: "demo",
      async: true,
      ...byContent,
      state: fakeState(stateWith({ spec: { ...stateWith().spec, shadowSampleBp: 0 } })),
      releases: new Map(["1.0.0", "2.0.0"].map((version) => [version, { version, policy }])),
    })
    const session = guard.session(idOn(guard as never, "canary"))
    const both = await Promise.all([1, 2].map(() => session.evaluate({ action: "refund", input: 1 })))
    expect(both[0]).toBe(both[1])
    expect(asks).toBe(1)
    expect(count(guard.evidence(), 1, "evaluations")).toBe(1)
    guard.close()
  })
})
