import { describe, expect, it, onTestFinished } from "vitest"
import { createGuard } from "../../src/guard.js"
import type { GuardOptions } from "../../src/guard/guard-options.js"
import type { Call } from "../../src/model/call.js"
import type { Decision } from "../../src/model/decision.js"
import type { DecisionEntry, DecisionLogEntry, PairEntry } from "../../src/model/decision-entry.js"
import { readEntry } from "../../src/model/read-entry.js"
import type { Evaluation, Monitor, Policy, ScanReport } from "../../src/release/ports.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { fakeState, harness, release, stateWith, T0, total } from "./harness.js"

const call = { action: "refund", input: { amount: 5 } }
const everybody = stateWith({ ramp: [{ at: T0 - 1, weightBp: 10_000, stage: 0 }] })
const nobody = stateWith({ ramp: [{ at: T0 - 1, weightBp: 0, stage: 0 }] })
const contained = stateWith({ ended: { kind: "contained", at: T0 }, ramp: [{ at: T0 - 1, weightBp: 5000, stage: 0 }] })

/** Something thrown that cannot even be looked at. */
const untouchable: unknown = new Proxy(
  {},
  {
    get() {
      throw new Error("do not look at me")
    },
  },
)
const throwUntouchable = (): never => {
  throw untouchable
}

/** Rejections that nobody handles while the test runs: one of them ends a process. */
function unhandled(): unknown[] {
  const seen: unknown[] = []
  const listen = (reason: unknown): void => void seen.push(reason)
  process.on("unhandledRejection", listen)
  onTestFinished(() => void process.off("unhandledRejection", listen))
  return seen
}

type AsyncPolicy = Policy<Call, Evaluation | Promise<Evaluation>>

function asyncHarness(
  policies: { stable?: AsyncPolicy["evaluate"]; canary?: AsyncPolicy["evaluate"] },
  state = everybody,
  options: Partial<GuardOptions<Call, "async">> = {},
) {
  const clock = fakeClock(T0)
  const releases = new Map<string, { version: string; policy: AsyncPolicy }>([
    ["1.0.0", { version: "1.0.0", policy: { evaluate: policies.stable ?? (() => "allow") } }],
    ["2.0.0", { version: "2.0.0", policy: { evaluate: policies.canary ?? (() => "allow") } }],
  ])
  const guard = createGuard<Call>({
    rollout: "demo",
    async: true,
    state: fakeState(state),
    clock,
    releases: releases as never,
    ...options,
  })
  return { guard, clock }
}

function logged(): { readonly entries: DecisionLogEntry[]; write(entries: readonly DecisionLogEntry[]): void } {
  const entries: DecisionLogEntry[] = []
  return { entries, write: (more) => void entries.push(...more) }
}

describe("an error that cannot be looked at", () => {
  it("is an error of the policy like any other", async () => {
    const { guard } = harness({ canary: throwUntouchable }, everybody)
    expect(guard.session("a").evaluate(call)).toMatchObject({ source: "fallback", errorType: "throw" })
    const both = harness({ stable: throwUntouchable, canary: throwUntouchable }, everybody)
    expect(both.guard.session("a").evaluate(call)).toMatchObject({ outcome: "deny", source: "posture" })
    const { guard: later } = asyncHarness({ canary: () => Promise.reject(untouchable as Error) })
    expect(await later.session("a").evaluate(call)).toMatchObject({ source: "fallback", errorType: "throw" })
  })

  it("is one of a wrapped function and of a scanner, too", () => {
    const { guard } = harness({}, everybody)
    const wrapped = guard.wrap(
      (_id: string) => "allow",
      (_id: string): string => throwUntouchable(),
      { session: (id) => id, outcome: (result) => result as Evaluation },
    )
    expect(wrapped("a")).toBe("allow")
  })
})

describe("an answer that changes between two looks", () => {
  /** Answers the first of `values`, then the next, and so on; the last for ever. */
  function shifting(key: string, values: readonly unknown[], rest: object = {}): object {
    let looks = 0
    return Object.defineProperty({ ...rest }, key, {
      enumerable: true,
      get: () => values[Math.min(looks++, values.length - 1)],
    })
  }

  it("of a policy is an effect or an error, and nothing else", () => {
    for (let first = 1; first < 8; first++) {
      const values = [...Array.from({ length: first }, () => "allow"), "nonsense"]
      const { guard } = harness({ canary: () => shifting("outcome", values) as Evaluation }, everybody)
      expect(guard.session("a").evaluate(call).outcome).toBe("allow")
    }
  })

  it("of a scanner is never clean where it was blocked", () => {
    const scanOf = (report: object): string => {
      const stable = {
        ...release("1.0.0", () => "allow"),
        scanners: [{ name: "s", scan: () => report as ScanReport }],
      }
      const { guard } = harness({}, nobody, { releases: new Map([["1.0.0", stable]]) })
      return guard.session("a").scan("text", { direction: "input" }).result
    }
    expect(scanOf(Object.defineProperty({}, "result", { value: "blocked" }))).toBe("blocked")
    for (let first = 1; first < 8; first++) {
      const values = [...Array.from({ length: first }, () => "blocked"), undefined]
      expect(scanOf(shifting("result", values))).toBe("blocked")
    }
  })
})

describe("a promise where a value is due", () => {
  const reject = (): never => Promise.reject(new Error("later")) as never

  it("leaves no unhandled rejection when it rejects", async () => {
    const seen = unhandled()
    const monitor: Monitor = { observe: reject }
    const sink = logged()
    const { guard } = harness({ stable: reject, canary: reject }, everybody, {
      decisionLog: { sink, redact: reject },
      onEvent: reject,
      logger: { emit: reject },
      releases: new Map([
        ["1.0.0", { ...release("1.0.0", reject), monitor, scanners: [{ name: "s", scan: reject }] }],
        ["2.0.0", { ...release("2.0.0", reject), monitor, scanners: [{ name: "s", scan: reject }] }],
      ]),
    })
    const session = guard.session("a")
    expect(session.evaluate(call)).toMatchObject({ source: "posture" })
    expect(session.scan("text", { direction: "input" })).toMatchObject({ source: "posture" })
    expect(session.observe({})).toEqual([{ name: "monitor_failed" }])
    const wrapped = guard.wrap(
      (_: string) => "a",
      (_: string) => "b",
      {
        session: reject,
        outcome: () => "allow",
        callId: reject,
        action: reject,
      },
    )
    expect(wrapped("x")).toBe("a")
    await guard.idle()
    await fakeClock().settle()
    expect(seen).toEqual([])
    expect(sink.entries).toEqual([])
  })
})

describe("a call id", () => {
  it.each([null, undefined, 7, {}, Symbol("id"), ""])("that is no text is none: %s", async (callId) => {
    let asked = 0
    const sink = logged()
    const { guard } = harness({ stable: () => (asked++, "allow") }, nobody, { decisionLog: sink })
    const session = guard.session("a")
    const once = (): Decision => session.evaluate(call, { callId: callId as string })
    expect(once()).toMatchObject({ outcome: "allow" })
    expect(once()).toMatchObject({ outcome: "allow" })
    expect(asked).toBe(2)
    await guard.idle()
    const entries = sink.entries.filter(({ kind }) => kind === "decision")
    expect(entries).toHaveLength(2)
    for (const entry of entries) expect(readEntry(structuredClone(entry))).toEqual(entry)
  })
})

describe("attributes of a session", () => {
  it.each([null, "internal", 5, untouchable])("that are none make it one that is not eligible", (attributes) => {
    const eligible = { tier: ["internal"] }
    const state = { ...everybody, spec: { ...everybody.spec, eligible } }
    const { guard } = harness({}, state)
    const session = guard.session("a", { attributes: attributes as never })
    expect(session.evaluate(call)).toMatchObject({ arm: "stable", source: "policy" })
  })
})

describe("a thenable that is no promise", () => {
  it("and answers another thenable is waited for no longer than the limit", async () => {
    // oxlint-disable-next-line unicorn/no-thenable
    const never = { then: () => {} }
    // oxlint-disable-next-line unicorn/no-thenable
    const evaluate = () => ({ then: (resolve: (value: unknown) => void) => resolve(never) }) as Promise<Evaluation>
    const { guard, clock } = asyncHarness({ canary: evaluate })
    const answer = guard.session("a").evaluate(call)
    await clock.settle()
    clock.advance(1000)
    expect(await answer).toMatchObject({ source: "fallback", errorType: "timeout" })
  })

  it("and throws leaves no timer behind", async () => {
    // oxlint-disable-next-line unicorn/no-thenable
    const evaluate = () => ({ then: throwUntouchable }) as never
    const { guard, clock } = asyncHarness({ canary: evaluate }, everybody, { tracing: false })
    const before = clock.pending()
    expect(await guard.session("a").evaluate(call)).toMatchObject({ source: "fallback", errorType: "throw" })
    expect(clock.pending()).toBe(before)
  })
})

describe("a call that changes", () => {
  const amountOf = ({ input }: Call): number => (input as { amount: number }).amount
  const limit: AsyncPolicy["evaluate"] = (asked) => (amountOf(asked) > 100 ? "deny" : "allow")
  const big = (): Call & { input: { amount: number } } => ({ action: "refund", input: { amount: 1000 } })

  it("under a canary that then fails is judged by stable as it came", () => {
    const canary = (asked: Call): Evaluation => {
      ;(asked.input as { amount: number }).amount = 0
      throw new Error("boom")
    }
    const { guard } = harness({ stable: limit as (call: Call) => Evaluation, canary }, everybody)
    expect(guard.session("a").evaluate(big())).toMatchObject({ outcome: "deny", source: "fallback" })
  })

  it("under the arm that serves is judged by the other as it came", async () => {
    const stable = (asked: Call): Evaluation => {
      const answer = limit(asked, { sessionId: "", startedAt: 0 }) as Evaluation
      ;(asked.input as { amount: number }).amount = 0
      return answer
    }
    const { guard } = harness({ stable, canary: limit as (call: Call) => Evaluation }, nobody)
    guard.session("a").evaluate(big())
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(1)
    expect(guard.diffs()).toEqual([])
  })

  it("while an answer is pending is judged by the other arm as it came, and written down so", async () => {
    const sink = logged()
    const own: AsyncPolicy["evaluate"] = (asked) => Promise.resolve(limit(asked, { sessionId: "", startedAt: 0 }))
    for (const state of [everybody, nobody]) {
      const { guard } = asyncHarness({ stable: own, canary: own }, state, { decisionLog: sink })
      const asked = big()
      const answer = guard.session("a").evaluate(asked)
      asked.input.amount = 0
      expect(await answer).toMatchObject({ outcome: "deny", source: "policy" })
      await guard.idle()
      expect(guard.diffs()).toEqual([])
      expect(total(guard.evidence(), "pairs")).toBe(1)
    }
    const decisions = sink.entries.filter((entry): entry is DecisionEntry => entry.kind === "decision")
    expect(decisions.map((entry) => amountOf(entry.call))).toEqual([1000, 1000])
  })

  it("while a canary hangs is judged by stable as it came", async () => {
    const { guard, clock } = asyncHarness({ stable: limit, canary: () => new Promise(() => {}) })
    const asked = big()
    const answer = guard.session("a").evaluate(asked)
    asked.input.amount = 0
    await clock.settle()
    clock.advance(1000)
    expect(await answer).toMatchObject({ outcome: "deny", source: "fallback", errorType: "timeout" })
  })
})

describe("an input of many keys", () => {
  it("is not looked at key by key", () => {
    let looks = 0
    const input = new Proxy(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])), {
      get(target, key) {
        looks += 1
        return Reflect.get(target, key) as unknown
      },
    })
    const { guard } = harness({}, nobody)
    guard.session("a").evaluate({ action: "refund", input })
    expect(looks).toBeLessThan(3000)
  })
})

describe("a listener that asks the guard again", () => {
  it("does not multiply the work after the answer", async () => {
    let asked = 0
    const { guard } = harness({ stable: () => "allow", canary: () => "deny" }, nobody, {
      onEvent: ({ type }) => {
        if (type === "disagreement" && asked++ < 60) guard.session(`again-${asked}`).evaluate(call)
      },
      shadow: { cpuShare: 1 },
    })
    const schedule = globalThis.setImmediate
    let turns = 0
    globalThis.setImmediate = ((fn: () => void) => {
      turns += 1
      return schedule(fn)
    }) as typeof setImmediate
    onTestFinished(() => void (globalThis.setImmediate = schedule))
    for (let i = 0; i < 10; i++) guard.session(`s-${i}`).evaluate(call)
    await guard.idle()
    expect(asked).toBe(70)
    expect(turns).toBe(1)
  })
})

describe("a contained rollout", () => {
  it("writes down no pair with a canary that is not there", async () => {
    const sink = logged()
    const { guard } = harness({}, contained, {
      decisionLog: sink,
      releases: new Map([["1.0.0", release("1.0.0", () => "allow")]]),
    })
    expect(guard.session("a").evaluate(call)).toMatchObject({ source: "fallback", errorType: "unavailable" })
    await guard.idle()
    expect(sink.entries.filter((entry): entry is PairEntry => entry.kind === "pair")).toEqual([])
    expect(sink.entries).toHaveLength(1)
  })
  it("writes down calls of no session as such, and their pairs", async () => {
    const sink = logged()
    const { guard } = harness({}, contained, { decisionLog: sink })
    guard.sessionless.evaluate(call)
    await guard.idle()
    const whose = sink.entries.map(({ kind, sessionId, startedAt }) => ({ kind, sessionId, startedAt }))
    expect(whose).toEqual([
      { kind: "decision", sessionId: null, startedAt: null },
      { kind: "pair", sessionId: null, startedAt: null },
    ])
  })
})

describe("a fuse that is reset while calls are pending", () => {
  it("counts them: what they run into is what the next ones will", async () => {
    const { guard, clock } = asyncHarness({ canary: () => new Promise(() => {}) })
    const ask = (name: string) => Array.from({ length: 5 }, (_, i) => guard.session(`${name}-${i}`).evaluate(call))
    const first = ask("first")
    await clock.settle()
    clock.advance(500)
    const second = ask("second")
    await clock.settle()
    clock.advance(500)
    await Promise.all(first)
    expect(guard.fuse()).toMatchObject({ cause: "timeouts" })
    guard.resetFuse()
    expect(guard.fuse()).toBeNull()
    clock.advance(500)
    for (const decision of await Promise.all(second)) expect(decision).toMatchObject({ source: "fallback" })
    expect(guard.fuse()).toMatchObject({ cause: "timeouts", inARow: 5 })
  })
})
