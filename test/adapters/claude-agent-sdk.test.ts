import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createGuard } from "serin"
import type { Call, Evaluation, Guard, GuardEvent, Scanner } from "serin"
import { guardHooks, mergeHooks } from "serin/adapters/claude-agent-sdk"
import type { ClaudeOptions, HookMap } from "serin/adapters/claude-agent-sdk"
import { fakeClock } from "serin/testing"
import { fakeState, harness, idOn, release, stateWith, T0 } from "../guard/harness.js"
import { runs } from "../runs.js"
import { adapterContract, BROKEN } from "./contract.js"
import { hostHook, runAgent } from "./claude-agent.js"
import type { AgentOptions, AgentTool } from "./claude-agent.js"

const PAY = "mcp__shop__pay"

/** The contract as the SDK keeps it by its hooks; test/frameworks has the SDK itself keep it. */
adapterContract({
  framework: "Claude Agent SDK",
  async play({ guard, calls, options, conversation, approve }) {
    const ran: string[] = []
    let asked = 0
    const named = (name: string): AgentTool => ({
      run({ text: said }) {
        ran.push(`${name}: ${String(said)}`)
        if (said === "fail") throw new Error(BROKEN)
        return [{ type: "text", text: `${name}: ${String(said)}` }]
      },
    })
    const { read } = await runAgent({
      hooks: guardHooks(guard as Guard, { ...options, action: (tool) => tool.replace("mcp__shop__", "") }),
      tools: Object.fromEntries(["read", "pay", "erase", "crash"].map((name) => [`mcp__shop__${name}`, named(name)])),
      turns: calls.map(({ tool, text: said }) => [{ tool: `mcp__shop__${tool}`, input: { text: said } }]),
      canUseTool: () => (asked++, approve === true),
      ...(conversation !== undefined && { sessionId: conversation }),
    })
    return { ran, read, asked }
  },
})

const byAmount = ({ action, input }: Call): Evaluation => {
  const { amount } = (input ?? {}) as { amount?: number }
  if (action === "crash") throw new Error("password of the database")
  if (amount === undefined || amount <= 100) return "allow"
  return { outcome: amount > 1000 ? "deny" : "escalate", reason: amount > 1000 ? "above 1000" : "above 100" }
}

const secrets: Scanner = {
  name: "secrets",
  scan(text) {
    if (text.includes("secret")) return { result: "blocked", findings: [{ category: "secret", message: "it" }] }
    const redacted = text.replaceAll("4111", "[card]")
    return redacted === text ? { result: "clean" } : { result: "flagged", findings: [{ category: "pii" }], redacted }
  },
}

function stableGuard() {
  const sessions: string[] = []
  const evaluate = (call: Call, { sessionId }: { sessionId: string }): Evaluation => {
    sessions.push(sessionId)
    return byAmount(call)
  }
  const releases = new Map([["1.0.0", { version: "1.0.0", policy: { evaluate }, scanners: [secrets] }]])
  return { sessions, ...harness({}, stateWith({ ramp: [] }), { releases }) }
}

const text = (value: string): AgentTool => ({ run: () => [{ type: "text", text: value }] })
const pay = (amount: unknown, tool = PAY) => [{ tool, input: { amount } }]
const escalations = (events: readonly GuardEvent[]) =>
  events.flatMap((event) => (event.type === "escalation" ? [[event.approved, event.by]] : []))

/** An agent that pays, and what came of it. */
async function play(hooks: HookMap, more: Partial<AgentOptions> = {}) {
  let paid = 0
  const tools = { [PAY]: { run: () => (paid++, [{ type: "text", text: "paid" }]) } }
  const run = await runAgent({ tools, turns: [pay(5)], hooks, ...more })
  return { ...run, paid }
}

describe("hooks of the Claude Agent SDK", () => {
  it("have no opinion on an allowed call, so that nothing of the SDK's own permissions is skipped", async () => {
    const { guard } = stableGuard()
    const hooks = guardHooks(guard)
    const input = { session_id: "s", tool_name: PAY, tool_input: { amount: 5 }, tool_use_id: "1" }
    const { signal } = new AbortController()
    expect(await hooks.PreToolUse[0]!.hooks[0]!(input, "1", { signal })).toEqual({})
    expect(await play(hooks)).toEqual({ paid: 1, read: ["paid"], stopped: null })
  })

  it("deny a call before it runs, also beside a hook of the host's that allows it, and tell the model not to retry", async () => {
    const allows = hostHook("PreToolUse", { hookSpecificOutput: { permissionDecision: "allow" } })
    for (const [first, second] of [
      [guardHooks(stableGuard().guard), allows],
      [allows, guardHooks(stableGuard().guard)],
    ] as const) {
      const { paid, read } = await play(mergeHooks<HookMap>(first, second), { turns: [pay(5000)] })
      expect(paid).toBe(0)
      expect(read[0]).toMatch(/above 1000.*Do not retry the same call/)
    }
  })

  it("put an escalated call to canUseTool, and tell of its answer", async () => {
    for (const approved of [true, false]) {
      const { guard, events } = stableGuard()
      const asked: string[] = []
      const canUseTool = (tool: string): boolean => (asked.push(tool), approved)
      const { paid } = await play(guardHooks(guard), { turns: [pay(500)], canUseTool })
      expect({ paid, asked }).toEqual({ paid: approved ? 1 : 0, asked: [PAY] })
      expect(escalations(events)).toEqual([[approved, "runtime"]])
    }
  })

  it("tell of an approval also when the tool fails then", async () => {
    const { guard, events } = stableGuard()
    const run = (): never => {
      throw new Error("no money")
    }
    const more = { turns: [pay(500)], tools: { [PAY]: { run } }, canUseTool: () => true }
    expect((await play(guardHooks(guard), more)).read).toEqual(["no money"])
    expect(escalations(events)).toEqual([[true, "runtime"]])
  })

  it("say why, where there is no canUseTool and the SDK denies what a hook asks about", async () => {
    const { guard, events } = stableGuard()
    const { paid, read } = await play(guardHooks(guard), { turns: [pay(500)] })
    expect(paid).toBe(0)
    expect(read[0]).toMatch(/approval of a person: above 100.*do not retry/)
    expect(escalations(events)).toEqual([[false, "runtime"]])
  })

  it("ask a channel, or nobody, if they are told to", async () => {
    const table = [
      ["deny", 0, [false, "default"]],
      ["allow", 1, [true, "default"]],
      [async () => true, 1, [true, "channel"]],
      [() => false, 0, [false, "channel"]],
    ] as const
    for (const [escalate, paid, told] of table) {
      const { guard, events } = stableGuard()
      const canUseTool = (): never => expect.unreachable("the SDK is not to ask")
      const played = await play(guardHooks(guard, { escalate }), { turns: [pay(500)], canUseTool })
      expect(played.paid).toBe(paid)
      expect(escalations(events)).toEqual([told])
    }
  })

  it("deny when the SDK stops waiting for a channel", async () => {
    const hooks = guardHooks(stableGuard().guard, { escalate: () => new Promise(() => {}) })
    const given = new AbortController()
    const input = { session_id: "s", tool_name: PAY, tool_input: { amount: 500 }, tool_use_id: "1" }
    const answer = hooks.PreToolUse[0]!.hooks[0]!(input, "1", given)
    given.abort()
    const early = await hooks.PreToolUse[0]!.hooks[0]!(input, "2", given)
    for (const { hookSpecificOutput } of [await answer, early]) {
      expect(hookSpecificOutput).toMatchObject({ permissionDecision: "deny" })
    }
  })

  it("deny what a policy, or a function of the host's, throws on, and say nothing of the error to the model", async () => {
    const throws = (): never => {
      throw new Error("password")
    }
    for (const options of [{ action: throws }, { call: throws }, { action: () => "crash" }] as ClaudeOptions[]) {
      const { paid, read } = await play(guardHooks(stableGuard().guard, options))
      expect(paid).toBe(0)
      expect(read[0]).toMatch(/could not be judged/)
      expect(read[0]).not.toContain("password")
    }
  })

  it("judge the action that a tool is mapped to", async () => {
    const seen: unknown[] = []
    const { guard } = harness({ stable: (call) => (seen.push(call), "allow") }, stateWith({ ramp: [] }))
    const action = (tool: string): string => tool.replace("mcp__shop__", "")
    await play(guardHooks(guard, { action }))
    await play(guardHooks(guard), { sessionId: "another" })
    expect(seen).toEqual([
      { action: "pay", input: { amount: 5 } },
      { action: PAY, input: { amount: 5 } },
    ])
  })

  it("take the session that is told, else the SDK's, also of a subagent, else that of withSession", async () => {
    const { guard, sessions } = stableGuard()
    await play(guardHooks(guard), { sessionId: "own", agentId: "sub" })
    await play(guardHooks(guard, { session: "told" }))
    await play(guardHooks(guard, { session: ({ agent_id }) => agent_id }), { agentId: "by function" })
    await guard.withSession("around", () => play(guardHooks(guard), { sessionId: "" }))
    expect(sessions).toEqual(["own", "told", "by function", "around"])
  })

  it("keep the arm of a session over its calls", async () => {
    for (const arm of ["stable", "canary"] as const) {
      const { guard } = harness({ canary: () => "deny" })
      const turns = [pay(1), pay(2)]
      const { paid } = await play(guardHooks(guard), { turns, sessionId: idOn(guard, arm) })
      expect(paid).toBe(arm === "stable" ? 2 : 0)
    }
  })

  it("judge a call once, though it is asked about twice", async () => {
    const { guard, sessions } = stableGuard()
    const hooks = guardHooks(guard)
    await play(mergeHooks(hooks, hooks))
    expect(sessions).toHaveLength(1)
  })

  it("do the same with an asynchronous guard", async () => {
    const guard: Guard<Call, "async"> = createGuard({
      async: true,
      rollout: "demo",
      state: fakeState(stateWith({ ramp: [] })),
      clock: fakeClock(T0),
      releases: new Map([["1.0.0", { ...release("1.0.0", byAmount), scanners: [secrets] }]]),
    })
    const hooks = guardHooks(guard, { scanOutput: true })
    expect((await play(hooks, { turns: [pay(5), pay(5000)] })).paid).toBe(1)
    expect((await play(hooks, { tools: { [PAY]: text("a secret") } })).read[0]).toMatch(/not allow its output/)
  })

  it("refuse options that there are not", () => {
    const { guard } = stableGuard()
    const wrong: [object, RegExp][] = [
      [{ timeoutMs: 0 }, /timeoutMs must be a number of ms above 0, got 0/],
      [{ action: () => "", call: () => ({ action: "" }) }, /action and call/],
      [{ action: "pay" }, /action must be a function/],
      [{ scanOutputs: true }, /scanOutputs/],
    ]
    for (const [options, message] of wrong) expect(() => guardHooks(guard, options)).toThrow(message)
    expect(guardHooks(guard, { timeoutMs: 1500 }).PreToolUse[0]!.timeout).toBe(1.5)
    expect(Object.keys(guardHooks(guard, { escalate: "deny" }))).toEqual(["PreToolUse"])
  })
})

/** A built-in tool that answers in a form of its own. */
const bash = (stdout: string): AgentTool => ({
  run: () => ({ stdout, stderr: "", interrupted: false, status: "done" }),
  isOutput: (output) =>
    typeof (output as { stdout?: unknown }).stdout === "string" && Object.hasOwn(output as object, "status"),
})

describe("outputs of tools of the Claude Agent SDK", () => {
  const scanning = () => guardHooks(stableGuard().guard, { scanOutput: true })

  it("are withheld from the model, of a server's tools and, in their form, of built-in ones", async () => {
    for (const [name, tool] of [
      [PAY, text("a secret")],
      ["Bash", bash("a secret")],
    ] as const) {
      const { read, stopped } = await play(scanning(), { tools: { [name]: tool }, turns: [pay(5, name)] })
      expect(stopped).toBeNull()
      expect(read[0]).toMatch(/was run, .* does not allow its output .* it holds secret.*Do not retry/)
      expect(read[0]).not.toContain("a secret")
    }
  })

  it("are masked", async () => {
    for (const [name, tool] of [
      [PAY, text("card 4111")],
      ["Bash", bash("card 4111")],
    ] as const) {
      const { read } = await play(scanning(), { tools: { [name]: tool }, turns: [pay(5, name)] })
      expect(read[0]).toContain("card [card]")
    }
  })

  it("stop the agent where the SDK would hand on the original all the same", async () => {
    const picky: AgentTool = { ...bash("a secret"), isOutput: () => false }
    const restores = hostHook("PostToolUse", { hookSpecificOutput: { updatedToolOutput: "the secret again" } })
    const failing: AgentTool = {
      run() {
        throw new Error("cannot open the secret")
      },
    }
    const runsOf: Partial<AgentOptions>[] = [
      { tools: { Bash: picky }, turns: [pay(5, "Bash")] },
      { tools: { Bash: { ...picky, run: () => ({ stdout: "4111" }) } }, turns: [pay(5, "Bash")] },
      { tools: { [PAY]: text("a secret") }, hooks: mergeHooks<HookMap>(scanning(), restores) },
      { tools: { [PAY]: failing } },
    ]
    for (const more of runsOf) {
      const { read, stopped } = await play(scanning(), more)
      expect(read).toEqual([])
      expect(stopped).toMatch(/not allow its output|masks/)
    }
  })

  it("are read once, where they are clean", async () => {
    let scans = 0
    const scanner: Scanner = { name: "all", scan: () => (scans++, { result: "clean" }) }
    const releases = new Map([["1.0.0", { ...release("1.0.0", () => "allow"), scanners: [scanner] }]])
    const { guard } = harness({}, stateWith({ ramp: [] }), { releases })
    expect((await play(guardHooks(guard, { scanOutput: true }))).read).toEqual(["paid"])
    expect(scans).toBe(1)
  })

  it("that cannot be read are withheld, and stop the agent in the end", async () => {
    const hooks = scanning()
    const context = { signal: new AbortController().signal }
    for (const event of ["PostToolUse", "PostToolBatch"] as const) {
      expect(await hooks[event]![0]!.hooks[0]!(null, undefined, context)).toMatchObject({ continue: false })
    }
  })
})

describe("a hook of the Claude Agent SDK never throws", () => {
  const { guard } = stableGuard()
  const sets = [guardHooks(guard), guardHooks(guard, { scanOutput: true, action: (tool) => tool.slice(1) })]
  const hooks = sets.flatMap((set) =>
    Object.entries(set).flatMap(([event, matchers]) => matchers.map((matcher) => [event, matcher.hooks[0]!] as const)),
  )
  const trap = new Proxy({}, { get: () => expect.unreachable(), ownKeys: () => expect.unreachable() })
  const odd = fc.oneof(fc.anything({ withNullPrototype: true, withBigInt: true }), fc.constant(trap))
  const input = fc.oneof(
    odd,
    fc.record({
      session_id: odd,
      tool_name: fc.oneof(fc.string(), odd),
      tool_input: odd,
      tool_use_id: odd,
      tool_response: odd,
    }),
    fc.record({ session_id: odd, tool_calls: fc.oneof(fc.array(odd), odd) }),
  )

  it("whatever it is handed, and what is no call of a tool is denied", async () => {
    const property = fc.asyncProperty(input, odd, odd, async (told, id, context) => {
      for (const [event, hook] of hooks) {
        const answer = await hook(told, id as string, context as never)
        const isCall =
          typeof told === "object" &&
          told !== null &&
          told !== trap &&
          "tool_name" in told &&
          typeof told.tool_name === "string"
        if (event === "PreToolUse" && !isCall)
          expect(answer.hookSpecificOutput).toMatchObject({ permissionDecision: "deny" })
        expect(answer).not.toHaveProperty("hookSpecificOutput.permissionDecision", "allow")
      }
    })
    await fc.assert(property, { numRuns: runs(60) })
  })
})

describe("mergeHooks", () => {
  const hook = (name: string) => ({ hooks: [async () => ({ systemMessage: name })] })

  it("keeps every matcher of every set, in order, with all that it has", () => {
    const [a, b, c] = [hook("a"), { ...hook("b"), matcher: "Bash", timeout: 5 }, hook("c")]
    const merged = mergeHooks<HookMap>({ PreToolUse: [a], Stop: [c] }, undefined, { PreToolUse: [b], Setup: undefined })
    expect(merged).toEqual({ PreToolUse: [a, b], Stop: [c] })
    expect(merged["PreToolUse"]![1]).toBe(b)
  })

  it("refuses what are no hooks", () => {
    expect(() => mergeHooks("hooks" as never)).toThrow(/must be an object/)
    expect(() => mergeHooks({ Stop: hook("a") } as never)).toThrow(/hooks of Stop must be an array/)
  })
})
