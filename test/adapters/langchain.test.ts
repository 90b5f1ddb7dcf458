import { Command, interrupt, MemorySaver } from "@langchain/langgraph"
import { AIMessage, createAgent, fakeModel, HumanMessage, tool, ToolMessage, toolRetryMiddleware } from "langchain"
import type { BaseMessage } from "langchain"
import { describe, expect, expectTypeOf, it } from "vitest"
import { createGuard } from "serin"
import { guardMiddleware } from "serin/adapters/langchain"
import type { HumanRequest, LangChainOptions, ToolCallRequest } from "serin/adapters/langchain"
import { ASKED, starterTests, type Answer } from "../cli/starter-code.js"
import { adapterContract, BROKEN, contractGuard, REASONS } from "./contract.js"
import type { Played, Scenario } from "./contract.js"
import { fakeState, stateWith } from "../guard/harness.js"

const schema = { type: "object", properties: { text: { type: "string" } }, required: ["text"] } as const
const names = ["read", "pay", "erase", "crash"] as const

function toolsOf(ran: string[]) {
  return names.map((name) =>
    tool(
      async ({ text }: { text: string }) => {
        ran.push(`${name}: ${text}`)
        if (text === "fail") throw new Error(BROKEN)
        return `${name}: ${text}`
      },
      { name, description: name, schema },
    ),
  )
}

/** A model that makes one call after the other, and then ends. */
function modelOf(calls: Scenario["calls"]) {
  return calls
    .reduce(
      (model, { tool: name, text }, i) => model.respondWithTools([{ name, args: { text }, id: `call-${i}` }]),
      fakeModel(),
    )
    .respond(new AIMessage("done"))
}

const toldIn = (messages: readonly BaseMessage[]): string[] =>
  messages.filter((message) => ToolMessage.isInstance(message)).map(({ text }) => text)

async function play({ guard, calls, options, conversation, approve, streamed }: Scenario): Promise<Played> {
  const ran: string[] = []
  const middleware = [guardMiddleware(guard as never, { ...options, ToolMessage })]
  const model = modelOf(calls)
  const checkpointer = new MemorySaver()
  const agent = createAgent({ model, tools: toolsOf(ran), middleware, checkpointer })
  const config = { configurable: { thread_id: conversation ?? "thread" } }
  let input: Command | { messages: HumanMessage[] } = { messages: [new HumanMessage("go")] }
  for (let asked = 0; ; asked++) {
    if (streamed === true) for await (const _ of await agent.stream(input as never, config));
    else await agent.invoke(input as never, config)
    const state = await agent.graph.getState(config)
    if (!state.tasks.some(({ interrupts }) => interrupts.length > 0)) {
      // What the model was shown last, rather than what is kept.
      const read = toldIn(model.calls.at(-1)?.messages ?? [])
      return { ran, asked, read }
    }
    input = new Command({ resume: { decisions: [{ type: approve === true ? "approve" : "reject" }] } })
  }
}

adapterContract({ framework: "LangChain 1", play })

starterTests("LangChain", ["langchain"], async ({ answer }) => {
  const model = ASKED.reduce(
    (made, { tool: name, input }, i) => made.respondWithTools([{ name, args: { ...input }, id: `call-${i}` }]),
    fakeModel(),
  ).respond((messages) => new AIMessage(toldIn(messages).join("\n")))
  return (await (answer as Answer)(model, "conversation-1", "go")).split("\n")
})

const go = { messages: [new HumanMessage("go")] }
const plain = (run: (input: { text: string }) => unknown) =>
  tool(run as never, { name: "read", description: "", schema })

/** Put one call to the middleware itself. */
async function put(
  name: string,
  options: Partial<LangChainOptions> = {},
  runtime: ToolCallRequest["runtime"] = {},
  output: unknown = new ToolMessage({ content: "ran", tool_call_id: "1" }),
  guard = contractGuard().guard,
): Promise<ToolMessage> {
  const { wrapToolCall } = guardMiddleware(guard, { session: "s", ToolMessage, ...options })
  const request = { toolCall: { id: "1", name, args: { text: "a" } }, state: {}, runtime }
  return (await wrapToolCall?.(request as never, () => output as never)) as ToolMessage
}

describe("the middleware for LangChain", () => {
  it("stands beside others in an agent, whose types it leaves as they are", async () => {
    const { guard } = contractGuard()
    const guarded = createAgent({
      model: modelOf([]),
      tools: [],
      middleware: [guardMiddleware(guard, { ToolMessage })],
    })
    const without = createAgent({ model: modelOf([]), tools: [] })
    expectTypeOf(await guarded.invoke(go)).toEqualTypeOf(await without.invoke(go))
  })

  it("has no opinion on an allowed call: the request is handed on and the answer is the very message", async () => {
    const message = new ToolMessage({ content: "ran", tool_call_id: "1", artifact: { rows: 3 } })
    expect(await put("read", { scanOutput: true }, {}, message)).toBe(message)
  })

  it("answers a denied call with a tool message whose status is error, to the call that it is", async () => {
    const { status, tool_call_id, name, text } = await put("erase")
    expect({ status, tool_call_id, name }).toEqual({ status: "error", tool_call_id: "1", name: "erase" })
    expect(text).toContain(REASONS.erase)
  })

  it("denies an escalated call of an agent without a checkpointer, which could never be resumed", async () => {
    const { guard, events } = contractGuard()
    const ran: string[] = []
    const model = modelOf([{ tool: "pay", text: "a" }])
    const middleware = [guardMiddleware(guard, { ToolMessage })]
    const { messages } = await createAgent({ model, tools: toolsOf(ran), middleware }).invoke(go)
    expect(toldIn(messages)).toEqual([expect.stringMatching(/cannot be approved here/)])
    expect(ran).toEqual([])
    expect(events).toContainEqual(expect.objectContaining({ type: "escalation", approved: false, by: "default" }))
  })

  it("asks as LangChain's own middleware for a human in the loop does, and takes nothing but its approval for a yes", async () => {
    const questions: unknown[] = []
    const answered = async (answer: unknown): Promise<string> => {
      const interrupted = (question: HumanRequest): unknown => (questions.push(question), answer)
      const runtime = { configurable: { __pregel_checkpointer: {} }, interrupt: interrupted }
      return (await put("pay", {}, runtime)).text
    }
    const approve = { type: "approve" }
    expect(await answered({ decisions: [approve] })).toBe("ran")
    const others = [true, "approve", null, undefined, approve, { decisions: [] }, { decisions: [approve, approve] }]
    for (const other of [...others, { decisions: [null] }, { decisions: [{ type: "edit" }] }]) {
      expect(await answered(other)).toMatch(/was not approved/)
    }
    expect(questions[0]).toEqual({
      actionRequests: [{ name: "pay", args: { text: "a" }, description: REASONS.pay }],
      reviewConfigs: [{ actionName: "pay", allowedDecisions: ["approve", "reject"] }],
    })
  })

  it("lets a tool interrupt the agent itself, and go on", async () => {
    const { guard, judged } = contractGuard()
    const asks = plain(() => `said ${String(interrupt("which?"))}`)
    const middleware = [guardMiddleware(guard, { ToolMessage })]
    const model = modelOf([{ tool: "read", text: "a" }])
    const agent = createAgent({ model, tools: [asks], middleware, checkpointer: new MemorySaver() })
    const config = { configurable: { thread_id: "1" } }
    expect(await agent.invoke(go, config)).toHaveProperty("__interrupt__")
    const { messages } = await agent.invoke(new Command({ resume: "this" }), config)
    expect(toldIn(messages)).toEqual(["said this"])
    expect(judged()).toBe(1)
  })

  it("tells a model of an input that the schema refuses, and of a tool that there is not, as LangChain does without it", async () => {
    const { guard } = contractGuard()
    const told = async (middleware: ReturnType<typeof guardMiddleware>[]): Promise<string[]> => {
      const model = fakeModel()
        .respondWithTools([{ name: "read", args: { wrong: 1 }, id: "1" }])
        .respondWithTools([{ name: "toString", args: {}, id: "2" }])
        .respondWithTools([{ name: "read", args: { text: "fail" }, id: "3" }])
        .respond(new AIMessage("done"))
      const { messages } = await createAgent({ model, tools: toolsOf([]), middleware }).invoke(go)
      return toldIn(messages).map((text) => text.replace(/\n *at .*/g, ""))
    }
    const without = await told([])
    expect(without).toHaveLength(3)
    expect(await told([guardMiddleware(guard, { ToolMessage })])).toEqual(without)
  })

  it("leaves errors to the middleware around it where it is told to, and judges its tries once", async () => {
    const { guard, judged } = contractGuard()
    let tries = 0
    const flaky = plain(() => {
      if (++tries < 3) throw new Error(BROKEN)
      return "third"
    })
    const retry = toolRetryMiddleware({ maxRetries: 3, initialDelayMs: 0, jitter: false })
    const inner = guardMiddleware(guard, { ToolMessage, session: "s", toolErrors: "throw" })
    const model = modelOf([{ tool: "read", text: "a" }])
    const { messages } = await createAgent({
      model,
      tools: [flaky],
      middleware: [retry, inner] as (typeof inner)[],
    }).invoke(go)
    expect([toldIn(messages), tries, judged()]).toEqual([["third"], 3, 1])
  })

  it("does not tell a model of an agent that was stopped as of a tool that failed", async () => {
    const { guard } = contractGuard()
    const stop = new AbortController()
    const stopped = plain(() => {
      stop.abort(new Error("stopped"))
      throw new Error(BROKEN)
    })
    const model = modelOf([{ tool: "read", text: "a" }])
    const agent = createAgent({ model, tools: [stopped], middleware: [guardMiddleware(guard, { ToolMessage })] })
    await expect(agent.invoke(go, { signal: stop.signal })).rejects.toThrow()
    expect(model.callCount).toBe(1)
  })

  it("takes the session around the agent where it has no thread", async () => {
    const { guard, sessions } = contractGuard()
    const agent = createAgent({
      model: modelOf([{ tool: "read", text: "a" }]),
      tools: toolsOf([]),
      middleware: [guardMiddleware(guard, { ToolMessage })],
    })
    await guard.withSession("around", () => agent.invoke(go))
    expect(sessions).toEqual(["around"])
  })

  it("masks the content of a message and keeps the rest of it", async () => {
    const output = new ToolMessage({ content: "card 4", tool_call_id: "1", name: "read", artifact: [4], id: "m" })
    const masks = {
      name: "cards",
      scan: (text: string) => ({ result: "flagged" as const, findings: [], redacted: text.replace("4", "#") }),
    }
    const guard = createGuard({
      rollout: "demo",
      state: fakeState(stateWith({ ramp: [] })),
      releases: new Map([
        ["1.0.0", { version: "1.0.0", policy: { evaluate: () => "allow" as const }, scanners: [masks] }],
      ]),
    })
    const { text, artifact, tool_call_id, name, id } = await put("read", { scanOutput: true }, {}, output, guard)
    expect({ text, artifact, tool_call_id, name, id }).toEqual({
      text: "card #",
      artifact: [4],
      tool_call_id: "1",
      name: "read",
      id: "m",
    })
  })

  it("looks at the messages that a command brings", async () => {
    const message = new ToolMessage({ content: "the secret", tool_call_id: "1" })
    for (const update of [
      { messages: [message], step: 2 },
      { messages: message },
      [["messages", [message]]],
    ] as const) {
      const command = new Command({ update: update as never, goto: "next" })
      const output = (await put("read", { scanOutput: true }, {}, command)) as unknown as Command
      expect(output).toBeInstanceOf(Command)
      expect(output.goto).toEqual(["next"])
      const [[, messages], ...rest] = output._updateAsTuples() as [[string, ToolMessage[]], ...unknown[]]
      expect(messages.map(({ text }) => text)).toEqual([expect.stringMatching(/was run, .* not allow its output/)])
      expect(rest).toEqual("step" in update ? [["step", 2]] : [])
    }
  })

  it("refuses what it cannot be made of", () => {
    const { guard } = contractGuard()
    expect(() => guardMiddleware(guard, {} as LangChainOptions)).toThrow(/ToolMessage must be the class of langchain/)
    expect(() => guardMiddleware(guard, { ToolMessage, toolErrors: "no" as never })).toThrow(/recover or throw, got no/)
    expect(() => guardMiddleware(guard, { ToolMessage, sesion: "s" } as never)).toThrow(TypeError)
  })
})
