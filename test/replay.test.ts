import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { functionEngine } from "../src/engines/function.js"
import type { Call } from "../src/model/call.js"
import type { Criterion } from "../src/model/verdict.js"
import type { Evaluation, Scanner, ScanReport } from "../src/release/ports.js"
import { replayCalls, type ReplayableRelease, type ReplayCallsOptions } from "../src/replay.js"
import type { RecordedCall } from "../src/testing/calls.js"
import { readCalls } from "../src/testing/calls.js"
import { fakeClock } from "../src/testing/fake-clock.js"
import { sharedIsThere, sharedPath, skipNote } from "./shared.js"

type Answer = Evaluation | Promise<Evaluation>

const release = (version: string, evaluate: (call: Call) => Answer, more: object = {}): ReplayableRelease => ({
  version,
  policy: functionEngine(evaluate),
  ...more,
})
const scanner = (name: string, pattern: RegExp, more: object = {}): Scanner => ({
  name,
  scan: (text): ScanReport =>
    pattern.test(text) ? { result: "flagged", findings: [{ category: "pii" }] } : { result: "clean" },
  ...more,
})
const allow = release("1", () => "allow")

/** Sessions of five calls of `amount` 0, 10, … */
const CALLS: RecordedCall[] = Array.from({ length: 300 }, (_, i) => ({
  session: `s${Math.floor(i / 5)}`,
  tool: i % 3 === 0 ? "refund" : "look",
  input: { amount: i % 100 },
  output: i % 2 === 0 ? `mail user${i}@example.com` : "nothing",
}))

/** Denies refunds above a limit. */
const upTo = (version: string, limit: number) =>
  release(version, ({ action, input }) =>
    action === "refund" && (input as { amount: number }).amount > limit
      ? { outcome: "deny", rule: `up-to-${limit}`, reason: `more than ${limit}` }
      : { outcome: "allow", rule: "rest" },
  )

const replay = (over: Partial<ReplayCallsOptions>) =>
  replayCalls({ stable: allow, canary: allow, calls: CALLS, ...over })
const limits = (...criteria: [Criterion["name"], number, Criterion["mode"]?][]): Criterion[] =>
  criteria.map(([name, max, mode = "enforce"]) => ({ name, max, mode }))

describe("a replay of recorded calls", () => {
  it("counts what both releases make of each call, and groups differences by tool and by the rules that decided", async () => {
    const report = await replay({ stable: upTo("1", 80), canary: upTo("2", 50) })
    const between = CALLS.filter(({ tool, input }) => {
      const { amount } = input as { amount: number }
      return tool === "refund" && amount > 50 && amount <= 80
    })
    expect(report).toMatchObject({ calls: 300, sessions: 60, differing: between.length, result: null, budgets: [] })
    expect(report.outcomes.allow).toMatchObject({ deny: between.length, escalate: 0, error: 0 })
    expect(report.outcomes.deny.allow).toBe(0)
    const [difference, ...others] = report.differences
    expect(others).toEqual([])
    expect(difference).toMatchObject({
      of: {
        tool: "refund",
        stable: { outcome: "allow", rule: "rest" },
        canary: { outcome: "deny", rule: "up-to-50" },
      },
      calls: between.length,
      sessions: new Set(between.map(({ session }) => session)).size,
    })
  })

  it("shows examples of different sessions, with their place and the words of each release", async () => {
    const { differences } = await replay({ stable: upTo("1", 80), canary: upTo("2", 50), examples: 2 })
    const examples = differences[0]!.examples
    expect(examples).toHaveLength(2)
    expect(new Set(examples.map(({ session }) => session)).size).toBe(2)
    for (const { session, call, input, canary } of examples) {
      expect(CALLS[call - 1]).toMatchObject({ session, input: JSON.parse(input) })
      expect(canary).toBe("more than 50")
    }
  })

  it("accounts for every call, whatever the releases answer", async () => {
    const outcome = fc.constantFrom("allow", "deny", "escalate", "throw", "nonsense")
    const made = fc.record({ session: fc.constantFrom("a", "b", "c"), tool: fc.constantFrom("x", "y"), input: outcome })
    const obey = (word: unknown): Evaluation => {
      if (word === "throw") throw new Error("told to")
      return word as Evaluation
    }
    await fc.assert(
      fc.asyncProperty(fc.array(made, { minLength: 1, maxLength: 30 }), outcome, async (calls, other) => {
        const report = await replay({
          stable: release("1", ({ input }) => obey(input)),
          canary: release("2", () => obey(other)),
          calls,
        })
        const cells = Object.values(report.outcomes).flatMap((row) => Object.values(row))
        expect(cells.reduce((sum, count) => sum + count, 0)).toBe(calls.length)
        expect(report.differences.reduce((sum, group) => sum + group.calls, 0)).toBe(report.differing)
        const failed = calls.filter(({ input }) => input === "throw" || input === "nonsense").length
        const told = report.failures.filter(({ of }) => of.arm === "stable")
        expect(told.reduce((sum, group) => sum + group.calls, 0)).toBe(failed)
      }),
      { numRuns: 10 },
    )
  })

  it("counts failures by type, with the message, and an answer that never comes as a time-out", async () => {
    const clock = fakeClock()
    const slow = release("2", ({ input }) => {
      const { amount } = input as { amount: number }
      if (amount === 1) throw new Error("no rates today")
      if (amount === 2) return "perhaps" as never
      if (amount !== 3) return Promise.resolve("allow" as const)
      setImmediate(() => clock.advance(50))
      return new Promise<Evaluation>(() => {})
    })
    const { failures, outcomes } = await replay({ canary: slow, calls: CALLS.slice(0, 10), timeoutMs: 50, clock })
    expect(failures.map(({ of, calls, examples }) => [of.arm, of.errorType, calls, examples[0]?.canary])).toEqual([
      ["canary", "throw", 1, "no rates today"],
      ["canary", "invalid", 1, "expected an evaluation, got string"],
      ["canary", "timeout", 1, "no answer within 50 ms"],
    ])
    expect(outcomes.allow).toMatchObject({ allow: 7, error: 3 })
  })

  it("gives each release the call as it was recorded, also when the other one changes it", async () => {
    const greedy = release("1", ({ input }) => {
      ;(input as { amount: number }).amount += 1000
      return "allow"
    })
    const { differing } = await replay({
      stable: greedy,
      canary: upTo("2", 99),
      calls: CALLS.map((call) => ({ ...call, input: { ...(call.input as object) } })),
    })
    expect(differing).toBe(0)
  })

  it("refuses a stateful policy, unless it is told that it does no harm, and says so then", async () => {
    const counting = { version: "2", policy: functionEngine(() => "allow" as const, { stateful: true }) }
    await expect(replay({ canary: counting })).rejects.toThrow(/canary: its policy is stateful/)
    const { calls, notes } = await replay({ canary: counting, stateful: true })
    expect(calls).toBe(300)
    expect(notes).toEqual(["the policy of canary was run although it is stateful"])
  })

  it("keeps memory bounded: past 200 groups differences count by outcomes alone", async () => {
    const calls = Array.from({ length: 500 }, (_, i) => ({ session: "s", tool: `tool-${i}`, input: {} }))
    const { differences } = await replay({ canary: release("2", () => "deny"), calls })
    expect(differences).toHaveLength(201)
    expect(differences[0]).toMatchObject({
      of: { tool: "other", stable: { outcome: "allow" }, canary: { outcome: "deny" } },
      calls: 300,
    })
  })

  it("lets the event loop turn, tells how far it is, and ends when told", async () => {
    const ended = new AbortController()
    async function* endless() {
      for (;;) yield CALLS[0]!
    }
    const done: number[] = []
    const onProgress = (calls: number): void => {
      done.push(calls)
      setImmediate(() => ended.abort(new Error("enough")))
    }
    await expect(replay({ calls: endless(), signal: ended.signal, onProgress })).rejects.toThrow("enough")
    expect(done[0]).toBeGreaterThan(0)
  })

  it.each<[object, RegExp]>([
    [{ timeoutMs: 0 }, /timeoutMs must be greater than 0, got 0/],
    [{ examples: 21 }, /examples must be a whole number from 0 to 20, got 21/],
    [{ criterias: [] }, /replayCalls has no option criterias/],
    [{ criteria: limits(["newly_denied_rate_max", 2]) }, /max of newly_denied_rate_max must be 0 to 1, got 2/],
    [{ canary: { version: "2", policy: null } }, /the release 2/],
  ])("refuses %o before it judges anything", async (over, message) => {
    await expect(replay({ ...over, calls: failing() })).rejects.toThrow(message)
  })
})

// oxlint-disable-next-line require-yield
function* failing(): Generator<RecordedCall> {
  throw new Error("a call was taken")
}

describe("texts of a replay", () => {
  const scanners = (...all: Scanner[]) => release("1", () => "allow", { scanners: all })

  it("are scanned by both releases, and differences are grouped by tool, scanner and category", async () => {
    const { scans } = await replay({ canary: scanners(scanner("mail", /@/)) })
    expect(scans).toMatchObject({ texts: 300, differing: 150 })
    expect(scans?.results.clean).toMatchObject({ clean: 150, flagged: 150 })
    expect(scans?.differences.map(({ of, calls }) => [of.tool, of.canary, calls])).toEqual([
      ["look", { result: "flagged", scanner: "mail", category: "pii" }, 100],
      ["refund", { result: "flagged", scanner: "mail", category: "pii" }, 50],
    ])
  })

  it("are left out when a scanner is stateful, and that is told", async () => {
    const canary = scanners(scanner("learns", /@/, { stateful: true }))
    const left = await replay({ canary })
    expect(left).toMatchObject({ scans: null, notes: ["no text was scanned, because scanners are stateful: learns"] })
    expect((await replay({ canary, stateful: true })).scans?.texts).toBe(300)
  })

  it("are none where no release has a scanner for what goes into the model, or no output is a text", async () => {
    expect((await replay({})).scans).toBeNull()
    expect((await replay({ canary: scanners(scanner("out", /@/, { directions: ["output"] })) })).scans).toBeNull()
    const canary = scanners(scanner("mail", /@/))
    expect((await replay({ canary, calls: [{ ...CALLS[0]!, output: { text: "a@b" } }] })).scans).toBeNull()
  })

  it("that make a scanner fail are failures of it", async () => {
    const broken: Scanner = {
      name: "broken",
      scan: () => {
        throw new Error("no dictionary")
      },
    }
    const { failures, scans } = await replay({ canary: scanners(broken) })
    expect(failures[0]).toMatchObject({
      of: { arm: "canary", of: "scanners", errorType: "throw", rule: "broken" },
      calls: 300,
      examples: [{ canary: "no dictionary" }, {}, {}],
    })
    expect(scans?.results.clean.error).toBe(300)
  })
})

describe("budgets of a replay", () => {
  const stable = upTo("1", 80)
  const canary = upTo("2", 50)
  const denied = 30 / 300

  it("are a fact on the recorded calls: over when more is measured than allowed", async () => {
    const { budgets, result } = await replay({
      stable,
      canary,
      criteria: limits(["newly_denied_rate_max", 0.05], ["newly_allowed_rate_max", 0], ["deny_rate_delta_max", 0.2]),
    })
    expect(budgets.map(({ measured, result }) => [measured, result])).toEqual([
      [denied, "over"],
      [0, "within"],
      [denied, "within"],
    ])
    expect(result).toBe("over")
  })

  it("say beside it how much calls like these may show, with sessions as the unit: none seen is a bound, never 0 %", async () => {
    const [once, again] = await Promise.all(
      [CALLS, CALLS.map((call, i) => ({ ...call, session: `s${i % 10}` }))].map((calls) =>
        replay({ calls, criteria: limits(["newly_allowed_rate_max", 0.01]) }),
      ),
    )
    const [of60, of10] = [once!.budgets[0]!, again!.budgets[0]!]
    expect(of60).toMatchObject({ measured: 0, result: "within" })
    expect(of60.atMost).toBeGreaterThan(3 / 300)
    // The same calls in fewer sessions tell less.
    expect(of10.atMost === null || of10.atMost > of60.atMost!).toBe(true)
  })

  it("that are told only decide nothing, and what calls do not tell of is neither kept nor broken", async () => {
    const told = limits(["newly_denied_rate_max", 0, "notify"], ["newly_allowed_rate_max", 0])
    expect((await replay({ stable, canary, criteria: told })).result).toBe("within")
    const unknown = limits(["alert_rate_delta_max", 0.1], ["scan_flag_rate_delta_max", 0.1])
    const { budgets, result } = await replay({ criteria: unknown })
    expect(budgets.map(({ measured, result }) => [measured, result])).toEqual([
      [null, "no_data"],
      [null, "no_data"],
    ])
    expect(result).toBe("no_data")
  })

  it("hold for latency: the 99th percentiles are compared", async () => {
    const clock = fakeClock()
    const taking = (version: string, ms: number) =>
      release(version, () => {
        clock.advance(ms)
        return "allow"
      })
    const { budgets, stable, canary } = await replay({
      stable: taking("1", 10),
      canary: taking("2", 40),
      clock,
      criteria: limits(["latency_p99_delta_max", 50], ["error_rate_max", 0.01]),
    })
    expect(stable.latency!.p50Ms).toBeGreaterThan(9.7)
    expect(stable.latency!.p50Ms).toBeLessThan(10.3)
    expect(canary.latency!.p99Ms).toBeGreaterThan(39)
    expect(budgets.map(({ result }) => result)).toEqual(["within", "within"])
  })
})

describe.skipIf(!sharedIsThere)("a replay of real sessions", () => {
  it("finds what a rule that denies a tool changes", async () => {
    const calls = await readCalls(sharedPath("data/tau-airline-toolcalls.jsonl"))
    const canary = release("2", ({ action }) => (action === "cancel_reservation" ? "deny" : "allow"))
    const { differing, sessions } = await replay({ canary, calls })
    expect(differing).toBe(calls.filter(({ tool }) => tool === "cancel_reservation").length)
    expect(sessions).toBe(182)
  })
})

skipNote(1, "a replay of real sessions")
