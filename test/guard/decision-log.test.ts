import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createGuard } from "serin"
import type { Call, DecisionEntry, DecisionLogEntry, DecisionLogOptions, DecisionSink, PairEntry, Release } from "serin"
import { metricProducer } from "../../src/telemetry/producer.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { fakeState, harness, idOn, release, stateWith, T0 } from "./harness.js"
import type { Evaluate } from "./harness.js"
import { runs } from "../runs.js"

interface MemorySink extends DecisionSink {
  readonly entries: DecisionLogEntry[]
  readonly batches: number[]
}

function memorySink(): MemorySink {
  const entries: DecisionLogEntry[] = []
  const batches: number[] = []
  return {
    entries,
    batches,
    write(batch) {
      batches.push(batch.length)
      entries.push(...batch)
    },
  }
}

const decisions = ({ entries }: MemorySink) =>
  entries.filter((entry): entry is DecisionEntry => entry.kind === "decision")
const pairs = ({ entries }: MemorySink) => entries.filter((entry): entry is PairEntry => entry.kind === "pair")

/** A guard with a log, and what it says became of its entries. */
function logged(
  decisionLog: DecisionSink | DecisionLogOptions,
  policies: { stable?: Evaluate; canary?: Evaluate } = {},
  state = stateWith({ revision: 7 }),
) {
  const producer = metricProducer()
  const made = harness(policies, state, { decisionLog, metrics: producer })
  async function results(): Promise<Record<string, number>> {
    const { resourceMetrics } = await producer.collect()
    const metric = resourceMetrics.scopeMetrics
      .flatMap(({ metrics }) => metrics)
      .find(({ descriptor }) => descriptor.name === "serin.decision_log")
    return Object.fromEntries(
      (metric?.dataPoints ?? []).map(({ attributes, value }) => [attributes["serin.decision_log.result"], value]),
    ) as Record<string, number>
  }
  return { ...made, results }
}

describe("an entry of the decision log", () => {
  it("says what was answered to which call, in which session, by whom, and where the rollout stood", async () => {
    const sink = memorySink()
    const { guard, clock } = logged(sink, { canary: () => ({ outcome: "deny", rule: "r1", reason: "too much" }) })
    const id = idOn(guard, "canary")
    clock.advance(5000)
    const call = { action: "refund", input: { amount: 5 } }
    guard.session(id).evaluate(call, { callId: "call-1" })
    call.input.amount = 6
    await guard.idle()
    expect(decisions(sink)).toEqual([
      {
        format: "serin/decision/1",
        kind: "decision",
        id: expect.stringMatching(/^[0-9a-f-]{13}-\d+$/) as string,
        at: T0 + 5000,
        rollout: "demo",
        revision: 7,
        generation: 1,
        sessionId: id,
        startedAt: T0,
        arm: "canary",
        release: "2.0.0",
        outcome: "deny",
        source: "policy",
        rule: "r1",
        reason: "too much",
        errorType: undefined,
        durationMs: 0,
        callId: "call-1",
        call: { action: "refund", input: { amount: 5 } },
      },
    ])
  })

  it("is one for a call that is asked twice under one id", async () => {
    const sink = memorySink()
    const { guard } = logged(sink)
    const session = guard.session("s")
    session.evaluate({ action: "a" }, { callId: "1" })
    session.evaluate({ action: "a" }, { callId: "1" })
    session.evaluate({ action: "a" })
    await guard.idle()
    expect(decisions(sink)).toHaveLength(2)
  })

  it("tells of fallback, posture and lockdown", async () => {
    const sink = memorySink()
    const broken = (): never => {
      throw new Error("broken")
    }
    const { guard, state } = logged(sink, { canary: broken })
    guard.session(idOn(guard, "canary")).evaluate({ action: "a" })
    const posture = logged(sink, { stable: broken, canary: broken })
    posture.guard.session(idOn(posture.guard, "canary")).evaluate({ action: "b" })
    state.set(stateWith({ revision: 8, kill: "deny" }))
    guard.session("s").evaluate({ action: "c" })
    guard.sessionless.evaluate({ action: "d" })
    await guard.idle()
    await posture.guard.idle()
    const found = decisions(sink).map(({ call, source, arm, outcome, errorType, sessionId }) => [
      call.action,
      source,
      arm,
      outcome,
      errorType,
      sessionId === null,
    ])
    expect(found.toSorted()).toEqual([
      ["a", "fallback", "stable", "allow", "throw", false],
      ["b", "posture", "stable", "deny", "throw", false],
      ["c", "lockdown", "stable", "deny", undefined, false],
      ["d", "lockdown", "stable", "deny", undefined, true],
    ])
  })

  it("is written when the stable policy's own error is thrown into the host", async () => {
    const sink = memorySink()
    const error = new Error("broken")
    const { guard } = harness({}, null, {
      decisionLog: sink,
      onStableError: "throw",
      state: fakeState(stateWith({ ramp: [] })),
      releases: new Map([
        [
          "1.0.0",
          release("1.0.0", () => {
            throw error
          }),
        ],
      ]),
    })
    expect(() => guard.session("s").evaluate({ action: "a" })).toThrow(error)
    await guard.idle()
    expect(decisions(sink)).toMatchObject([{ source: "posture", outcome: "deny", errorType: "throw" }])
  })

  it("is written of a wrapped function, with its arguments", async () => {
    const sink = memorySink()
    const { guard } = logged(sink)
    const denied = () => "no"
    const options = {
      session: (id: string) => id,
      outcome: (word: string) => (word === "yes" ? "allow" : "deny"),
      denied,
    } as const
    const evaluate = guard.wrap(
      (_id: string) => "yes",
      (_id: string) => "no",
      options,
    )
    const broken = guard.wrap(
      (_id: string): string => {
        throw new Error("broken")
      },
      (_id: string): string => {
        throw new Error("broken")
      },
      options,
    )
    const [stable, canary] = [idOn(guard, "stable"), idOn(guard, "canary")]
    evaluate(stable)
    evaluate(canary)
    broken(stable)
    await guard.idle()
    expect(decisions(sink)).toMatchObject([
      { arm: "stable", outcome: "allow", source: "policy", call: { action: "call", input: [stable] } },
      { arm: "canary", outcome: "deny", source: "policy", call: { action: "call", input: [canary] } },
      { arm: "stable", outcome: "deny", source: "posture", errorType: "throw" },
    ])
    expect(pairs(sink)).toHaveLength(2)
  })

  it("is written by an async guard", async () => {
    const sink = memorySink()
    const answers = (version: string): Release<Call, Promise<"allow">> => ({
      version,
      policy: { evaluate: () => Promise.resolve("allow" as const) },
    })
    const guard = createGuard({
      async: true,
      rollout: "demo",
      state: fakeState(stateWith()),
      clock: fakeClock(T0),
      decisionLog: sink,
      releases: new Map(["1.0.0", "2.0.0"].map((version) => [version, answers(version)])),
    })
    await guard.session("s").evaluate({ action: "a" })
    await guard.session("s").scan("text", { direction: "input" })
    await guard.idle()
    expect(sink.entries.map(({ kind }) => kind).toSorted()).toEqual(["decision", "pair", "scan"])
  })

  it("has no number that JSON does not know, whatever the clock says", async () => {
    const sink = memorySink()
    for (const broken of [NaN, Infinity, -Infinity]) {
      const clock = { ...fakeClock(T0), now: () => broken, monotonic: () => broken }
      const { guard } = harness({}, stateWith(), { decisionLog: sink, clock })
      guard.session("s", { startedAt: T0 }).evaluate({ action: "a" })
      guard.session("s").scan("x", { direction: "input" })
      await guard.idle()
    }
    expect(sink.entries.length).toBeGreaterThan(6)
    for (const entry of sink.entries) expect(JSON.stringify(entry)).not.toContain("null")
  })
})

describe("the pair of a decision", () => {
  it("is written when the other arm has judged, and refers to the decision", async () => {
    const sink = memorySink()
    const { guard } = logged(sink, { canary: () => ({ outcome: "escalate", rule: "r2" }) })
    for (const arm of ["stable", "canary"] as const) guard.session(idOn(guard, arm)).evaluate({ action: arm })
    await guard.idle()
    const found = pairs(sink)
    expect(found.map((pair) => [pair.arm, pair.stable, pair.canary])).toEqual(
      (["stable", "canary"] as const).map((arm) => [
        arm,
        { release: "1.0.0", outcome: "allow", durationMs: 0 },
        { release: "2.0.0", outcome: "escalate", rule: "r2", durationMs: 0 },
      ]),
    )
    expect(found.map(({ of }) => of)).toEqual(decisions(sink).map(({ id }) => id))
    expect(found.map(({ sessionId }) => sessionId)).toEqual(decisions(sink).map(({ sessionId }) => sessionId))
  })

  it("says how a canary failed whose answer stable gave", async () => {
    const sink = memorySink()
    const { guard } = logged(sink, {
      canary: () => {
        throw new Error("broken")
      },
    })
    guard.session(idOn(guard, "canary")).evaluate({ action: "a" })
    await guard.idle()
    expect(pairs(sink)).toMatchObject([
      { arm: "canary", stable: { outcome: "allow" }, canary: { outcome: "error", errorType: "throw" } },
    ])
  })

  it("can be rebuilt for every call of every sequence", async () => {
    const outcome = fc.constantFrom("allow", "deny", "escalate")
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), outcome, outcome), { maxLength: 20 }),
        async (asked) => {
          const sink = memorySink()
          const wanted = (of: 1 | 2) => (call: Call) => (call.input as readonly ["allow", "allow"])[of - 1]!
          const { guard } = logged(sink, { stable: wanted(1), canary: wanted(2) })
          for (const [session, ...input] of asked) guard.session(`s-${session}`).evaluate({ action: "a", input })
          await guard.idle()
          const byId = new Map(pairs(sink).map((pair) => [pair.of, pair]))
          const rebuilt = decisions(sink).map(({ id, call }) => {
            const pair = byId.get(id)
            return [call.input, [pair?.stable.outcome, pair?.canary.outcome]]
          })
          expect(rebuilt).toEqual(asked.map(([, ...input]) => [input, input]))
        },
      ),
      { numRuns: runs(30) },
    )
  })
})

describe("a contained call in the decision log", () => {
  it("is a decision and its pair, also of a wrapped function, and one scan", async () => {
    const sink = memorySink()
    const { guard } = logged(
      sink,
      { canary: () => ({ outcome: "deny", rule: "r1" }) },
      stateWith({ ended: { kind: "contained", at: T0 } }),
    )
    const wrapped = guard.wrap(
      (_id: string) => "yes",
      (_id: string) => "no",
      { session: (id) => id, outcome: (word) => (word === "yes" ? "allow" : "deny"), denied: () => "no" },
    )
    guard.session("s").evaluate({ action: "a" }, { callId: "1" })
    expect(wrapped("s")).toBe("no")
    guard.session("s").scan("text", { direction: "input" })
    await guard.idle()
    expect(sink.entries).toMatchObject([
      { kind: "decision", arm: "canary", outcome: "deny", source: "contained", rule: "r1", callId: "1" },
      { kind: "pair", of: sink.entries[0]!.id, stable: { outcome: "allow" }, canary: { outcome: "deny" } },
      { kind: "decision", arm: "canary", outcome: "deny", source: "contained", call: { input: ["s"] } },
      { kind: "pair", of: sink.entries[2]!.id },
      { kind: "scan" },
    ])
  })
})

describe("a scan in the decision log", () => {
  const secret = "4111-1111"
  const scanners = [
    {
      name: "cards",
      scan: (text: string) => ({
        result: "flagged" as const,
        findings: [{ category: "pii", message: `saw ${text}` }],
        redacted: text.replace(secret, "****"),
      }),
    },
  ]

  it("holds the length of the text, and neither the text nor what was seen in it", async () => {
    const sink = memorySink()
    const { guard, state } = harness({}, stateWith(), {
      decisionLog: sink,
      releases: new Map(
        ["1.0.0", "2.0.0"].map((version) => [version, { ...release(version, () => "allow"), scanners }]),
      ),
    })
    guard.session("s").scan(`card ${secret}`, { direction: "output" })
    state.set(stateWith({ revision: 9, kill: "deny" }))
    guard.session("s").scan(`card ${secret}`, { direction: "input" })
    await guard.idle()
    expect(sink.entries).toMatchObject([
      {
        kind: "scan",
        sessionId: "s",
        direction: "output",
        length: 14,
        result: "flagged",
        source: "scanners",
        findings: [{ scanner: "cards", category: "pii" }],
      },
      { kind: "scan", direction: "input", length: 14, result: "blocked", source: "lockdown" },
    ])
    expect(JSON.stringify(sink.entries)).not.toContain("4111")
    expect(JSON.stringify(sink.entries)).not.toContain("****")
  })
})

describe("sampling of the decision log", () => {
  it("takes whole sessions, the same ones in every process and generation", async () => {
    const logs = [stateWith(), stateWith({ generation: 2, salt: "other", revision: 40 })].map((state) => {
      const sink = memorySink()
      return { sink, ...logged({ sink, sample: 0.3 }, {}, state) }
    })
    for (const { guard } of logs) {
      for (let i = 0; i < 1000; i++) {
        for (let turn = 0; turn < 3; turn++) guard.session(`s-${i}`).evaluate({ action: "a" })
      }
      guard.sessionless.evaluate({ action: "a" })
      await guard.idle()
    }
    const counted = logs.map(({ sink }) => {
      const bySession = new Map<string | null, number>()
      for (const { sessionId } of decisions(sink)) bySession.set(sessionId, (bySession.get(sessionId) ?? 0) + 1)
      return bySession
    })
    expect(counted[0]).toEqual(counted[1])
    expect(new Set(counted[0]!.values())).toEqual(new Set([3]))
    // 1,000 draws of 0.3: five standard deviations are 73.
    expect(Math.abs(counted[0]!.size - 300)).toBeLessThan(73)
  })

  it("at 0 takes none, and copies no call", async () => {
    const sink = memorySink()
    const { guard } = logged({ sink, sample: 0 })
    let reads = 0
    const call = {
      action: "a",
      get input() {
        reads += 1
        return {}
      },
    }
    const pinned = guard.session("s", { arm: "stable" })
    pinned.evaluate(call)
    await guard.idle()
    expect([sink.entries.length, reads]).toEqual([0, 0])
  })
})

describe("redaction", () => {
  it("runs after the answer, and what it answers is written", async () => {
    const sink = memorySink()
    let ran = 0
    const redact = (entry: DecisionLogEntry): DecisionLogEntry | null => {
      ran += 1
      if (entry.kind !== "decision") return null
      return { ...entry, call: { action: entry.call.action } }
    }
    const { guard, results } = logged({ sink, redact })
    guard.session("s").evaluate({ action: "a", input: "secret" })
    expect(ran).toBe(0)
    await guard.idle()
    expect(sink.entries.map((entry) => entry.kind === "decision" && entry.call)).toEqual([{ action: "a" }])
    expect(await results()).toEqual({ written: 1 })
  })

  it.each([
    [
      "throws",
      () => {
        throw new Error("no")
      },
    ],
    ["answers a promise", () => Promise.resolve(null)],
    ["answers nothing", () => undefined],
    ["answers something else", () => ({})],
  ])("that %s leaves the entry out and counts it, and the host notices nothing", async (_, redact) => {
    const sink = memorySink()
    const { guard, results } = logged({ sink, redact: redact as never })
    expect(guard.session("s").evaluate({ action: "a", input: "secret" }).outcome).toMatch(/allow|deny/)
    await guard.idle()
    expect(sink.entries).toEqual([])
    expect(await results()).toEqual({ failed: 2 })
  })
})

describe("a sink", () => {
  it.each([
    [
      "throws",
      () => {
        throw new Error("full")
      },
    ],
    ["rejects", () => Promise.reject(new Error("full"))],
    [
      "answers a broken promise",
      () =>
        // Not an object literal: a promise that fails as soon as it is looked at.
        new Proxy(
          {},
          {
            get() {
              throw new Error("full")
            },
          },
        ),
    ],
  ])("that %s loses its entries, counted, and gets the next", async (_, write) => {
    const { guard, results } = logged({ sink: { write: write as never } })
    for (let i = 0; i < 2; i++) {
      expect(guard.session("s").evaluate({ action: "a" }).outcome).toMatch(/allow|deny/)
      await guard.idle()
    }
    expect(await results()).toEqual({ failed: 4 })
  })

  it("that never answers fills the queue and no more; what has no room is dropped and counted", async () => {
    let calls = 0
    const sink: DecisionSink = {
      write() {
        calls += 1
        return new Promise(() => {})
      },
    }
    const { guard, clock, results } = logged({ sink, queue: 5 }, {}, stateWith({ ramp: [], canary: null }))
    const decide = (times: number) => {
      for (let i = 0; i < times; i++) expect(guard.session("s").evaluate({ action: "a" }).outcome).toBe("allow")
    }
    decide(3)
    await clock.settle()
    decide(20)
    await clock.settle()
    expect([calls, await results()]).toEqual([1, { dropped: 15 }])
    const closed = guard.close()
    decide(1)
    clock.advance(1999)
    const soon = await Promise.race([closed.then(() => "closed"), clock.settle().then(() => "open")])
    clock.advance(1)
    await closed
    expect([soon, await results()]).toEqual(["open", { dropped: 21 }])
  })

  it("is never called while it is at work, and gets entries in order, in batches that are bounded", async () => {
    const seen: string[] = []
    let working = 0
    let most = 0
    const sink: DecisionSink = {
      async write(entries) {
        expect(working++).toBe(0)
        most = Math.max(most, entries.length)
        await new Promise((resolve) => setImmediate(resolve))
        seen.push(...entries.flatMap((entry) => (entry.kind === "decision" ? [entry.call.action] : [])))
        working--
      },
    }
    const { guard } = logged({ sink }, {}, stateWith({ ramp: [], canary: null }))
    const actions = Array.from({ length: 1000 }, (_, i) => `a-${i}`)
    for (const action of actions) guard.session("s").evaluate({ action })
    expect(seen).toEqual([])
    await guard.close()
    expect(seen).toEqual(actions)
    expect(most).toBe(256)
  })

  it("holds up no answer and throws nothing, when the call cannot be copied", async () => {
    const sink = memorySink()
    const { guard } = logged(sink)
    const hostile = new Proxy(
      { action: "a" },
      {
        ownKeys() {
          throw new Error("no")
        },
      },
    )
    expect(guard.session("s").evaluate(hostile).outcome).toMatch(/allow|deny/)
    for (const nothing of [undefined, null, 7]) guard.session("s").evaluate(nothing as never)
    await guard.idle()
    expect(decisions(sink).map(({ call }) => call)).toEqual([hostile, null, null, 7])
  })
})

describe("close()", () => {
  it("flushes what waits, counts it, and takes nothing after", async () => {
    const sink = memorySink()
    const { guard, results } = logged(sink, {}, stateWith({ ramp: [], canary: null }))
    guard.session("s").evaluate({ action: "a" })
    const closed = guard.close()
    expect(guard.session("s").evaluate({ action: "b" }).outcome).toBe("allow")
    await closed
    expect(decisions(sink).map(({ call }) => call.action)).toEqual(["a"])
    expect(await results()).toEqual({ written: 1, dropped: 1 })
  })
})

describe("the options of the decision log", () => {
  const sink: DecisionSink = { write() {} }

  it.each([
    ["no sink", {}, TypeError, "decisionLog must be a sink with write(entries)"],
    ["a sink that does not write", { sink: {} }, TypeError, "decisionLog must be a sink"],
    ["nothing", null, TypeError, "decisionLog must be a sink"],
    ["a share in percent", { sink, sample: 5 }, RangeError, "decisionLog.sample must be from 0 to 1, got 5"],
    ["a share that is none", { sink, sample: NaN }, RangeError, "decisionLog.sample"],
    ["a redaction that is none", { sink, redact: "input" }, TypeError, "decisionLog.redact must be a function"],
    ["no room", { sink, queue: 0 }, RangeError, "decisionLog.queue must be an integer of at least 1, got 0"],
    ["half a place", { sink, queue: 1.5 }, RangeError, "decisionLog.queue"],
  ])("refuse %s", (_, decisionLog, type, message) => {
    const make = () => harness({}, stateWith(), { decisionLog: decisionLog as never })
    expect(make).toThrow(type)
    expect(make).toThrow(message)
  })
})
