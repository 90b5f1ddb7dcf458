import { describe, expect, it } from "vitest"
import type { Call } from "../../src/model/call.js"
import type { Scan } from "../../src/model/decision.js"
import { createGuard } from "../../src/guard.js"
import type { GuardOptions, ReleaseFor } from "../../src/guard/guard-options.js"
import type { GuardEvent } from "../../src/guard/core.js"
import type { ScanContext, Scanner, ScanReport } from "../../src/release/ports.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { count, fakeState, harness, idOn, release, stateWith, T0, total } from "./harness.js"

const clean = (): ScanReport => ({ result: "clean" })
const find = (word: string, result: "flagged" | "blocked" = "flagged") => ({
  name: word,
  scan: (text: string): ScanReport =>
    text.includes(word)
      ? { result, findings: [{ category: "pii" }], redacted: text.replaceAll(word, "*".repeat(word.length)) }
      : { result: "clean" },
})
const input = { direction: "input" } as const
const output = { direction: "output" } as const

function guardOf(stable: readonly Scanner[], canary: readonly Scanner[], state: Partial<RolloutState> = {}) {
  const releases = new Map([
    ["1.0.0", { ...release("1.0.0", () => "allow"), scanners: stable }],
    ["2.0.0", { ...release("2.0.0", () => "allow"), scanners: canary }],
  ])
  return harness({}, stateWith(state), { releases })
}

type AsyncScanner = Scanner<ScanReport | Promise<ScanReport>>

function asyncGuard(scanners: readonly AsyncScanner[], options: Partial<GuardOptions<Call, "async">> = {}) {
  const clock = fakeClock(T0)
  const events: GuardEvent[] = []
  const stable: ReleaseFor<Call, "async"> = { ...release("1.0.0", () => "allow"), scanners }
  const guard = createGuard({
    rollout: "demo",
    async: true,
    clock,
    state: fakeState(stateWith({ ramp: [] })),
    releases: new Map([["1.0.0", stable]]),
    onEvent: (event) => void events.push(event),
    ...options,
  })
  return { guard, clock, events, scan: (text: string) => guard.session("a").scan(text, input) }
}

const never = (): Promise<ScanReport> => new Promise(() => {})
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

describe("a scanner", () => {
  it("is run for the directions that it declares, and without any for both", () => {
    const { guard } = guardOf([{ name: "in", scan: () => ({ result: "flagged" }), directions: ["input"] }], [])
    const session = guard.session(idOn(guard, "stable"))
    expect(session.scan("text", input)).toMatchObject({ result: "flagged", source: "scanners" })
    expect(session.scan("text", output)).toMatchObject({ result: "clean", source: "none" })
    const both = guardOf([{ name: "both", scan: () => ({ result: "flagged" }) }], [])
    const other = both.guard.session(idOn(both.guard, "stable"))
    expect([input, output].map((direction) => other.scan("text", direction).result)).toEqual(["flagged", "flagged"])
  })

  it("looks at a text of an unknown direction, whatever it declares", () => {
    const { guard } = guardOf([{ name: "in", scan: () => ({ result: "blocked" }), directions: ["input"] }], [])
    const typo = { direction: "outptu" } as unknown as typeof output
    expect(guard.session(idOn(guard, "stable")).scan("text", typo).result).toBe("blocked")
  })

  it("reports findings by category, in the order of the scanners", () => {
    const two: ScanReport = {
      result: "flagged",
      findings: [{ category: "pii", message: "card" }, { category: "secret" }],
    }
    const { guard } = guardOf(
      [
        { name: "a", scan: () => two },
        { name: "b", scan: find("x").scan },
      ],
      [],
    )
    expect(guard.session(idOn(guard, "stable")).scan("x", input).findings).toEqual([
      { scanner: "a", category: "pii", message: "card" },
      { scanner: "a", category: "secret" },
      { scanner: "b", category: "pii" },
    ])
  })

  it.each([
    ["a list that is none", { scanners: {} }, "scanners: must be a list, got {}"],
    ["a scanner that is none", { scanners: [null] }, "scanners[0]: must be a scanner, got null"],
    ["no name", { scanners: [{ scan: clean }] }, "scanners[0].name: must be a text that is not empty, got undefined"],
    ["no scan", { scanners: [{ name: "a" }] }, "scanners[0].scan: must be a function"],
    [
      "a direction that there is not",
      { scanners: [{ name: "a", scan: clean, directions: ["in"] }] },
      'scanners[0].directions: must be a list of `input` and `output`, got ["in"] (leave it out for both)',
    ],
    ["no direction", { scanners: [{ name: "a", scan: clean, directions: [] }] }, "scanners[0].directions"],
    [
      "a limit of 0",
      { scanners: [{ name: "a", scan: clean, timeoutMs: 0 }] },
      "scanners[0].timeoutMs: must be a number",
    ],
    ["a limit of NaN", { scanners: [{ name: "a", scan: clean, timeoutMs: NaN }] }, "scanners[0].timeoutMs"],
    ["a monitor that cannot observe", { monitor: { watch: clean } }, "monitor: must be an object with the function"],
    ["a stateful of 1", { scanners: [{ name: "a", scan: clean, stateful: 1 }] }, "scanners[0].stateful"],
  ])("with %s is refused when the guard is made", (_, parts, message) => {
    const broken = { ...release("1.0.0", () => "allow"), ...(parts as object) }
    const make = () => harness({}, stateWith(), { releases: new Map([["1.0.0", broken]]) })
    expect(make).toThrow(message)
    expect(make).toThrow(expect.objectContaining({ code: "RELEASE_INVALID" }))
  })

  it("that is wrong in a release that comes later keeps that release out, and refresh() says so", () => {
    const releases = new Map([["1.0.0", release("1.0.0", () => "allow")]])
    const { guard, events, state } = harness({}, stateWith(), { releases })
    releases.set("2.0.0", { ...release("2.0.0", () => "allow"), scanners: [{ name: "", scan: clean }] })
    expect(() => guard.refresh()).toThrow("scanners[0].name")
    state.set(stateWith({ revision: 2 }))
    expect(events).toContainEqual({ type: "unknown_release", arm: "canary", version: "2.0.0" })
    expect(guard.session(idOn(guard, "canary")).scan("text", input)).toMatchObject({
      arm: "stable",
      source: "fallback",
    })
  })
})

describe("what is no text", () => {
  it.each([undefined, null, 7, ["a"], { text: "a" }, new String("a")])("%j is blocked without a look", (value) => {
    let looked = 0
    const { guard, events } = guardOf([{ name: "s", scan: () => (looked++, clean()) }], [])
    const scan = guard.session(idOn(guard, "stable")).scan(value as string, input)
    expect(scan).toMatchObject({ result: "blocked", source: "posture", errorType: "invalid", findings: [] })
    expect(looked).toBe(0)
    expect(events).toContainEqual(expect.objectContaining({ type: "error", errorType: "invalid" }))
    expect(count(guard.evidence(), 0, "scans")).toBe(0)
  })

  it("is blocked in an async guard as well", async () => {
    const { scan } = asyncGuard([{ name: "s", scan: clean }])
    expect(await scan(undefined as unknown as string)).toMatchObject({ result: "blocked", errorType: "invalid" })
  })

  it("is not the empty text, which is scanned", () => {
    const { guard } = guardOf([{ name: "s", scan: (text) => ({ result: text === "" ? "flagged" : "clean" }) }], [])
    expect(guard.session(idOn(guard, "stable")).scan("", input).result).toBe("flagged")
  })
})

describe("a redacted text", () => {
  const both = [find("4111"), find("sk-1")]
  const text = "4111 and sk-1"

  it("masks what any scanner masks, and all of them see the text itself", () => {
    const { guard } = guardOf(both, [])
    const scan = guard.session(idOn(guard, "stable")).scan(text, input)
    expect(scan).toMatchObject({ result: "flagged", redacted: "**** and ****" })
    expect(scan.findings).toHaveLength(2)
  })

  it("masks what any scanner masks in an async guard", async () => {
    const later = both.map(({ name, scan }) => ({ name, scan: async (given: string) => scan(given) }))
    expect((await asyncGuard(later).scan(text)).redacted).toBe("**** and ****")
  })

  it("is not scanned again where one scanner redacts, or several in the same way", () => {
    let scans = 0
    const same = { name: "s", scan: () => (scans++, { result: "flagged" as const, redacted: "***" }) }
    const { guard } = guardOf([same, same, { name: "c", scan: clean }], [])
    expect(guard.session(idOn(guard, "stable")).scan(text, input).redacted).toBe("***")
    expect(scans).toBe(2)
  })

  it("is none, and the text blocked, when a scanner finds something in it that it does not mask", () => {
    const stubborn = (given: string): ScanReport =>
      given === text ? { result: "flagged", redacted: "4111 and ****" } : { result: "flagged" }
    const { guard } = guardOf([find("4111"), { name: "stubborn", scan: stubborn }], [])
    const scan = guard.session(idOn(guard, "stable")).scan(text, input)
    expect(scan).toMatchObject({ result: "blocked", redacted: undefined, source: "scanners" })
  })

  it("starts from what a stateful scanner made of it, which is asked once; two of them leave none", () => {
    let asked = 0
    const stateful = { ...find("sk-1"), stateful: true, scan: (t: string) => (asked++, find("sk-1").scan(t)) }
    const one = guardOf([find("4111"), stateful], [])
    expect(one.guard.session(idOn(one.guard, "stable")).scan(text, input).redacted).toBe("**** and ****")
    expect(asked).toBe(1)
    const two = guardOf([{ ...find("4111"), stateful: true }, stateful], [])
    expect(two.guard.session(idOn(two.guard, "stable")).scan(text, input)).toMatchObject({
      result: "blocked",
      redacted: undefined,
    })
  })

  it("that the canary's scanners fail over is left to stable's", () => {
    const once = { name: "once", scan: (t: string) => (t === text ? find("sk-1").scan(t) : (null as never)) }
    const { guard } = guardOf(both, [find("4111"), once])
    expect(guard.session(idOn(guard, "canary")).scan(text, input)).toMatchObject({
      source: "fallback",
      errorType: "invalid",
      redacted: "**** and ****",
    })
    expect(count(guard.evidence(), 1, "scan_error")).toBe(1)
  })
})

describe("the time of a scan", () => {
  it("is bounded by the scanner's own limit, and never above the arm's", async () => {
    const seen: AbortSignal[] = []
    const scanner = (timeoutMs: number): AsyncScanner => ({
      name: "slow",
      timeoutMs,
      scan: (_, { signal }: ScanContext) => (seen.push(signal!), never()),
    })
    for (const [own, arm, limit] of [
      [50, 1000, 50],
      [5000, 200, 200],
    ] as const) {
      const { clock, scan, events } = asyncGuard([scanner(own)], { timeoutMs: arm })
      const answer = scan("text")
      await turns()
      clock.advance(limit - 1)
      await turns()
      const errors = () => events.filter(({ type }) => type === "error")
      expect(errors()).toEqual([])
      clock.advance(1)
      expect(await answer).toMatchObject({ result: "blocked", source: "posture", errorType: "timeout" })
      expect(errors()).toMatchObject([
        { type: "error", errorType: "timeout", error: { message: `no answer within ${limit} ms` } },
      ])
      expect(seen.at(-1)?.aborted).toBe(true)
    }
  })

  it("is that of the slowest scanner in an async guard, where they run side by side", async () => {
    const { clock, guard, scan } = asyncGuard(
      [30, 20].map((ms, i) => ({
        name: `s-${i}`,
        scan: () => new Promise<ScanReport>((resolve) => clock.schedule(() => resolve(clean()), ms)),
      })),
    )
    const answer = scan("text")
    await turns()
    clock.advance(20)
    await turns()
    clock.advance(10)
    expect((await answer).result).toBe("clean")
    const [stratum] = guard.evidence().strata
    const latency = [...stratum!.scanLatency.entries()].filter(([, n]) => n > 0)
    expect(latency).toHaveLength(1)
  })

  it("counts the masking: what is left of the arm's limit bounds it", async () => {
    const { clock, scan } = asyncGuard(
      ["a", "b"].map((word) => ({
        name: word,
        scan: (text: string): Promise<ScanReport> =>
          text.includes("*")
            ? never()
            : new Promise((resolve) => clock.schedule(() => resolve(find(word).scan(text)), 60)),
      })),
      { timeoutMs: 100 },
    )
    const answer = scan("a b")
    await turns()
    clock.advance(60)
    await turns()
    clock.advance(40)
    expect(await answer).toMatchObject({ result: "blocked", errorType: "timeout" })
  })
})

const shadowOnly = [{ at: T0, weightBp: 0, stage: 0 }]
/** Nobody is served by stable. */
const everybody = [{ at: T0 - 1, weightBp: 10_000, stage: 0 }]

describe("the scanners of the other arm", () => {
  it("look at the same text after the answer, and both results are kept as a pair", async () => {
    const { guard, events } = guardOf([{ name: "old", scan: clean }], [find("4111", "blocked")], { ramp: shadowOnly })
    expect(guard.session("a").scan("a 4111", output)).toMatchObject({ result: "clean", arm: "stable" })
    guard.session("a").scan("nothing", output)
    expect(total(guard.evidence(), "scanPairs")).toBe(0)
    await guard.idle()
    expect([total(guard.evidence(), "scanPairs"), total(guard.evidence(), "scanPairedSessions")]).toEqual([2, 1])
    expect(total(guard.evidence(), "pairs")).toBe(0)
    expect(count(guard.evidence(), 1, "scans")).toBe(0)
    expect(events.filter(({ type }) => type !== "applied")).toEqual([
      {
        type: "scan_disagreement",
        sessionId: "a",
        served: "stable",
        direction: "output",
        text: "a 4111",
        stable: { result: "clean", findings: [] },
        canary: { result: "blocked", findings: [{ scanner: "4111", category: "pii" }] },
      },
    ])
    expect(guard.scanDiffs()).toEqual([
      {
        direction: "output",
        stable: { result: "clean" },
        canary: { result: "blocked", scanner: "4111", category: "pii" },
        scans: 1,
      },
    ])
  })

  it("are compared with nobody's look where only one release scans, and not at all where none does", async () => {
    const added = guardOf([], [find("x")], { ramp: shadowOnly })
    added.guard.session("a").scan("x", input)
    await added.guard.idle()
    expect(total(added.guard.evidence(), "scanPairs")).toBe(1)
    expect(added.guard.scanDiffs()).toMatchObject([{ stable: { result: "clean" }, canary: { result: "flagged" } }])
    const none = guardOf([], [{ ...find("x"), directions: ["output"] }], { ramp: shadowOnly })
    none.guard.session("a").scan("x", input)
    await none.guard.idle()
    expect(total(none.guard.evidence(), "scanPairs")).toBe(0)
  })

  it("are never run when one of them is stateful", async () => {
    let ran = 0
    const canary = [
      { name: "s", scan: () => (ran++, clean()) },
      { name: "t", stateful: true, scan: () => (ran++, clean()) },
    ]
    const { guard } = guardOf([find("x")], canary, { ramp: shadowOnly })
    guard.session("a").scan("x", input)
    await guard.idle()
    expect([ran, total(guard.evidence(), "scanPairs")]).toEqual([0, 0])
  })

  it("are an error of their arm when they fail, and a fallback of a served canary is a pair, too", async () => {
    const broken = { name: "broken", scan: () => null as never }
    const shadow = guardOf([find("x")], [broken], { ramp: shadowOnly })
    shadow.guard.session("a").scan("x", input)
    await shadow.guard.idle()
    expect(shadow.guard.scanDiffs()).toMatchObject([{ stable: { result: "flagged" }, canary: { result: "error" } }])
    const served = guardOf([find("x")], [broken], { ramp: everybody })
    const session = served.guard.session(idOn(served.guard, "canary"))
    session.scan("x", input)
    session.scan("x", input)
    await served.guard.idle()
    // Stable's answer was served both times, so it is still stable's world.
    expect(total(served.guard.evidence(), "scanPairs")).toBe(2)
  })

  it("are sampled like calls", async () => {
    const state = stateWith({ ramp: shadowOnly })
    const spec = { ...state.spec, shadowSampleBp: 0 }
    const { guard } = guardOf([find("x")], [find("x")], { ramp: shadowOnly, spec })
    guard.session("a").scan("x", input)
    await guard.idle()
    expect(total(guard.evidence(), "scanPairs")).toBe(0)
  })

  it("are compared on at most 20 texts of a session", async () => {
    const { guard } = guardOf([find("x")], [find("x")], { ramp: shadowOnly })
    for (let i = 0; i < 30; i++) guard.session("a").scan("x", input)
    await guard.idle()
    expect(total(guard.evidence(), "scanPairs")).toBe(20)
  })

  it("judge in an async guard in the order of the texts", async () => {
    const seen: string[] = []
    const stable: ReleaseFor<Call, "async"> = {
      ...release("1.0.0", () => "allow"),
      scanners: [{ name: "s", scan: clean }],
    }
    const canary: ReleaseFor<Call, "async"> = {
      ...release("2.0.0", () => "allow"),
      scanners: [
        { name: "c", scan: async (text: string) => (await turns(), seen.push(text), { result: "flagged" as const }) },
      ],
    }
    const { guard } = asyncGuard([], {
      state: fakeState(stateWith({ ramp: shadowOnly })),
      releases: new Map([
        ["1.0.0", stable],
        ["2.0.0", canary],
      ]),
    })
    for (const text of ["1", "2", "3"]) await guard.session("a").scan(text, input)
    await guard.idle()
    expect(seen).toEqual(["1", "2", "3"])
    expect(guard.scanDiffs()).toMatchObject([{ scans: 3 }])
  })
})

describe("stable's world", () => {
  const kept = (guard: ReturnType<typeof guardOf>["guard"]) => [
    total(guard.evidence(), "scanPairs"),
    total(guard.evidence(), "pairs"),
    total(guard.evidence(), "pairsAfter"),
  ]
  const call = { action: "refund" }

  it("goes on while both arms' scanners agree, also over a flag", async () => {
    const { guard } = guardOf([find("x")], [find("x")], { ramp: everybody })
    const session = guard.session(idOn(guard, "canary"))
    session.scan("x", input)
    session.scan("x", input)
    session.evaluate(call)
    await guard.idle()
    expect(kept(guard)).toEqual([2, 1, 0])
  })

  it.each([
    ["flags what stable lets through", [{ name: "s", scan: clean }], [find("x")]],
    ["lets through what stable flags", [find("x")], [{ name: "s", scan: clean }]],
    ["masks something else", [find("x")], [{ name: "s", scan: () => ({ result: "flagged" as const, redacted: "?" }) }]],
  ])("ends where a canary that serves %s", async (_, stable, canary) => {
    const { guard } = guardOf(stable, canary, { ramp: everybody })
    const session = guard.session(idOn(guard, "canary"))
    session.scan("x", input)
    session.scan("x", input)
    session.evaluate(call)
    await guard.idle()
    expect(kept(guard)).toEqual([1, 0, 1])
  })

  it("ends for texts where a canary's call was acted on that stable would deny", async () => {
    const releases = new Map([
      ["1.0.0", { ...release("1.0.0", () => "deny"), scanners: [find("x")] }],
      ["2.0.0", { ...release("2.0.0", () => "allow"), scanners: [find("x")] }],
    ])
    const { guard } = harness({}, stateWith({ ramp: everybody }), { releases })
    const session = guard.session(idOn(guard, "canary"))
    session.scan("x", input)
    session.evaluate(call)
    session.scan("x", input)
    await guard.idle()
    expect(kept(guard)).toEqual([1, 1, 0])
  })

  it("ends where a served canary's text or call is compared with nothing, for what comes after it", async () => {
    const stateful = guardOf([{ ...find("x"), stateful: true }], [{ name: "s", scan: clean }], { ramp: everybody })
    const session = stateful.guard.session(idOn(stateful.guard, "canary"))
    session.evaluate(call)
    session.scan("x", input)
    session.evaluate(call)
    await stateful.guard.idle()
    expect(kept(stateful.guard)).toEqual([0, 1, 1])

    const long = guardOf([find("x")], [find("x")], { ramp: everybody })
    const longer = long.guard.session(idOn(long.guard, "canary"))
    for (let i = 0; i < 21; i++) longer.evaluate(call)
    longer.scan("x", input)
    await long.guard.idle()
    expect(kept(long.guard)).toEqual([0, 20, 0])
  })

  it("is that of every session that stable serves, whatever the canary's scanners say", async () => {
    const { guard } = guardOf([{ name: "s", scan: clean }], [find("x")], { ramp: shadowOnly })
    const scans: Scan[] = [1, 2, 3].map(() => guard.session("a").scan("x", input))
    await guard.idle()
    expect(scans.map(({ result }) => result)).toEqual(["clean", "clean", "clean"])
    expect(kept(guard)).toEqual([3, 0, 0])
  })
})
