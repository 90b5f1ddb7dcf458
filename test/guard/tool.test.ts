import { describe, expect, expectTypeOf, it } from "vitest"
import { guardTools } from "serin"
import type { Call, Decision, Evaluation, Scanner } from "serin"
import { createGuard } from "../../src/guard.js"
import type { Guard } from "../../src/guard.js"
import type { GuardEvent } from "../../src/guard/core.js"
import type { GuardOptions } from "../../src/guard/guard-options.js"
import { fakeState, harness, idOn, release, stateWith, T0 } from "./harness.js"
import { fakeClock } from "../../src/testing/fake-clock.js"

const onlyStable = stateWith({ ramp: [] })

/** A policy that answers by the amount: above 100 a person is asked, above 1000 it says no. */
const byAmount = ({ input }: Call): Evaluation => {
  const amount = Number(input)
  if (amount > 1000) return { outcome: "deny", reason: "above 1000." }
  return amount > 100 ? { outcome: "escalate", reason: "above 100" } : "allow"
}
const cards: Scanner = {
  name: "cards",
  scan(text) {
    if (text.includes("secret")) return { result: "blocked", findings: [{ category: "secret", message: "the secret" }] }
    const redacted = text.replace(/\d{13}/g, "[card]")
    return redacted === text ? { result: "clean" } : { result: "flagged", findings: [{ category: "pii" }], redacted }
  },
}

function stableGuard(options: Partial<GuardOptions<Call, "sync">> = {}) {
  const releases = new Map([["1.0.0", { ...release("1.0.0", byAmount), scanners: [cards] }]])
  return harness({}, onlyStable, { releases, ...options })
}

function asyncGuard(events: GuardEvent[] = []): Guard<Call, "async"> {
  return createGuard({
    async: true,
    rollout: "demo",
    state: fakeState(onlyStable),
    clock: fakeClock(T0),
    releases: new Map([
      ["1.0.0", { version: "1.0.0", policy: { evaluate: async (call: Call) => byAmount(call) }, scanners: [cards] }],
    ]),
    onEvent: (event) => void events.push(event),
  })
}

const escalations = (events: readonly GuardEvent[]) => events.filter((event) => event.type === "escalation")
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const item of items) seen.push(item)
  return seen
}

describe("a tool that is guarded", () => {
  it("runs when the call is allowed, with its `this` and its arguments, and answers the very value", () => {
    const { guard } = stableGuard()
    const made = { paid: true }
    const shop = {
      till: "a",
      pay: guard.tool("pay", function (this: { till: string }, amount: number, to: string) {
        return { made, till: this.till, amount, to }
      }),
    }
    expect(shop.pay(5, "b")).toEqual({ made, till: "a", amount: 5, to: "b" })
    expect(shop.pay(5, "b").made).toBe(made)
  })

  it("keeps its type, its name and its length in a synchronous guard", () => {
    const { guard } = stableGuard()
    const pay = (amount: number, _to: string): number => amount
    const guarded = guard.tool("pay", pay)
    expectTypeOf(guarded).toEqualTypeOf<typeof pay>()
    expect([guarded.name, guarded.length]).toEqual(["pay", 2])
  })

  it("shortens a reason between characters, for services refuse a text that ends in half of one", () => {
    for (const lead of ["", "x"]) {
      const deny = (): Evaluation => ({ outcome: "deny", reason: lead + "\u{1f6d1}".repeat(400) })
      const { guard } = stableGuard({ releases: new Map([["1.0.0", release("1.0.0", deny)]]) })
      expect(() => guard.tool("pay", () => {})()).toThrow(/\u{1f6d1}…\. Do not retry/u)
    }
  })

  it("does not run when the call is denied, and throws why, in words for a model", () => {
    const { guard } = stableGuard()
    let ran = 0
    const pay = guard.tool("pay", (amount: number) => (ran++, amount))
    expect(() => pay(5000)).toThrow(
      expect.objectContaining({
        code: "TOOL_DENIED",
        message:
          "The call of pay was not allowed by policy and was not run: above 1000. Do not retry the same call: " +
          "go on without it, or say that it is not possible.",
      }),
    )
    expect(ran).toBe(0)
  })

  it("tells a model nothing of an error, a kill switch's state aside", () => {
    const throwing = stableGuard({
      releases: new Map([
        [
          "1.0.0",
          release("1.0.0", () => {
            throw new Error("password of the database")
          }),
        ],
      ]),
      onStableError: "throw",
    })
    expect(() => throwing.guard.tool("pay", () => 1)()).toThrow(/not run: it could not be judged\./)
    expect(throwing.events.map(({ type }) => type)).toContain("error")
    const { guard } = harness({}, stateWith({ kill: "deny" }))
    expect(() => guard.tool("pay", () => 1)()).toThrow(/every call is denied at present/)
  })

  it("answers what `denied` makes, which is told what and why", () => {
    const { guard } = stableGuard()
    const pay = guard.tool("pay", (amount: number) => `paid ${amount}`, {
      denied: ({ tool, kind, reason, call }) => `${tool} ${kind} ${String(call?.input)} ${reason.length > 0}`,
    })
    expect(pay(5000)).toBe("pay denied 5000 true")
    expect(pay(1)).toBe("paid 1")
  })

  it("belongs to the session that it is told, else to that around it, else to none", () => {
    const sessions: string[] = []
    const { guard, events } = stableGuard({
      releases: new Map([
        [
          "1.0.0",
          { version: "1.0.0", policy: { evaluate: (_, { sessionId }) => (sessions.push(sessionId), "allow") } },
        ],
      ]),
    })
    guard.tool("pay", (_: string) => 1, { session: (to) => to })("a")
    guard.tool("pay", () => 1, { session: "b" })()
    guard.tool("pay", () => 1, { session: () => ({ id: "c", startedAt: T0 }) })()
    guard.withSession("d", () => guard.tool("pay", () => 1)())
    guard.withSession("e", () => guard.tool("pay", () => 1, { session: () => undefined })())
    guard.tool("pay", () => 1)()
    const lost = () => {
      throw new Error("no session")
    }
    guard.withSession("f", () => guard.tool("pay", () => 1, { session: lost })())
    guard.tool("pay", () => 1, { session: (async () => "g") as unknown as () => string })()
    expect(sessions).toEqual(["a", "b", "c", "d", "e", "", "", ""])
    expect(events.filter(({ type }) => type === "misuse")).toHaveLength(1)
  })

  it("keeps the arm of its session from call to call", () => {
    const { guard } = harness({ stable: () => "allow", canary: () => "deny" })
    const pay = guard.tool("pay", (_: string) => "ran", { session: (id) => id, denied: () => "denied" })
    const [stable, canary] = [idOn(guard, "stable"), idOn(guard, "canary")]
    expect([pay(stable), pay(canary), pay(stable), pay(canary)]).toEqual(["ran", "denied", "ran", "denied"])
  })

  it("is judged once for one call id of a session, and runs each time", () => {
    let judged = 0
    const { guard } = stableGuard({
      releases: new Map([["1.0.0", release("1.0.0", () => (judged++, "allow"))]]),
    })
    let ran = 0
    const pay = guard.tool("pay", (_: string) => ++ran, { session: "a", callId: (id) => id })
    pay("1")
    pay("1")
    pay("2")
    expect([judged, ran]).toEqual([2, 3])
  })

  it("judges the call that `call` makes, and is not run where that throws", () => {
    const seen: Call[] = []
    const { guard, events } = stableGuard({
      releases: new Map([["1.0.0", release("1.0.0", (call) => (seen.push(call), "allow"))]]),
    })
    guard.tool("pay", (amount: number, to: string) => `${amount}${to}`)(1, "b")
    guard.tool("pay", (to: string) => to, { call: (to) => ({ action: "transfer", resource: to }) })("b")
    expect(seen).toEqual([
      { action: "pay", input: [1, "b"] },
      { action: "transfer", resource: "b" },
    ])
    const broken = guard.tool("pay", (to: string) => to, {
      call() {
        throw new Error("no call")
      },
    })
    expect(() => broken("b")).toThrow(/could not be judged/)
    expect(events).toContainEqual(expect.objectContaining({ type: "misuse", what: "tool_call" }))
  })

  it("refuses options that there are not, and what is no function", () => {
    const { guard } = stableGuard()
    expect(() => guard.tool("pay", () => 1, { sesion: "a" } as object)).toThrow(
      /no option sesion; did you mean session/,
    )
    expect(() => guard.tool("pay", 1 as unknown as () => void)).toThrow(/tool pay: it must be a function/)
    expect(() => guard.tool("pay", () => 1, { escalate: "ask" as "deny" })).toThrow(/deny or allow, got ask/)
  })
})

describe("a tool that is escalated", () => {
  it("is not run where nobody can be asked, and says so", () => {
    const { guard, events } = stableGuard()
    expect(() => guard.tool("pay", (amount: number) => amount)(500)).toThrow(
      /not run: it needs the approval of a person and cannot be approved here \(above 100\)\./,
    )
    expect(guard.tool("pay", (amount: number) => amount, { escalate: "allow" })(500)).toBe(500)
    expect(escalations(events)).toMatchObject([
      { approved: false, by: "default", sessionId: "" },
      { approved: true, by: "default" },
    ])
  })

  it("is put to the channel, and runs when that says true, and nothing else", () => {
    const { guard, events } = stableGuard()
    const asked: [Decision, Call][] = []
    const answers: unknown[] = [true, false, "yes"]
    const pay = guard.tool("pay", (amount: number) => amount, {
      denied: () => -1,
      escalate: (decision, call) => (asked.push([decision, call]), answers.shift() as boolean),
    })
    expect([pay(500), pay(600), pay(700), pay(5)]).toEqual([500, -1, -1, 5])
    expect(asked[0]).toMatchObject([{ outcome: "escalate" }, { action: "pay", input: 500 }])
    expect(escalations(events).map(({ approved, by }) => [approved, by])).toEqual([
      [true, "channel"],
      [false, "channel"],
      [false, "channel"],
    ])
  })

  it("is not run when the channel throws or rejects, and that is told", async () => {
    const { guard, events } = stableGuard()
    const error = new Error("nobody there")
    const thrown = guard.tool("pay", async (amount: number) => amount, {
      escalate() {
        throw error
      },
    })
    const rejected = guard.tool("pay", async (amount: number) => amount, { escalate: () => Promise.reject(error) })
    await expect(thrown(500)).rejects.toMatchObject({ code: "TOOL_DENIED" })
    await expect(rejected(500)).rejects.toMatchObject({ code: "TOOL_DENIED" })
    expect(escalations(events)).toMatchObject([
      { approved: false, error },
      { approved: false, error },
    ])
  })

  it("asks once for one call, also while the answer is awaited, and never takes it for another's", async () => {
    const { guard } = stableGuard()
    const asked: unknown[] = []
    const pay = guard.tool("pay", async (amount: number, _id: string) => amount, {
      session: "a",
      callId: (_, id) => id,
      call: (amount) => ({ action: "pay", input: amount }),
      escalate: async (_, { input }) => (asked.push(input), true),
    })
    expect(await Promise.all([pay(500, "1"), pay(500, "1")])).toEqual([500, 500])
    await pay(500, "1")
    await pay(500, "2")
    await pay(600, "1")
    expect(asked).toEqual([500, 500, 600])
    const none = guard.tool("pay", async (amount: number) => amount, {
      callId: () => "1",
      escalate: async () => (asked.push("none"), true),
    })
    await none(500)
    await none(500)
    expect(asked.filter((one) => one === "none")).toHaveLength(2)
  })

  it("asks once also where an adapter asks in two places, and each place that has another way in its own", async () => {
    const { guard, events } = stableGuard()
    let asked = 0
    const escalate = async (): Promise<boolean> => ++asked > 0
    const use = { tool: "pay", input: 500, callId: "1" }
    const kinds = async (options: readonly object[]): Promise<string[]> => {
      const ports = options.map((one) => guard.toolPort("adapter", { session: "a", ...one }))
      return (await Promise.all(ports.map((port) => port.decide(use, undefined)))).map(({ kind }) => kind)
    }
    expect(await kinds([{ escalate }, { escalate }, { escalate: "deny" }])).toEqual(["run", "run", "refuse"])
    expect(asked).toBe(1)
    expect(escalations(events)).toHaveLength(2)
  })

  it("is refused at once in lockdown, whatever a person said to it before", async () => {
    const { guard, state } = stableGuard()
    const pay = guard.tool("pay", async (amount: number) => amount, {
      session: "a",
      callId: () => "1",
      escalate: () => true,
    })
    expect(await pay(500)).toBe(500)
    state.set({ ...onlyStable, kill: "deny", revision: onlyStable.revision + 1 })
    await expect(pay(500)).rejects.toThrow(/every call is denied/)
  })
})

describe("the shape of a tool", () => {
  async function* count(to: number): AsyncGenerator<number> {
    for (let i = 1; i <= to; i++) yield i
  }

  it("is kept in a synchronous guard: a value, a promise, a stream, an iterator", async () => {
    const { guard } = stableGuard()
    const streamOf = count(2)
    expect(guard.tool("pay", () => 1)()).toBe(1)
    const promised = Promise.resolve(1)
    expect(guard.tool("pay", () => promised)()).toBe(promised)
    expect(guard.tool("pay", () => streamOf)()).toBe(streamOf)
    expect(await all(guard.tool("count", count)(3))).toEqual([1, 2, 3])
    expect([
      ...guard.tool("pay", function* () {
        yield 1
      })(),
    ]).toEqual([1])
  })

  it("is kept when it is refused: an async function rejects, a stream throws when it is read", async () => {
    const { guard } = stableGuard()
    await expect(guard.tool("pay", async (amount: number) => amount)(5000)).rejects.toMatchObject({
      code: "TOOL_DENIED",
    })
    const items = guard.tool("count", count)(5000)
    await expect(all(items)).rejects.toMatchObject({ code: "TOOL_DENIED" })
    const instead = guard.tool("count", count, { denied: () => count(1) })
    expect(await all(instead(5000))).toEqual([1])
  })

  it("becomes a promise in an asynchronous guard, but for a generator", async () => {
    const guard = asyncGuard()
    const pay = guard.tool("pay", (amount: number) => amount)
    expectTypeOf(pay).toEqualTypeOf<(this: unknown, amount: number) => Promise<number>>()
    expect(await pay(5)).toBe(5)
    await expect(pay(5000)).rejects.toMatchObject({ code: "TOOL_DENIED" })
    const guarded = guard.tool("count", count)
    expectTypeOf(guarded).returns.toEqualTypeOf<AsyncGenerator<number>>()
    expect(await all(guarded(3))).toEqual([1, 2, 3])
    await expect(all(guarded(5000))).rejects.toMatchObject({ code: "TOOL_DENIED" })
  })

  it("must be told of a plain function that answers a generator to an asynchronous guard", async () => {
    const guard = asyncGuard()
    const plain = (to: number): AsyncGenerator<number> => count(to)
    await expect(guard.tool("count", plain)(2)).rejects.toThrow(/pass streams: true/)
    expect(await all(guard.tool("count", plain, { streams: true })(2))).toEqual([1, 2])
    const later = guard.tool("count", async (to: number) => count(to))
    expect(await all(await later(2))).toEqual([1, 2])
  })

  it("passes what is sent into a stream on to it, and its end", async () => {
    const guard = asyncGuard()
    let ended = false
    const echo = guard.tool("echo", async function* (): AsyncGenerator<number, void, number> {
      try {
        let got = yield 0
        for (;;) got = yield got
      } finally {
        ended = true
      }
    })()
    await echo.next()
    expect((await echo.next(7)).value).toBe(7)
    await echo.return(undefined)
    expect(ended).toBe(true)
  })
})

describe("an output that is scanned", () => {
  const options = { scanOutput: true } as const

  it("is handed on untouched when it is clean, masked when it may be, and withheld when it is blocked", async () => {
    const clean = { name: "Ada" }
    for (const guard of [stableGuard().guard, asyncGuard()]) {
      const say = (value: unknown): Promise<unknown> =>
        Promise.resolve((guard as Guard).tool("say", () => value, options)())
      expect(await say(clean)).toBe(clean)
      expect(await say(undefined)).toBeUndefined()
      expect(await say("card 4111111111111")).toBe("card [card]")
      expect(await say({ card: "4111111111111", at: [1] })).toEqual({ card: "[card]", at: [1] })
    }
    const { guard } = stableGuard()
    expect(() => guard.tool("say", () => "the secret", options)()).toThrow(
      expect.objectContaining({
        code: "TOOL_OUTPUT_WITHHELD",
        message: expect.stringMatching(/^The call of say was run, .* it holds secret\. Do not retry/),
      }),
    )
  })

  it("is withheld when it cannot be read as a text, or when masking broke it", async () => {
    const { guard } = stableGuard()
    const cyclic: Record<string, unknown> = {}
    cyclic["self"] = cyclic
    const opaque = [new Map([["a", "secret"]]), { at: new Set(["secret"]) }, Buffer.from("secret"), cyclic, 1n, () => 1]
    const broken = { card: 4111111111111 }
    for (const value of [...opaque, broken]) {
      const kinds: string[] = []
      const say = guard.tool("say", (): unknown => value, { ...options, denied: ({ kind }) => kinds.push(kind) })
      say()
      expect(kinds).toEqual(["withheld"])
    }
  })

  it("is scanned item by item in a stream", async () => {
    const { guard } = stableGuard()
    const say = guard.tool(
      "say",
      async function* () {
        yield "card 4111111111111"
        yield "the secret"
      },
      options,
    )
    const seen: string[] = []
    const reading = (async () => {
      for await (const item of say()) seen.push(item)
    })()
    await expect(reading).rejects.toMatchObject({ code: "TOOL_OUTPUT_WITHHELD" })
    expect(seen).toEqual(["card [card]"])
  })

  it("is not looked at unless that is asked for", () => {
    const { guard } = stableGuard()
    expect(guard.tool("say", () => "the secret")()).toBe("the secret")
  })
})

describe("guardTools", () => {
  it("guards every function of an object, each under its name, and keeps the types", async () => {
    const { guard } = stableGuard()
    const tools = { pay: (amount: number) => amount, say: async (text: string) => text, version: 1 }
    const guarded = guardTools(guard, tools)
    expectTypeOf(guarded).toEqualTypeOf<typeof tools>()
    expect([guarded.pay(5), await guarded.say("a"), guarded.version]).toEqual([5, "a", 1])
    expect(() => guarded.pay(5000)).toThrow(/call of pay/)
    expect(guardTools(asyncGuard(), tools).pay(5)).toBeInstanceOf(Promise)
  })
})

describe("the port of an adapter whose runtime can ask", () => {
  const asks = { asks: true } as const

  it("is told to ask, and then what the person said", () => {
    const { guard, events } = stableGuard()
    const port = guard.toolPort<void>("adapter", { session: "a" }, asks)
    const use = { tool: "pay", input: 500, callId: "1" }
    const ruling = port.decide(use)
    if (ruling instanceof Promise || ruling.kind !== "ask") throw new Error("it was not told to ask")
    expect(ruling.reason).toBe("above 100")
    expect(port.answered(ruling, true).kind).toBe("run")
    expect(port.answered(ruling, false)).toMatchObject({ kind: "refuse", why: "unapproved" })
    expect(escalations(events)).toMatchObject([{ approved: true, by: "runtime", callId: "1", sessionId: "a" }])
  })

  it("takes the runtime's own session where none is told", () => {
    const { guard } = stableGuard()
    const use = { tool: "pay", input: 5 }
    const sessionOf = (port: { decide: ReturnType<typeof guard.toolPort>["decide"] }, own?: string) => {
      const ruling = port.decide(use, undefined, own)
      return ruling instanceof Promise ? "" : ruling.sessionId
    }
    expect(sessionOf(guard.toolPort("adapter", { session: "a" }), "own")).toBe("a")
    expect(guard.withSession("b", () => sessionOf(guard.toolPort("adapter"), "own"))).toBe("own")
    expect(guard.withSession("b", () => sessionOf(guard.toolPort("adapter")))).toBe("b")
    expect(sessionOf(guard.toolPort("adapter"))).toBe("")
  })
})
