import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createGuard } from "../../src/guard.js"
import type { Guard } from "../../src/guard.js"
import type { GuardOptions } from "../../src/guard/guard-options.js"
import type { BlownFuse } from "../../src/guard/fuse.js"
import type { Call } from "../../src/model/call.js"
import type { Evaluation, Release } from "../../src/release/ports.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { metricProducer } from "../../src/telemetry/producer.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { count, fakeState, harness, idOn, release, stateWith, T0, total } from "./harness.js"

const call = { action: "refund", input: { amount: 5 } }
const shadowOnly = stateWith({ ramp: [{ at: T0 - 1, weightBp: 0, stage: 0 }] })
const everybody = stateWith({ ramp: [{ at: T0 - 1, weightBp: 10_000, stage: 0 }] })

const boom = (): never => {
  throw new Error("boom")
}

function withIntent(state: RolloutState, intent: RolloutState["spec"]["intent"]): RolloutState {
  return { ...state, spec: { ...state.spec, intent } }
}

/** One call each of sessions that were not there before, until the fuse blows; how many it took. */
async function sessionsUntilBlown(guard: Guard, most: number): Promise<number> {
  for (let n = 1; n <= most; n++) {
    guard.session(`until-${n}`).evaluate(call)
    await guard.idle()
    if (guard.fuse() !== null) return n
  }
  return Infinity
}

describe("failures in a row", () => {
  it("blow the fuse at the fifth, which stable answers; from the next call on the session is stable's", () => {
    const { guard, events, clock } = harness({ canary: boom }, everybody)
    const session = guard.session("a")
    for (let i = 0; i < 5; i++) {
      expect(guard.fuse()).toBeNull()
      expect(session.evaluate(call)).toMatchObject({ outcome: "allow", arm: "stable", source: "fallback" })
    }
    const blown = { cause: "errors", component: "policy", inARow: 5, at: clock.now() }
    expect(guard.fuse()).toEqual(blown)
    expect(events.filter((event) => event.type === "fuse")).toEqual([{ type: "fuse", ...blown }])
    expect(session.arm).toBe("stable")
    expect(session.evaluate(call)).toMatchObject({ arm: "stable", source: "policy" })
    expect(guard.session("b").evaluate(call)).toMatchObject({ arm: "stable", source: "policy" })
    expect(guard.session("pinned", { arm: "canary" }).evaluate(call)).toMatchObject({ arm: "stable", source: "policy" })
  })

  it("blow it exactly when there is a run of that length", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), (fails, length) => {
        let next = false
        const canary = (): Evaluation => (next ? boom() : "allow")
        const { guard } = harness({ canary }, everybody, { fuse: { consecutiveErrors: length } })
        let run = 0
        let longest = 0
        for (const [i, fail] of fails.entries()) {
          next = fail
          guard.session(`s-${i}`).evaluate(call)
          run = fail ? run + 1 : 0
          longest = Math.max(longest, run)
          expect(guard.fuse() !== null).toBe(longest >= length)
        }
      }),
    )
  })

  it("count in shadow too: a canary that crashes there never gets a session", async () => {
    const { guard, state } = harness({ canary: boom }, shadowOnly)
    expect(await sessionsUntilBlown(guard, 50)).toBe(5)
    state.set({ ...everybody, revision: 2 })
    for (let i = 0; i < 20; i++) expect(guard.session(`late-${i}`).evaluate(call).arm).toBe("stable")
  })

  it("that are served and compared count once", async () => {
    const { guard } = harness({ canary: boom }, everybody)
    for (let i = 0; i < 4; i++) guard.session("a").evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(4)
    expect(guard.fuse()).toBeNull()
  })

  it.each([
    [5, "timeouts"],
    [4, "errors"],
  ] as const)("of which %d are time-outs blow it for %s", async (late, cause) => {
    const clock = fakeClock(T0)
    let n = 0
    const hang: Release<Call, Promise<Evaluation>> = {
      version: "2.0.0",
      policy: { evaluate: () => (n++ < late ? new Promise(() => {}) : Promise.reject(new Error("boom"))) },
    }
    const releases = new Map<string, Release | typeof hang>([
      ["1.0.0", release("1.0.0", () => "allow")],
      ["2.0.0", hang],
    ])
    const guard = createGuard({
      rollout: "demo",
      async: true,
      state: fakeState(everybody),
      clock,
      releases,
      timeoutMs: 40,
    })
    for (let i = 0; i < 5; i++) {
      const pending = guard.session(`s-${i}`).evaluate(call)
      await clock.settle()
      clock.advance(40)
      expect(await pending).toMatchObject({ outcome: "allow", source: "fallback" })
    }
    expect(guard.fuse()).toMatchObject({ cause, inARow: 5 })
    expect((await guard.session("a").evaluate(call)).source).toBe("policy")
  })

  it("of a release that is not loaded are none of the canary's", () => {
    const { guard } = harness({}, everybody, { releases: new Map([["1.0.0", release("1.0.0", () => "allow")]]) })
    for (let i = 0; i < 50; i++) guard.session(`s-${i}`).evaluate(call)
    expect(guard.fuse()).toBeNull()
  })

  it("of stable are none of the canary's", () => {
    const { guard } = harness({ stable: boom, canary: () => "allow" })
    for (let i = 0; i < 50; i++) guard.session(`s-${i}`).evaluate(call)
    expect(guard.fuse()).toBeNull()
  })

  it("of scanners or of the monitor blow it as well, whatever the policy does meanwhile", () => {
    for (const component of ["scanners", "monitor"] as const) {
      const canary: Release = {
        ...release("2.0.0", () => "allow"),
        scanners: [{ name: "s", scan: boom }],
        monitor: { observe: boom },
      }
      const stable = release("1.0.0", () => "allow")
      const releases = new Map([stable, canary].map((one) => [one.version, one]))
      const { guard } = harness({}, everybody, { releases })
      const session = guard.session("a")
      for (let i = 0; i < 5; i++) {
        expect(guard.fuse()).toBeNull()
        session.evaluate(call)
        if (component === "scanners") session.scan("text", { direction: "input" })
        else session.observe({})
      }
      expect(guard.fuse()).toMatchObject({ cause: "errors", component, inARow: 5 })
      expect(session.arm).toBe("stable")
    }
  })

  it("of scanners in shadow blow it", async () => {
    const canary: Release = { ...release("2.0.0", () => "allow"), scanners: [{ name: "s", scan: boom }] }
    const releases = new Map([release("1.0.0", () => "allow"), canary].map((one) => [one.version, one]))
    const { guard } = harness({}, shadowOnly, { releases })
    for (let i = 0; i < 5; i++) {
      expect(guard.fuse()).toBeNull()
      guard.session(`s-${i}`).scan("text", { direction: "input" })
      guard.session(`s-${i}`).evaluate(call)
      await guard.idle()
    }
    expect(guard.fuse()).toMatchObject({ cause: "errors", component: "scanners", inARow: 5 })
  })

  it("of a wrapped canary blow it", () => {
    const { guard } = harness({}, everybody)
    const evaluate = guard.wrap((_: string): "allow" => "allow", boom, {
      session: (id) => id,
      outcome: (answer) => answer,
    })
    for (let i = 0; i < 9; i++) expect(evaluate(`s-${i}`)).toBe("allow")
    expect(guard.fuse()).toMatchObject({ cause: "errors", inARow: 5 })
  })
})

describe("what both arms judged", () => {
  it("blows the fuse for a canary that denies everything, at the tenth session, before it has one", async () => {
    const { guard, clock } = harness({ stable: () => "allow", canary: () => "deny" }, shadowOnly)
    expect(await sessionsUntilBlown(guard, 50)).toBe(10)
    const blown = guard.fuse() as Extract<BlownFuse, { readonly flipped: number }>
    expect(blown).toMatchObject({ cause: "newly_denied", at: clock.now(), sessions: 10, flipped: 10 })
    expect(blown.evidence).toBeGreaterThanOrEqual(1e6)
  })

  it("blows it for a canary that allows what stable denies or escalates, and counts no call that stable allows", async () => {
    let n = 0
    const outcomes = ["allow", "deny", "escalate"] as const
    const { guard } = harness({ stable: () => outcomes[n++ % 3]!, canary: () => "allow" }, shadowOnly)
    expect(await sessionsUntilBlown(guard, 50)).toBe(15)
    expect(guard.fuse()).toMatchObject({ cause: "newly_allowed", sessions: 10, flipped: 10 })
  })

  it("blows it also when the canary is served", async () => {
    const { guard } = harness({ stable: () => "allow", canary: () => "deny" }, everybody)
    expect(await sessionsUntilBlown(guard, 50)).toBe(10)
    expect(guard.session("until-1").evaluate(call)).toMatchObject({ outcome: "allow", arm: "stable" })
  })

  it("counts a session once, however many calls it makes", async () => {
    const { guard } = harness({ stable: () => "allow", canary: () => "deny" }, shadowOnly)
    for (let id = 0; id < 9; id++) for (let i = 0; i < 20; i++) guard.session(`s-${id}`).evaluate(call)
    await guard.idle()
    expect(total(guard.evidence(), "pairs")).toBe(180)
    expect(guard.fuse()).toBeNull()
  })

  it("catches a canary that goes bad late", async () => {
    let outcome: "allow" | "deny" = "allow"
    const { guard } = harness({ stable: () => "allow", canary: () => outcome }, shadowOnly)
    for (let i = 0; i < 1000; i++) guard.session(`good-${i}`).evaluate(call)
    await guard.idle()
    outcome = "deny"
    expect(await sessionsUntilBlown(guard, 50)).toBeLessThanOrEqual(20)
  })

  it("says nothing about a canary that newly denies one session in ten, or that agrees", async () => {
    for (const rate of [0, 0.1]) {
      const random = sfc32(11)
      const canary = (): Evaluation => (random() < rate ? "deny" : "allow")
      const { guard } = harness({ stable: () => "allow", canary }, shadowOnly)
      for (let i = 0; i < 3000; i++) guard.session(`s-${i}`).evaluate(call)
      await guard.idle()
      expect(total(guard.evidence(), "pairedSessions")).toBe(3000)
      expect(guard.fuse()).toBeNull()
    }
  })

  it("is looked at by what the change is for: a tightening may deny half, a loosening may allow all", async () => {
    const denyAll = { stable: () => "allow" as const, canary: () => "deny" as const }
    const tighten = harness(denyAll, withIntent(shadowOnly, "tighten"))
    expect(await sessionsUntilBlown(tighten.guard, 50)).toBe(23)
    let n = 0
    const half = harness(
      { stable: denyAll.stable, canary: (): Evaluation => (n++ % 2 === 0 ? "deny" : "allow") },
      withIntent(shadowOnly, "tighten"),
    )
    expect(await sessionsUntilBlown(half.guard, 500)).toBe(Infinity)
    const allowAll = { stable: () => "deny" as const, canary: () => "allow" as const }
    const loosen = harness(allowAll, withIntent(shadowOnly, "loosen"))
    expect(await sessionsUntilBlown(loosen.guard, 500)).toBe(Infinity)
    const loosenDenies = harness(denyAll, withIntent(shadowOnly, "loosen"))
    expect(await sessionsUntilBlown(loosenDenies.guard, 50)).toBe(10)
    const refactor = harness(allowAll, withIntent(shadowOnly, "refactor"))
    expect(await sessionsUntilBlown(refactor.guard, 50)).toBe(10)
  })

  it("needs as much as the host asks for", async () => {
    const policies = { stable: () => "allow" as const, canary: () => "deny" as const }
    const { guard } = harness(policies, shadowOnly, { fuse: { threshold: 20 } })
    expect(await sessionsUntilBlown(guard, 50)).toBe(3)
  })
})

describe("a blown fuse", () => {
  const blowing = (state: RolloutState = stateWith(), options: Partial<GuardOptions<Call, "sync">> = {}) => {
    let fails = true
    const inner = harness({ canary: () => (fails ? boom() : "deny") }, state, options)
    const id = idOn(inner.guard, "canary")
    return {
      ...inner,
      blow: () => {
        fails = true
        for (let i = 0; i < 5; i++) inner.guard.session(id).evaluate(call)
        expect(inner.guard.fuse()).not.toBeNull()
        fails = false
      },
    }
  }

  it("lets both go on judging, and counts pairs but neither arm", async () => {
    const { guard, blow } = blowing()
    blow()
    await guard.idle()
    const before = [count(guard.evidence(), 0, "sessions"), count(guard.evidence(), 1, "sessions")]
    const pairs = total(guard.evidence(), "pairs")
    for (let i = 0; i < 40; i++) guard.session(`s-${i}`).evaluate(call)
    await guard.idle()
    expect([count(guard.evidence(), 0, "sessions"), count(guard.evidence(), 1, "sessions")]).toEqual(before)
    expect(total(guard.evidence(), "pairs")).toBe(pairs + 40)
  })

  it("stays blown until it is reset, and says so once", () => {
    const { guard, state, events, blow } = blowing()
    blow()
    for (let i = 0; i < 40; i++) guard.session(`s-${i}`).evaluate(call)
    state.set(stateWith({ revision: 2, ramp: [...stateWith().ramp, { at: T0 + 1, weightBp: 9000, stage: 1 }] }))
    guard.refresh()
    expect(guard.session("new", { startedAt: T0 + 2 }).arm).toBe("stable")
    expect(events.filter(({ type }) => type === "fuse")).toHaveLength(1)
  })

  it("that is reset lets the canary have sessions, but none that stable has served", () => {
    const { guard, blow } = blowing()
    const untouched = idOn(guard, "canary", 1)
    const moved = idOn(guard, "canary", 2)
    blow()
    expect(guard.session(moved).evaluate(call).arm).toBe("stable")
    guard.resetFuse()
    expect(guard.fuse()).toBeNull()
    expect(guard.session(moved).evaluate(call).arm).toBe("stable")
    expect(guard.session(untouched).evaluate(call)).toMatchObject({ arm: "canary", outcome: "deny" })
  })

  it("leaves sessions that called meanwhile out of the comparison of arms, on either side and for good", () => {
    const { guard, blow } = blowing()
    const ids = Array.from({ length: 40 }, (_, i) => `s-${i}`)
    blow()
    for (const id of ids) guard.session(id).evaluate(call)
    guard.resetFuse()
    const before = [count(guard.evidence(), 0, "evaluations"), count(guard.evidence(), 1, "evaluations")]
    for (const id of ids) guard.session(id).evaluate(call)
    expect([count(guard.evidence(), 0, "evaluations"), count(guard.evidence(), 1, "evaluations")]).toEqual(before)
    for (let i = 0; i < 40; i++) guard.session(`new-${i}`).evaluate(call)
    expect(count(guard.evidence(), 0, "evaluations")).toBeGreaterThan(before[0]!)
    expect(count(guard.evidence(), 1, "evaluations")).toBeGreaterThan(before[1]!)
  })

  it("that is reset asks for as much again", async () => {
    const { guard } = harness({ stable: () => "allow", canary: () => "deny" }, shadowOnly)
    expect(await sessionsUntilBlown(guard, 50)).toBe(10)
    guard.resetFuse()
    let more = 0
    while (guard.fuse() === null && more < 50) {
      guard.session(`more-${more++}`).evaluate(call)
      await guard.idle()
    }
    expect(more).toBe(10)
  })

  it("is whole again in a new generation", () => {
    const { guard, state, blow } = blowing()
    blow()
    state.set(stateWith({ revision: 2, generation: 2, salt: "other" }))
    expect(guard.fuse()).toBeNull()
    const id = idOn(guard, "canary", 3)
    expect(guard.session(id).evaluate(call).arm).toBe("canary")
  })

  it("never moves a session from stable to the canary, whatever blows, is reset and begins anew", () => {
    const steps = fc.array(fc.constantFrom("call", "call", "fail", "reset", "refresh"), { maxLength: 60 })
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (all, length) => {
        let fails = false
        const canary = (): Evaluation => (fails ? boom() : "allow")
        const { guard } = harness({ canary }, stateWith(), { fuse: { consecutiveErrors: length } })
        const stable = new Set<number>()
        for (const [i, step] of all.entries()) {
          fails = step === "fail"
          if (step === "reset") guard.resetFuse()
          else if (step === "refresh") guard.refresh()
          else {
            const id = i % 7
            const { arm } = guard.session(`s-${id}`)
            if (stable.has(id)) expect(arm).toBe("stable")
            if (arm === "stable") stable.add(id)
            guard.session(`s-${id}`).evaluate(call)
          }
        }
      }),
    )
  })

  it("is a count and a gauge", async () => {
    const metrics = metricProducer()
    const { guard, blow } = blowing(stateWith(), { metrics })
    const read = async (): Promise<unknown[]> => {
      const { resourceMetrics } = await metrics.collect()
      const all = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
      return ["serin.fuses", "serin.fuse"].map((name) => {
        const point = all.find(({ descriptor }) => descriptor.name === name)?.dataPoints[0]
        return point && [point.value, point.attributes["serin.fuse.cause"]]
      })
    }
    expect(await read()).toEqual([undefined, [0, undefined]])
    blow()
    expect(await read()).toEqual([
      [1, "errors"],
      [1, undefined],
    ])
    guard.resetFuse()
    expect(await read()).toEqual([
      [1, "errors"],
      [0, undefined],
    ])
  })
})

describe("a fuse does not blow", () => {
  it.each([
    ["before a rollout starts", stateWith({ canary: null, ramp: [], generation: 0 })],
    ["after a rollback", { ...everybody, ended: { kind: "rolled_back", at: T0 } }],
    ["after a promotion: what serves everybody is no canary", { ...everybody, ended: { kind: "promoted", at: T0 } }],
    ["while it is killed", { ...everybody, kill: "stable" }],
  ] as [string, RolloutState][])("%s", async (_, state) => {
    const { guard } = harness({ canary: boom }, state)
    expect(await sessionsUntilBlown(guard, 30)).toBe(Infinity)
  })

  it("for what comes late from a generation that is over", async () => {
    const clock = fakeClock(T0)
    const state = fakeState(everybody)
    const policy = { evaluate: () => new Promise<Evaluation>(() => {}) }
    const releases = new Map([
      ["1.0.0", { version: "1.0.0", policy: { evaluate: (): Evaluation | Promise<Evaluation> => "allow" } }],
      ["2.0.0", { version: "2.0.0", policy }],
    ])
    const guard = createGuard({ rollout: "demo", async: true, state, clock, releases })
    const pending = Array.from({ length: 9 }, (_, i) => guard.session(`s-${i}`).evaluate(call))
    await clock.settle()
    state.set({ ...everybody, revision: 2, generation: 2, salt: "other" })
    clock.advance(1000)
    expect((await Promise.all(pending)).map(({ source }) => source)).toEqual(pending.map(() => "fallback"))
    expect(guard.fuse()).toBeNull()
  })

  it("when it is turned off", async () => {
    const { guard } = harness({ canary: boom }, everybody, { fuse: false })
    expect(await sessionsUntilBlown(guard, 50)).toBe(Infinity)
    guard.resetFuse()
    expect(guard.session("a").arm).toBe("canary")
  })

  it("by a reset of one that is whole, and what it has seen stays", () => {
    const { guard } = harness({ canary: boom }, everybody)
    for (let i = 0; i < 5; i++) {
      guard.session("a").evaluate(call)
      if (i < 4) guard.resetFuse()
    }
    expect(guard.fuse()).not.toBeNull()
  })
})

describe("options of the fuse", () => {
  it.each([
    [{ consecutiveErrors: 0 }, RangeError, /fuse\.consecutiveErrors must be a whole number from 1 on, got 0/],
    [{ consecutiveErrors: 2.5 }, RangeError, /got 2\.5/],
    [{ threshold: 1 }, RangeError, /fuse\.threshold must be a number above 1, got 1; fuse: false/],
    [{ threshold: Infinity }, RangeError, /fuse\.threshold/],
    [true, TypeError, /fuse must be options or false, got true/],
    [null, TypeError, /fuse must be options or false/],
  ])("that make no sense are refused: %j", (fuse, kind, message) => {
    const make = () => harness({}, everybody, { fuse: fuse as GuardOptions<Call, "sync">["fuse"] })
    expect(make).toThrow(kind)
    expect(make).toThrow(message)
  })
})
