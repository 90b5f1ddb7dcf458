import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createGuard } from "../../src/guard.js"
import type { Guard } from "../../src/guard.js"
import type { GuardOptions } from "../../src/guard/guard-options.js"
import { createCpuBudget } from "../../src/guard/cpu-budget.js"
import type { Call } from "../../src/model/call.js"
import type { EvaluationContext, Release } from "../../src/release/ports.js"
import { metricProducer } from "../../src/telemetry/producer.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { fakeState, harness, idOn, stateWith, T0, total } from "./harness.js"
import { runs } from "../runs.js"

const call = { action: "refund", input: { amount: 5 } }
const shadowOnly = stateWith({ ramp: [{ at: T0 - 1, weightBp: 0, stage: 0 }] })

/** Calls of as many sessions, each in its own. */
function decide(guard: Guard, sessions: number, from = 0): void {
  for (let i = from; i < from + sessions; i++) guard.session(`s-${i}`).evaluate(call)
}

/** A guard whose canary takes `costMs` of the processor for each call. */
function costly(costMs: number, shadow: GuardOptions<Call, "sync">["shadow"]) {
  const clock = fakeClock(T0)
  const inner = harness({ canary: () => (clock.advance(costMs), "allow") }, shadowOnly, { clock, shadow })
  return { ...inner, clock, pairs: () => total(inner.guard.evidence(), "pairs") }
}

describe("the budget of shadow judging", () => {
  it("is a share of one core: calls wait when it is spent, and are judged when there is more", async () => {
    const { guard, clock, pairs } = costly(10, { cpuShare: 0.1 })
    decide(guard, 60)
    await clock.settle()
    // A second's worth at once, and what comes in during it.
    expect(pairs()).toBeGreaterThanOrEqual(10)
    expect(pairs()).toBeLessThanOrEqual(12)
    const before = { pairs: pairs(), at: clock.monotonic() }
    expect(guard.shadow()).toMatchObject({ waiting: 60 - before.pairs, dropped: 0, coverage: before.pairs / 60 })
    while (clock.monotonic() < before.at + 3000) {
      clock.advance(20)
      await clock.settle()
    }
    const share = ((pairs() - before.pairs) * 10) / (clock.monotonic() - before.at)
    expect(share).toBeGreaterThan(0.08)
    expect(share).toBeLessThanOrEqual(0.105)
    expect(guard.shadow().cpuShare).toBeGreaterThan(0.02)
  })

  it("keeps nothing from resting: idle resolves when the last call that waited is judged", async () => {
    const { guard, clock, pairs } = costly(10, { cpuShare: 0.1 })
    decide(guard, 20)
    await clock.settle()
    const rested: number[] = []
    void guard.idle().then(() => rested.push(pairs()))
    await clock.settle()
    expect(rested).toEqual([])
    for (let i = 0; i < 100 && rested.length === 0; i++) {
      clock.advance(50)
      await clock.settle()
    }
    expect(rested).toEqual([20])
    expect([pairs(), guard.shadow().waiting, guard.shadow().coverage]).toEqual([20, 0, 1])
  })

  it("does not outlive the comparison: what waits for it is forgotten at a kill, and idle resolves", async () => {
    const { guard, clock, state, pairs } = costly(10, { cpuShare: 0.1 })
    decide(guard, 60)
    await clock.settle()
    const before = pairs()
    state.set({ ...shadowOnly, revision: 2, kill: "stable" })
    await guard.idle()
    clock.advance(60_000)
    await clock.settle()
    expect([pairs(), guard.shadow().waiting]).toEqual([before, 0])
  })

  it("is over at close", async () => {
    const { guard, clock, pairs } = costly(10, { cpuShare: 0.1 })
    decide(guard, 60)
    await clock.settle()
    const before = pairs()
    guard.close()
    await guard.idle()
    clock.advance(60_000)
    await clock.settle()
    expect(pairs()).toBe(before)
  })

  it("is not touched by a policy that takes no time", async () => {
    const { guard } = harness({ canary: () => "allow" }, shadowOnly, { shadow: { cpuShare: 1e-6 } })
    decide(guard, 3000)
    await guard.idle()
    expect(guard.shadow()).toEqual({ coverage: 1, cpuShare: 0, waiting: 0, dropped: 0 })
  })

  it("of a whole core is no limit, however long one call takes", async () => {
    const { guard, clock, pairs } = costly(5000, { cpuShare: 1 })
    decide(guard, 6)
    await clock.settle()
    expect(pairs()).toBe(6)
  })

  it("bounds the work of every span of time by the share, a burst of a second's worth and one piece", () => {
    const piece = fc.record({
      restMs: fc.double({ min: 0, max: 500, noNaN: true }),
      workMs: fc.integer({ min: 0, max: 40 }),
    })
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.array(piece, { maxLength: 200 }),
        (share, pieces) => {
          let now = 0
          const budget = createCpuBudget(share, () => now)
          const done: { readonly from: number; readonly to: number }[] = []
          for (const { restMs, workMs } of pieces) {
            now += restMs
            if (budget.waitMs() > 0) continue
            done.push({ from: now, to: now + workMs })
            now += workMs
            budget.spend(workMs)
          }
          for (let i = 0; i < done.length; i++) {
            let work = 0
            for (const { from, to } of done.slice(i)) {
              work += to - from
              expect(work).toBeLessThanOrEqual(share * (to - done[i]!.from) + share * 1000 + 40 + 1e-6)
            }
          }
        },
      ),
    )
  })
})

/** An asynchronous guard in shadow, whose canary answers when told. */
function held(options: Partial<GuardOptions<Call, "async">> = {}) {
  const clock = fakeClock(T0)
  const begun: { readonly sessionId: string; readonly n: unknown; readonly answer: () => void }[] = []
  const canary: Release<Call, Promise<"allow">> = {
    version: "2.0.0",
    policy: {
      evaluate: ({ input }: Call, { sessionId }: EvaluationContext) =>
        new Promise((resolve) => begun.push({ sessionId, n: input, answer: () => resolve("allow") })),
    },
  }
  const stable: Release = { version: "1.0.0", policy: { evaluate: () => "allow" } }
  const releases = new Map<string, Release | Release<Call, Promise<"allow">>>([
    ["1.0.0", stable],
    ["2.0.0", canary],
  ])
  const guard = createGuard({ rollout: "demo", async: true, state: fakeState(shadowOnly), clock, releases, ...options })
  return { guard, clock, begun }
}

describe("shadow judging by an asynchronous policy", () => {
  it.each([
    [8, undefined],
    [3, { concurrency: 3 }],
  ])("judges calls of %d sessions at once and no more", async (most, shadow) => {
    const { guard, clock, begun } = held({ shadow })
    for (let i = 0; i < 20; i++) await guard.session(`s-${i}`).evaluate(call)
    await clock.settle()
    expect(begun).toHaveLength(most)
    expect(guard.shadow().waiting).toBe(20 - most)
    for (let i = 0; i < 20; i++) {
      begun[i]!.answer()
      await clock.settle()
      expect(begun).toHaveLength(Math.min(20, most + i + 1))
    }
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(20)
  })

  it("keeps the order of a session's calls, one at a time, whatever answers first", async () => {
    const sessions = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 25 })
    await fc.assert(
      fc.asyncProperty(sessions, fc.array(fc.nat(), { minLength: 25, maxLength: 25 }), async (ids, picks) => {
        const { guard, clock, begun } = held()
        for (const [n, id] of ids.entries()) await guard.session(id).evaluate({ action: "refund", input: n })
        const open = new Set<string>()
        const judged: number[] = []
        let seen = 0
        const waiting: typeof begun = []
        while (judged.length < ids.length) {
          await clock.settle()
          for (const one of begun.slice(seen)) {
            expect(open.has(one.sessionId)).toBe(false)
            open.add(one.sessionId)
            waiting.push(one)
          }
          seen = begun.length
          const [next] = waiting.splice(picks[judged.length]! % waiting.length, 1)
          open.delete(next!.sessionId)
          judged.push(next!.n as number)
          next!.answer()
        }
        await guard.idle()
        expect(total(guard.evidence(), "pairs")).toBe(ids.length)
        for (const id of ["a", "b", "c"]) {
          const own = judged.filter((n) => ids[n] === id)
          expect(own).toEqual(own.toSorted((a, b) => a - b))
        }
      }),
      { numRuns: runs(15) },
    )
  })

  it("lets no session that hangs keep others waiting, and ends the hanging call at its time limit", async () => {
    const { guard, clock, begun } = held({ timeoutMs: 40, shadow: { concurrency: 2 } })
    for (let i = 0; i < 3; i++) await guard.session("hangs").evaluate(call)
    for (let i = 0; i < 5; i++) await guard.session(`s-${i}`).evaluate(call)
    for (let i = 0; i < 6; i++) {
      await clock.settle()
      for (const { sessionId, answer } of begun) if (sessionId !== "hangs") answer()
    }
    expect(total(guard.evidence(), "pairs")).toBe(5)
    const idle = guard.idle()
    for (let i = 0; i < 3; i++) {
      await clock.settle()
      clock.advance(40)
    }
    await idle
    expect(total(guard.evidence(), "pairs")).toBe(8)
    expect(guard.diffs()).toMatchObject([{ canary: { outcome: "error" }, calls: 3 }])
  })
})

describe("coverage", () => {
  const coverageOf = async (producer: ReturnType<typeof metricProducer>): Promise<number | undefined> => {
    const { resourceMetrics } = await producer.collect()
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
    const found = metrics.find(({ descriptor }) => descriptor.name === "serin.shadow.coverage")
    return found?.dataPoints[0]?.value as number | undefined
  }

  it("is the share of sampled calls that both have judged, in the status and as a gauge", async () => {
    const metrics = metricProducer()
    const { guard } = harness({ canary: () => "allow" }, shadowOnly, { metrics, shadow: { queue: 3 } })
    expect([guard.shadow().coverage, await coverageOf(metrics)]).toEqual([null, undefined])
    decide(guard, 12)
    await guard.idle()
    expect(guard.shadow()).toMatchObject({ coverage: 0.25, dropped: 9 })
    expect(await coverageOf(metrics)).toBe(0.25)
  })

  it("begins anew with a generation", async () => {
    const { guard, state } = harness({ canary: () => "allow" }, shadowOnly, { shadow: { queue: 3 } })
    decide(guard, 12)
    await guard.idle()
    state.set({ ...shadowOnly, revision: 2, generation: 2, salt: "other" })
    expect(guard.shadow()).toMatchObject({ coverage: null, dropped: 0 })
    decide(guard, 2, 100)
    await guard.idle()
    expect(guard.shadow()).toMatchObject({ coverage: 1, dropped: 0 })
  })

  it("counts a failed canary that stable answered for: both have judged that call", async () => {
    const { guard } = harness({
      canary: () => {
        throw new Error("boom")
      },
    })
    guard.session(idOn(guard, "canary")).evaluate(call)
    await guard.idle()
    expect(guard.shadow().coverage).toBe(1)
  })
})

describe("options of the shadow", () => {
  it.each([
    [{ queue: 0 }, /shadow\.queue must be 1 or more, got 0/],
    [{ queue: Number.NaN }, /shadow\.queue/],
    [{ cpuShare: 0 }, /shadow\.cpuShare must be above 0 and at most 1/],
    [{ cpuShare: 1.5 }, /got 1\.5/],
    [{ concurrency: 0.5 }, /shadow\.concurrency must be 1 or more/],
  ])("that make no sense are refused: %j", (shadow, message) => {
    expect(() => harness({}, shadowOnly, { shadow })).toThrow(RangeError)
    expect(() => harness({}, shadowOnly, { shadow })).toThrow(message)
  })
})
