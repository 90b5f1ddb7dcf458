import { describe, expect, expectTypeOf, it } from "vitest"
import { functionEngine } from "../../src/engines/function.js"
import type { Call } from "../../src/model/call.js"
import type { Evaluation, Policy } from "../../src/release/ports.js"

const call: Call = { action: "cancel_reservation", input: { amount: 7 } }
const context = { sessionId: "s1", startedAt: 0 }

describe("functionEngine", () => {
  it("makes a sync policy of a sync function", () => {
    const policy = functionEngine((call: Call) => (call.action === "calculate" ? "allow" : "deny"))
    expectTypeOf(policy).toEqualTypeOf<Policy<Call, Evaluation>>()
    expect(policy.evaluate(call, context)).toBe("deny")
  })

  it("makes an async policy of an async function", async () => {
    const policy = functionEngine(async () => ({ outcome: "escalate", rule: "r" }) as const)
    expectTypeOf(policy).toEqualTypeOf<Policy<Call, Promise<Evaluation>>>()
    expect(await policy.evaluate(call, context)).toEqual({ outcome: "escalate", rule: "r" })
  })

  it("hands call and context to the function as they came", () => {
    const seen: unknown[] = []
    functionEngine((...args: [Call, unknown]) => (seen.push(...args), "allow")).evaluate(call, context)
    expect(seen[0]).toBe(call)
    expect(seen[1]).toBe(context)
  })

  it("lets the host's own type of call through", () => {
    interface Envelope {
      readonly action: string
      readonly cents: number
    }
    const policy = functionEngine((envelope: Envelope) => (envelope.cents > 500 ? "deny" : "allow"))
    expectTypeOf(policy).toEqualTypeOf<Policy<Envelope, Evaluation>>()
    expect(policy.evaluate({ action: "refund", cents: 501 }, context)).toBe("deny")
  })

  it("translates the host's words and stays sync", () => {
    const policy = functionEngine(() => ({ decision: "BLOCK" as const, why: "limit" }), {
      outcome: (result) => ({ outcome: result.decision === "BLOCK" ? "deny" : "allow", reason: result.why }),
    })
    expectTypeOf(policy).toEqualTypeOf<Policy<Call, Evaluation>>()
    expect(policy.evaluate(call, context)).toEqual({ outcome: "deny", reason: "limit" })
  })

  it("translates the host's words after a promise", async () => {
    const policy = functionEngine(async () => true, { outcome: (ok) => (ok ? "allow" : "deny") })
    expectTypeOf(policy).toEqualTypeOf<Policy<Call, Promise<Evaluation>>>()
    expect(await policy.evaluate(call, context)).toBe("allow")
  })

  it("keeps both types apart of a function that is sometimes async", async () => {
    const policy = functionEngine((call: Call) => (call.action === "x" ? Promise.resolve(1) : 1), {
      outcome: (result) => (result === 1 ? "allow" : "deny"),
    })
    expectTypeOf(policy.evaluate).returns.toEqualTypeOf<Evaluation | Promise<Evaluation>>()
    expect(policy.evaluate(call, context)).toBe("allow")
    expect(await policy.evaluate({ action: "x" }, context)).toBe("allow")
  })

  it("lets a throw of either function through", async () => {
    const boom = () => {
      throw new Error("boom")
    }
    expect(() => functionEngine(boom).evaluate(call, context)).toThrow("boom")
    expect(() => functionEngine(() => 1, { outcome: boom }).evaluate(call, context)).toThrow("boom")
    await expect(functionEngine(async () => 1, { outcome: boom }).evaluate(call, context)).rejects.toThrow("boom")
  })

  it("says whether it is stateful; by default it is not", () => {
    expect(functionEngine(() => "allow").stateful).toBe(false)
    expect(functionEngine(() => "allow", { stateful: true }).stateful).toBe(true)
  })

  it("refuses what is no function", () => {
    expect(() => functionEngine("allow" as never)).toThrow(/fn must be a function, got string/)
    expect(() => functionEngine(() => 1, { outcome: "allow" as never })).toThrow(/options.outcome must be a function/)
  })
})
