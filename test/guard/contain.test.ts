import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createGuard } from "../../src/guard.js"
import type { Guard } from "../../src/guard.js"
import type { GuardOptions } from "../../src/guard/guard-options.js"
import type { OnStableError } from "../../src/guard/core.js"
import type { Call } from "../../src/model/call.js"
import type { Decision, Effect, Finding, Scan } from "../../src/model/decision.js"
import { CELLS } from "../../src/model/evidence.js"
import type { Evaluation, Monitor, Release, ScanReport } from "../../src/release/ports.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { metricProducer } from "../../src/telemetry/producer.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { count, fakeState, harness, idOn, stateWith, T0, total } from "./harness.js"
import { runs } from "../runs.js"

const call = { action: "refund", input: { amount: 5 } }
const contained = stateWith({ ended: { kind: "contained", at: T0 } })
const STRICTNESS: Readonly<Record<Effect, number>> = { allow: 0, escalate: 1, deny: 2 }

/** What one release makes of a call. */
type Says = Effect | "throws" | "nonsense" | "missing"
const SAYS: readonly Says[] = ["allow", "deny", "escalate", "throws", "nonsense", "missing"]

const answers = (says: Says) => (): Evaluation => {
  if (says === "throws") throw new Error("boom")
  return (says === "nonsense" ? { verdict: "fine" } : says) as Evaluation
}

function releasesOf(stable: Says, canary: Says): Map<string, Release> {
  const both = [
    ["1.0.0", stable],
    ["2.0.0", canary],
  ] as const
  return new Map(
    both
      .filter(([, says]) => says !== "missing")
      .map(([version, says]) => [version, { version, policy: { evaluate: answers(says) } }]),
  )
}

const guardOf = (
  stable: Says,
  canary: Says,
  onStableError: OnStableError = "deny",
  options: Partial<GuardOptions<Call, "sync">> = {},
): Guard => harness({}, contained, { releases: releasesOf(stable, canary), onStableError, ...options }).guard

const isEffect = (says: Says): says is Effect => says in STRICTNESS

/** The least that a pair of answers demands. A canary that fails is left to stable, as everywhere. */
function demanded(stable: Says, canary: Says, posture: Effect): number {
  const floor = STRICTNESS[isEffect(stable) ? stable : posture]
  return isEffect(canary) ? Math.max(floor, STRICTNESS[canary]) : floor
}

describe("a contained call", () => {
  it.each<[Says, Says, Partial<Decision>]>([
    ["allow", "allow", { outcome: "allow", arm: "stable", source: "contained" }],
    ["deny", "deny", { outcome: "deny", arm: "stable", source: "contained" }],
    ["allow", "deny", { outcome: "deny", arm: "canary", release: "2.0.0", source: "contained" }],
    ["allow", "escalate", { outcome: "escalate", arm: "canary", source: "contained" }],
    ["escalate", "deny", { outcome: "deny", arm: "canary", source: "contained" }],
    ["deny", "escalate", { outcome: "deny", arm: "stable", release: "1.0.0", source: "contained" }],
    ["allow", "throws", { outcome: "allow", arm: "stable", source: "fallback", errorType: "throw" }],
    ["allow", "missing", { outcome: "allow", arm: "stable", source: "fallback", errorType: "unavailable" }],
    ["throws", "allow", { outcome: "deny", arm: "stable", source: "posture", errorType: "throw" }],
    ["nonsense", "deny", { outcome: "deny", arm: "stable", source: "posture", errorType: "invalid" }],
    ["throws", "throws", { outcome: "deny", arm: "stable", source: "posture", errorType: "throw" }],
  ])("of stable %s and canary %s", (stable, canary, decision) => {
    expect(guardOf(stable, canary).session("s").evaluate(call)).toMatchObject(decision)
  })

  it("that stable cannot judge is at least what the host wants then, and stricter if the canary is", () => {
    const serve = (canary: Says) => guardOf("throws", canary, "escalate").session("s").evaluate(call)
    expect(serve("allow")).toMatchObject({ outcome: "escalate", source: "posture" })
    expect(serve("deny")).toMatchObject({ outcome: "deny", arm: "canary", source: "contained", errorType: "throw" })
    expect(() => guardOf("throws", "deny", "throw").session("s").evaluate(call)).toThrow("boom")
  })

  it("names the rule and the reason of the release that decided", () => {
    const { guard } = harness(
      {
        stable: () => ({ outcome: "escalate", rule: "ask", reason: "large" }),
        canary: () => ({ outcome: "deny", rule: "never", reason: "too large" }),
      },
      contained,
    )
    expect(guard.session("s").evaluate(call)).toMatchObject({ rule: "never", reason: "too large" })
  })

  it("is served to every session: of either arm, pinned, not eligible, past the cap, and to calls without one", () => {
    const spec = { ...contained.spec, eligible: { tier: ["beta"] }, maxSessions: 1 }
    for (const state of [contained, { ...contained, spec }]) {
      const { guard } = harness({}, state)
      const sessions = [
        guard.session("a"),
        guard.session("b", { arm: "stable" }),
        guard.session("c", { arm: "canary" }),
        guard.session("d", { attributes: { tier: "free" } }),
        guard.sessionless,
      ]
      for (const session of sessions) {
        expect(session.evaluate(call)).toMatchObject({ outcome: "deny", arm: "canary", source: "contained" })
        expect(session.arm).toBe("stable")
      }
    }
  })

  it("is never less strict than either answer, never throws and, in a synchronous guard, is no promise", () => {
    const says = fc.constantFrom(...SAYS)
    const posture = fc.constantFrom<"deny" | "escalate">("deny", "escalate")
    fc.assert(
      fc.property(says, says, posture, fc.anything(), (stable, canary, onStableError, anything) => {
        const decision = guardOf(stable, canary, onStableError)
          .session("s")
          .evaluate(anything as Call)
        expect(decision).not.toBeInstanceOf(Promise)
        expect(STRICTNESS[decision.outcome]).toBeGreaterThanOrEqual(demanded(stable, canary, onStableError))
      }),
      { numRuns: runs(300) },
    )
  })

  it("is judged by both as it came, whatever one of them does to it", () => {
    const seen: unknown[] = []
    const { guard } = harness(
      {
        stable: (asked) => {
          ;(asked.input as { amount: number }).amount = 0
          return "allow"
        },
        canary: (asked) => {
          seen.push(asked.input)
          return "deny"
        },
      },
      contained,
    )
    guard.session("s").evaluate({ action: "refund", input: { amount: 5 } })
    expect(seen).toEqual([{ amount: 5 }])
  })

  it("is judged by a stateful policy as well: its answer is used", () => {
    let asked = 0
    const evaluate = () => (++asked > 1 ? "deny" : "allow")
    const releases = releasesOf("allow", "allow").set("2.0.0", {
      version: "2.0.0",
      policy: { evaluate, stateful: true },
    })
    const { guard } = harness({}, contained, { releases })
    expect(guard.session("s").evaluate(call).outcome).toBe("allow")
    expect(guard.session("s").evaluate(call).outcome).toBe("deny")
  })

  it("is denied by the kill switch before anybody judges it", () => {
    const { guard } = harness({ stable: never, canary: never }, { ...contained, kill: "deny" })
    expect(guard.session("s").evaluate(call)).toMatchObject({ outcome: "deny", source: "lockdown" })
  })

  it("with an id is decided once; neither what one release decided before stands, nor afterwards what both did", () => {
    let asked = 0
    const canary = () => {
      asked++
      return "deny" as const
    }
    const { guard, state } = harness({ canary }, stateWith())
    const session = guard.session(idOn(guard, "stable"))
    const evaluate = () => session.evaluate(call, { callId: "c1" }).outcome
    expect(evaluate()).toBe("allow")
    state.set({ ...contained, revision: 2 })
    expect([evaluate(), evaluate(), asked]).toEqual(["deny", "deny", 1])
    state.set(stateWith({ revision: 3, ended: { kind: "rolled_back", at: T0 } }))
    expect([evaluate(), evaluate(), asked]).toEqual(["allow", "allow", 1])
  })

  it("that stable could not judge is judged anew when it is asked again", () => {
    let fails = true
    const stable = () => {
      if (fails) throw new Error("boom")
      return "allow" as const
    }
    const { guard } = harness({ stable, canary: () => "deny" }, contained, { onStableError: "escalate" })
    const evaluate = () => guard.session("s").evaluate(call, { callId: "c1" })
    expect(evaluate()).toMatchObject({ source: "contained", errorType: "throw" })
    fails = false
    expect(evaluate()).toMatchObject({ source: "contained", errorType: undefined })
  })

  it("is contained from the very next call on, and no longer when a human rolls back", () => {
    const { guard, state } = harness({}, stateWith())
    const session = guard.session(idOn(guard, "canary"))
    const other = guard.session(idOn(guard, "stable"))
    expect(other.evaluate(call).outcome).toBe("allow")
    state.set({ ...contained, revision: 2 })
    expect([session.evaluate(call).outcome, other.evaluate({ ...call, input: 2 }).outcome]).toEqual(["deny", "deny"])
    state.set(stateWith({ revision: 3, ended: { kind: "rolled_back", at: T0 } }))
    expect(other.evaluate({ ...call, input: 3 })).toMatchObject({ outcome: "allow", source: "policy" })
  })
})

const never = (): Evaluation => {
  throw new Error("must not be asked")
}

describe("a contained call of an asynchronous guard", () => {
  function asynchronous(stableMs: number, canaryMs: number, timeoutMs = { stable: 300, canary: 200 }) {
    const clock = fakeClock(T0)
    const after = (ms: number, outcome: Effect) => () =>
      new Promise<Effect>((resolve) => void clock.schedule(() => resolve(outcome), ms))
    const guard = createGuard({
      rollout: "demo",
      async: true,
      state: fakeState(contained),
      clock,
      timeoutMs,
      releases: new Map([
        ["1.0.0", { version: "1.0.0", policy: { evaluate: after(stableMs, "allow") } }],
        ["2.0.0", { version: "2.0.0", policy: { evaluate: after(canaryMs, "deny") } }],
      ]),
    })
    let settled: Decision | undefined
    void guard
      .session("s")
      .evaluate(call)
      .then((decision) => (settled = decision))
    return async (ms: number) => {
      clock.advance(ms)
      await clock.settle()
      return settled
    }
  }

  it("is judged by both side by side", async () => {
    const pass = asynchronous(100, 100)
    expect(await pass(99)).toBeUndefined()
    expect(await pass(1)).toMatchObject({ outcome: "deny", arm: "canary", source: "contained" })
  })

  it("waits no longer than the longer of both time limits", async () => {
    const slowCanary = asynchronous(100, 10_000)
    expect(await slowCanary(199)).toBeUndefined()
    expect(await slowCanary(1)).toMatchObject({ outcome: "allow", source: "fallback", errorType: "timeout" })
    const slow = asynchronous(10_000, 10_000)
    expect(await slow(299)).toBeUndefined()
    expect(await slow(1)).toMatchObject({ outcome: "deny", source: "posture", errorType: "timeout" })
  })
})

describe("what is told of a contained call", () => {
  it("is no evidence: not a session, not an evaluation, not a pair", async () => {
    const { guard } = harness({}, contained)
    for (let i = 0; i < 20; i++) guard.session(`s${i}`).evaluate(call)
    await guard.idle()
    const evidence = guard.evidence()
    for (const arm of [0, 1] as const) for (const cell of CELLS) expect(count(evidence, arm, cell)).toBe(0)
    expect(total(evidence, "pairs") + total(evidence, "pairsAfter")).toBe(0)
  })

  it("is every disagreement, with who decided, and nothing where they agree", async () => {
    const { guard, events } = harness({ canary: ({ input }) => (input === 1 ? "deny" : "allow") }, contained)
    for (const input of [1, 2]) guard.session("s").evaluate({ action: "refund", input })
    await guard.idle()
    expect(guard.diffs()).toMatchObject([
      { action: "refund", stable: { outcome: "allow" }, canary: { outcome: "deny" }, calls: 1 },
    ])
    expect(events.filter(({ type }) => type === "disagreement")).toMatchObject([
      { sessionId: "s", served: "canary", call: { input: 1 } },
    ])
  })

  it("is both arms' evaluations and their comparison in the metrics, and a failure of either", async () => {
    const metrics = metricProducer()
    const ask = (stable: Says, canary: Says) => {
      const guard = guardOf(stable, canary, "deny", { metrics })
      guard.session("s").evaluate(call)
      guard.sessionless.evaluate(call)
    }
    ask("allow", "deny")
    ask("throws", "allow")
    ask("allow", "missing")
    const { resourceMetrics } = await metrics.collect()
    const points = (name: string) =>
      resourceMetrics.scopeMetrics
        .flatMap((scope) => scope.metrics)
        .filter(({ descriptor }) => descriptor.name === name)
        .flatMap(({ dataPoints }) => dataPoints as readonly { attributes: object; value: unknown }[])
        .map(({ attributes, value }) => [{ ...attributes, "serin.rollout": undefined }, value])
    expect(points("serin.evaluations")).toEqual(
      expect.arrayContaining([
        [{ "serin.arm": "stable", "serin.outcome": "allow" }, 4],
        [{ "serin.arm": "stable", "serin.outcome": "error", "error.type": "throw" }, 2],
        [{ "serin.arm": "canary", "serin.outcome": "deny" }, 2],
        [{ "serin.arm": "canary", "serin.outcome": "allow" }, 2],
      ]),
    )
    expect(points("serin.comparisons")).toEqual(
      expect.arrayContaining([
        [{ "serin.stable.outcome": "allow", "serin.canary.outcome": "deny" }, 2],
        [{ "serin.stable.outcome": "error", "serin.canary.outcome": "allow" }, 2],
      ]),
    )
    expect(points("serin.fallbacks")).toEqual(
      expect.arrayContaining([
        [{ "serin.fallback.reason": "throw" }, 2],
        [{ "serin.fallback.reason": "unavailable" }, 2],
      ]),
    )
    expect(points("serin.sessionless")).toEqual([[{}, 3]])
    expect(points("serin.sessions")).toEqual([[{ "serin.arm": "stable" }, 3]])
    expect(points("serin.rollout.phase")).toEqual(
      expect.arrayContaining([[{ "serin.phase": "contained" }, expect.anything()]]),
    )
  })
})

describe("a contained scan", () => {
  const scanner = (report: ScanReport | null) => ({
    name: "pii",
    scan: () => {
      if (report === null) throw new Error("boom")
      return report
    },
  })
  const found = (category: string) => ({ category })
  const finding = (category: string): Finding => ({ scanner: "pii", category })

  async function scans(stable: ScanReport | null, canary: ScanReport | null): Promise<Scan> {
    const releases = new Map<string, Release>(
      [["1.0.0", stable] as const, ["2.0.0", canary] as const].map(([version, report]) => [
        version,
        { version, policy: { evaluate: () => "allow" as const }, scanners: [scanner(report)] },
      ]),
    )
    const options = { rollout: "demo", state: fakeState(contained), clock: fakeClock(T0), releases }
    const sync = createGuard(options).session("s").scan("text", { direction: "input" })
    const later = await createGuard({ ...options, async: true })
      .session("s")
      .scan("text", { direction: "input" })
    expect(later).toEqual(sync)
    return sync
  }

  it("has the worse result and what both found, once", async () => {
    const stable = { result: "flagged", findings: [found("email"), found("email")] } as const
    const canary = { result: "blocked", findings: [found("email"), found("secret")] } as const
    expect(await scans(stable, canary)).toEqual({
      result: "blocked",
      findings: [finding("email"), finding("email"), finding("secret")],
      arm: "canary",
      release: "2.0.0",
      source: "contained",
      redacted: undefined,
    })
    expect(await scans(stable, { result: "flagged" })).toMatchObject({ result: "flagged", arm: "stable" })
  })

  it("has the text that one of them redacted, or that both redacted alike", async () => {
    const masked = { result: "flagged", redacted: "t**t" } as const
    for (const [stable, canary] of [
      [masked, { result: "clean" }],
      [{ result: "flagged" }, masked],
      [masked, masked],
    ] as const) {
      expect(await scans(stable, canary)).toMatchObject({ result: "flagged", redacted: "t**t" })
    }
  })

  it("that was redacted in two ways is blocked: neither text is known to be safe", async () => {
    const scan = await scans({ result: "flagged", redacted: "t**t" }, { result: "flagged", redacted: "te**" })
    expect(scan).toMatchObject({ result: "blocked", redacted: undefined, source: "contained" })
  })

  it("is stable's where the canary's failed, and blocked where stable's did", async () => {
    expect(await scans({ result: "flagged" }, null)).toMatchObject({
      result: "flagged",
      source: "fallback",
      errorType: "throw",
    })
    expect(await scans(null, { result: "clean" })).toMatchObject({ result: "blocked", source: "posture" })
    expect(await scans(null, null)).toMatchObject({ result: "blocked", source: "posture" })
  })

  it("says that nobody looked only when neither release has a scanner", () => {
    const { guard } = harness({}, contained)
    expect(guard.session("s").scan("text", { direction: "input" })).toMatchObject({ result: "clean", source: "none" })
  })

  it("is at least as bad as either arm's, and no evidence", () => {
    const rank = { clean: 0, flagged: 1, blocked: 2 }
    const report = fc.record(
      {
        result: fc.constantFrom("clean" as const, "flagged" as const, "blocked" as const),
        redacted: fc.constantFrom("a", "b"),
      },
      { requiredKeys: ["result"] },
    )
    fc.assert(
      fc.property(report, report, (stable, canary) => {
        const releases = new Map<string, Release>([
          ["1.0.0", { version: "1.0.0", policy: { evaluate: never }, scanners: [scanner(stable)] }],
          ["2.0.0", { version: "2.0.0", policy: { evaluate: never }, scanners: [scanner(canary)] }],
        ])
        const { guard } = harness({}, contained, { releases })
        const { result } = guard.session("s").scan("text", { direction: "output" })
        expect(rank[result]).toBeGreaterThanOrEqual(Math.max(rank[stable.result], rank[canary.result]))
        expect(count(guard.evidence(), 0, "scans") + count(guard.evidence(), 1, "scans")).toBe(0)
      }),
    )
  })
})

describe("a contained observation", () => {
  const raises = (...names: string[]): Monitor => ({ observe: () => names.map((name) => ({ name })) })
  const fails: Monitor = {
    observe: () => {
      throw new Error("boom")
    },
  }
  const observe = (stable: Monitor | undefined, canary: Monitor | undefined): string[] => {
    const releases = new Map<string, Release>([
      ["1.0.0", { version: "1.0.0", policy: { evaluate: never }, monitor: stable }],
      ["2.0.0", { version: "2.0.0", policy: { evaluate: never }, monitor: canary }],
    ])
    const { guard } = harness({}, contained, { releases })
    const alerts = guard.session("s").observe({ tool: "refund" })
    expect(count(guard.evidence(), 0, "observations") + count(guard.evidence(), 1, "observations")).toBe(0)
    return alerts.map(({ name }) => name)
  }

  it("raises what either monitor raises, once", () => {
    expect(observe(raises("rate", "loop"), raises("loop", "odd"))).toEqual(["rate", "loop", "odd"])
    expect(observe(undefined, raises("odd"))).toEqual(["odd"])
    expect(observe(undefined, undefined)).toEqual([])
  })

  it("is stable's where the canary's monitor failed, and says so where stable's did", () => {
    expect(observe(raises("rate"), fails)).toEqual(["rate"])
    expect(observe(fails, raises("odd"))).toEqual(["monitor_failed", "odd"])
    expect(observe(fails, fails)).toEqual(["monitor_failed"])
  })
})

describe("a contained pair of functions", () => {
  interface Verdict {
    readonly ok: Effect
    readonly by: string
  }
  type Judge<R> = (envelope: { readonly id: string; readonly action: string }) => R
  const outcome = ({ ok }: Verdict): Evaluation => ok
  const session = ({ id }: { readonly id: string }): string => id
  const envelope = { id: "s", action: "refund" }
  const guard = (state: RolloutState = contained, options: Partial<GuardOptions<Call, "sync">> = {}) =>
    harness({}, state, { releases: undefined, ...options })
  const says =
    (by: string, ok: Effect): Judge<Verdict> =>
    () => ({ ok, by })
  const boom: Judge<Verdict> = () => {
    throw new Error("boom")
  }
  const denied: Judge<Verdict> = () => ({ ok: "deny", by: "host" })

  it("answers with the stricter function's own value, and stable's on a tie", () => {
    const wrap = (stable: Effect, canary: Effect) =>
      guard().guard.wrap(says("v1", stable), says("v2", canary), { session, outcome })(envelope)
    expect(wrap("allow", "deny")).toEqual({ ok: "deny", by: "v2" })
    expect(wrap("escalate", "allow")).toEqual({ ok: "escalate", by: "v1" })
    expect(wrap("deny", "deny")).toEqual({ ok: "deny", by: "v1" })
  })

  it("answers with stable's value where the canary failed, and refuses where stable did", () => {
    const options = { session, outcome, denied }
    expect(guard().guard.wrap(says("v1", "allow"), boom, options)(envelope).by).toBe("v1")
    expect(guard().guard.wrap(boom, says("v2", "allow"), options)(envelope).by).toBe("host")
    expect(() => guard().guard.wrap(boom, says("v2", "allow"), { session, outcome })(envelope)).toThrow("boom")
  })

  it("calls both even with shadow: false, with their own `this`, and tells where they differ", async () => {
    const seen: unknown[] = []
    const host = { name: "host" }
    const stable = function (this: unknown) {
      seen.push(this)
      return { ok: "allow", by: "v1" } as Verdict
    }
    const canary = function (this: unknown) {
      seen.push(this)
      return { ok: "deny", by: "v2" } as Verdict
    }
    const { guard: it, events } = guard()
    const judge: Judge<Verdict> = it.wrap(stable as Judge<Verdict>, canary, { session, outcome, shadow: false })
    expect(judge.call(host, envelope).by).toBe("v2")
    expect(seen).toEqual([host, host])
    await it.idle()
    expect(events).toMatchObject([{ type: "disagreement", served: "canary" }])
    expect(it.diffs()).toMatchObject([{ action: "refund", calls: 1 }])
  })

  it("answers a promise exactly when stable does", async () => {
    const later = (async () => ({ ok: "deny", by: "v2" })) as unknown as Judge<Verdict>
    const options = { session, outcome, denied }
    expect(guard().guard.wrap(says("v1", "allow"), later, options)(envelope)).toEqual({ ok: "allow", by: "v1" })
    const slow: Judge<Promise<Verdict>> = async () => ({ ok: "allow", by: "v1" })
    const both = guard().guard.wrap(slow, later as unknown as typeof slow, { session, outcome })(envelope)
    expect(both).toBeInstanceOf(Promise)
    expect((await both).by).toBe("v2")
    const rejects: Judge<Promise<Verdict>> = () => Promise.reject(new Error("boom"))
    const refused = guard().guard.wrap(rejects, slow, { session, outcome })(envelope)
    await expect(refused).rejects.toThrow("boom")
  })

  it("decides a call with an id once", () => {
    let asked = 0
    const counted: Judge<Verdict> = () => ({ ok: "deny", by: `v2/${++asked}` })
    const judge = guard().guard.wrap(says("v1", "allow"), counted, { session, outcome, callId: () => "c1" })
    expect([judge(envelope).by, judge(envelope).by]).toEqual(["v2/1", "v2/1"])
  })
})
