import { afterEach, describe, expect, it, vi } from "vitest"
import { rulesEngine } from "../../src/engines/rules.js"
import { releaseBundles } from "../../src/release/bundles.js"
import { releaseDirectory } from "../../src/release/load.js"
import { fileStore } from "../../src/stores/file.js"
import { createGuard } from "../../src/guard.js"
import { GUARD_KEYS } from "../../src/guard/guard-options.js"
import type { GuardEvent } from "../../src/guard/core.js"
import type { SessionOptions } from "../../src/guard/session.js"
import { fakeState, harness, idOn, stateWith, T0 } from "./harness.js"

const call = { action: "refund" }
const misuses = (events: readonly GuardEvent[]) => events.flatMap((event) => (event.type === "misuse" ? [event] : []))

afterEach(() => {
  vi.restoreAllMocks()
})

describe("an option that there is not", () => {
  const open = (options: object) => createGuard({ rollout: "demo", state: fakeState(null), ...options } as never)

  it("is refused by name, beside those that there are", () => {
    expect(() => open({ onStableErrors: "throw" })).toThrow(
      /^createGuard has no option onStableErrors; did you mean onStableError\? its options are rollout, .*onStableError,/,
    )
    expect(() => open({ shadow: { queues: 1 } })).toThrow(/^shadow has no option queues; .* queue, /)
    expect(() => open({ timeoutMs: { stabel: 1 } })).toThrow(/^timeoutMs has no option stabel; .* stable, canary$/)
    expect(() => open({ shadow: 10 })).toThrow(new TypeError("shadow takes its options as an object, got 10"))
    for (const key of ["__proto__x", "constructor", "toString"]) expect(() => open({ [key]: 1 })).toThrow(TypeError)
  })

  it("is refused wherever it would leave out a safeguard", () => {
    const sink = { write: () => {} }
    expect(() => open({ decisionLog: { sink, redcat: () => null } })).toThrow(
      new TypeError(
        "decisionLog has no option redcat; did you mean redact? its options are sink, sample, redact, queue",
      ),
    )
    const engines = [rulesEngine()]
    const misspelt = { engines, trustedKey: { keys: [] } }
    expect(() => releaseDirectory("releases", misspelt)).toThrow(/^releaseDirectory has no option trustedKey; /)
    expect(() => releaseBundles({ ...misspelt, from: "releases" } as never)).toThrow(/^releaseBundles has no option/)
    const trustedKeys = { keys: ["pem"], treshold: 2 }
    expect(() => releaseDirectory("releases", { engines, trustedKeys })).toThrow(
      /^trustedKeys has no option treshold; /,
    )
    expect(() => fileStore({ dir: "state", keeep: 5 } as never)).toThrow(/^fileStore has no option keeep; /)
  })

  it("is refused by session and wrap", () => {
    const { guard } = harness()
    expect(() => guard.session("a", { startedat: 1 } as SessionOptions)).toThrow(
      new TypeError(
        "session has no option startedat; did you mean startedAt? its options are startedAt, attributes, arm",
      ),
    )
    const options = { session: () => "a", outcome: () => "allow" as const, sesion: 1 }
    expect(() =>
      guard.wrap(
        (): unknown => 1,
        (): unknown => 1,
        options,
      ),
    ).toThrow(/^wrap has no option sesion; /)
  })

  it("is none when it is undefined, and neither is one that there is", () => {
    const all = Object.fromEntries(Object.keys(GUARD_KEYS).map((key) => [key, undefined]))
    const guard = open({ ...all, rollout: "demo", state: fakeState(null), nothing: undefined })
    expect(guard.session("a", { startedAt: undefined, arm: undefined, attributes: undefined }).arm).toBe("stable")
    guard.close()
  })
})

describe("what createGuard needs", () => {
  it.each<[string, unknown, RegExp]>([
    ["no options", undefined, /^createGuard takes its options as an object, got undefined; embed\(\)/],
    ["no state", { rollout: "demo" }, /^state must have the methods current, onChange, got undefined; embed\(\)/],
    ["no rollout", { state: fakeState(null) }, /^rollout must be the name of the rollout, .* got undefined$/],
    [
      "a plain object of releases",
      { rollout: "demo", state: fakeState(null), releases: {} },
      /^releases must have the methods .*, got an object without get, keys; wrap a plain object in new Map\(/,
    ],
    [
      "half a clock",
      { rollout: "demo", state: fakeState(null), clock: { now: () => 1 } },
      /^clock must have the methods .*, got an object without monotonic, schedule; leave it out/,
    ],
  ])("is asked for by name where there is %s", (_, options, message) => {
    const make = () => createGuard(options as never)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})

describe("options of a call", () => {
  it.each<[string, unknown, string]>([
    ["a misspelt key", { callid: "c-1" }, "evaluate has no option callid; did you mean callId?"],
    ["a number for an id", { callId: 17 }, "callId must be a text, got 17"],
    ["the id itself", "c-1", 'evaluate takes its options as an object, got "c-1"'],
  ])("with %s are told of once, and the call is answered", (_, options, message) => {
    const { guard, events } = harness()
    for (let i = 0; i < 2; i++) expect(guard.session("a").evaluate(call, options as never).outcome).toBe("allow")
    expect(misuses(events)).toEqual([
      expect.objectContaining({ what: "call_options", message: expect.stringContaining(message) as string }),
    ])
  })

  it.each<[unknown, string]>([
    [{ direcion: "output" }, "scan has no option direcion; did you mean direction?"],
    [{ direction: "outward" }, "direction must be input or output, got 'outward'"],
    [undefined, "direction must be input or output, got undefined"],
  ])("of a scan that are %j are told of", (options, message) => {
    const { guard, events } = harness()
    guard.session("a").scan("text", options as never)
    expect(misuses(events).map((event) => event.message)).toEqual([expect.stringContaining(message)])
  })

  it("that are in order, or none, are nothing to tell of", () => {
    const { guard, events } = harness()
    const session = guard.session("a")
    for (const options of [undefined, null, {}, { callId: undefined }, { callId: "" }, { callId: "c" }]) {
      session.evaluate(call, options as never)
    }
    session.scan("text", { direction: "output" })
    expect(misuses(events)).toEqual([])
  })
})

describe("startedAt", () => {
  it.each<[string, unknown]>([
    ["a Date", new Date(T0)],
    ["a text", "2026-01-01T00:00:00Z"],
    ["null", null],
    ["a bigint", 1n],
  ])("that is %s is a mistake in the code, and throws before a session is made of it", (_, startedAt) => {
    const { guard } = harness()
    const ask = () => guard.session("a", { startedAt: startedAt as number })
    expect(ask).toThrow(/^startedAt must be a number, ms since the epoch, got /)
    expect(ask).toThrow(TypeError)
    expect(guard.session("a", { startedAt: T0 }).startedAt).toBe(T0)
  })

  it("says how to turn a Date into what it takes", () => {
    const { guard } = harness()
    expect(() => guard.session("a", { startedAt: new Date(T0) as unknown as number })).toThrow("pass date.getTime()")
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "of %s may come from data: it is told of, once, and left aside",
    (odd) => {
      const { guard, events, clock } = harness()
      expect(guard.session("a", { startedAt: odd }).startedAt).toBe(clock.now())
      guard.session("b", { startedAt: odd })
      expect(misuses(events)).toEqual([
        expect.objectContaining({ what: "started_at", message: expect.stringContaining(String(odd)) as string }),
      ])
    },
  )

  it("in seconds is told of: the session is from before any canary", () => {
    const { guard, events } = harness({}, stateWith({ ramp: [{ at: T0 - 1, weightBp: 10_000, stage: 0 }] }))
    expect(guard.session("a", { startedAt: T0 / 1000 }).arm).toBe("stable")
    expect(misuses(events)[0]?.message).toContain("looks like seconds")
    const { guard: other, events: quiet } = harness()
    for (const fine of [T0, T0 - 1e10, 0]) other.session(`at ${fine}`, { startedAt: fine })
    expect(misuses(quiet)).toEqual([])
  })

  it("that throws in wrap's session leaves the call to no session, and is told of once", () => {
    const { guard, events } = harness()
    const evaluate = guard.wrap(
      (_: string): "allow" | "deny" => "allow",
      (_: string) => "deny" as const,
      { session: (id) => ({ id, startedAt: new Date(T0) as unknown as number }), outcome: (answer) => answer },
    )
    expect([evaluate(idOn(guard, "canary")), evaluate("other")]).toEqual(["deny", "allow"])
    expect(misuses(events)).toEqual([
      expect.objectContaining({ what: "session", message: expect.stringContaining("startedAt must be") as string }),
    ])
  })
})

describe("a guard without releases", () => {
  const without = (onEvent?: (event: GuardEvent) => void) =>
    createGuard({ rollout: "demo", state: fakeState(stateWith()), onEvent })

  it("says once why it denies", () => {
    const events: GuardEvent[] = []
    const guard = without((event) => void events.push(event))
    for (const id of ["a", "b"]) expect(guard.session(id).evaluate(call).outcome).toBe("deny")
    expect(misuses(events)).toEqual([
      expect.objectContaining({ what: "no_releases", message: expect.stringContaining("releases") as string }),
    ])
    guard.close()
  })

  it("warns where nobody listens", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    const guard = without()
    for (const id of ["a", "b"]) guard.session(id).evaluate(call)
    expect(warn.mock.calls).toEqual([[expect.any(String), { type: "SerinWarning", code: "no_releases" }]])
    guard.close()
  })

  it("has nothing to say when it wraps functions", () => {
    const events: GuardEvent[] = []
    const guard = without((event) => void events.push(event))
    const options = { session: (id: string) => id, outcome: (answer: "allow") => answer }
    const evaluate = guard.wrap(
      (_: string) => "allow" as const,
      (_: string) => "allow" as const,
      options,
    )
    for (const id of ["a", "b", "c"]) expect(evaluate(id)).toBe("allow")
    expect(events).toEqual([])
    guard.close()
  })
})

describe("what is no function, no number or no policy", () => {
  it("is refused by wrap before the first call", () => {
    const { guard } = harness()
    const options = { session: () => "a", outcome: () => "allow" as const }
    expect(() => guard.wrap(1 as never, (() => 1) as never, options as never)).toThrow(
      new TypeError("wrap: stable must be a function, got number"),
    )
    expect(() => guard.wrap((() => 1) as never, (() => 1) as never, { session: () => "a" } as never)).toThrow(
      new TypeError("wrap: outcome must be a function, got undefined"),
    )
    expect(() => harness({}, null, { timeoutMs: "200" as never })).toThrow(/must be a number of ms, got "200"/)
  })

  it.each<[string, string, object, RegExp]>([
    ["a function for a policy", "1.0.0", { version: "1.0.0", policy: () => "allow" }, /policy: must be an object with/],
    [
      "no policy",
      "1.0.0",
      { version: "1.0.0" },
      /policy: must be an object with the function `evaluate`, got undefined/,
    ],
    [
      "a component that there is not",
      "1.0.0",
      { version: "1.0.0", policy: { evaluate: () => "allow" }, scaners: [] },
      /scaners: is no component of a release \(did you mean `scanners`\?\)/,
    ],
    ["another version", "1.0.0", { version: "9", policy: { evaluate: () => "allow" } }, /version: must be "1\.0\.0"/],
  ])("is refused in a release that is made with %s", (_, version, release, message) => {
    const make = () => harness({}, null, { releases: new Map([[version, release as never]]) })
    expect(make).toThrow(message)
    expect(make).toThrow(expect.objectContaining({ code: "RELEASE_INVALID" }))
  })
})
