import * as ai from "ai"
import type { ToolSet } from "ai"
import { convertArrayToReadableStream, MockLanguageModelV3 } from "ai/test"
import { describe, expect, expectTypeOf, it } from "vitest"
import { guardTools, toolApproval } from "serin/adapters/ai"
import type { AiOptions, ApprovalQuestion } from "serin/adapters/ai"
import { ASKED, starterTests, type Answer } from "../cli/starter-code.js"
import { aiPlayer, answersIn, streamParts } from "./ai-agent.js"
import type { AiSdk } from "./ai-agent.js"
import { adapterContract, contractGuard, REASONS } from "./contract.js"

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
}
const finishReason = { unified: "stop", raw: "stop" } as const

const sdk: AiSdk = {
  ai,
  model: (next) =>
    new MockLanguageModelV3({
      doGenerate: async ({ prompt }) => ({ content: next(prompt) as never, finishReason, usage, warnings: [] }),
      doStream: async ({ prompt }) => ({
        stream: convertArrayToReadableStream(streamParts(next(prompt), { finishReason, usage })) as never,
      }),
    }),
}

const play = aiPlayer(sdk, (tools, { guard, options }) =>
  "evaluate" in guard ? guardTools(guard as never, tools, options as AiOptions) : tools,
)
adapterContract({ framework: "AI SDK 6", play })

starterTests("the AI SDK", ["ai"], async ({ answer }) => {
  const read = new Map<string, string>()
  let turn = 0
  const model = sdk.model((prompt) => {
    for (const [id, text] of answersIn(prompt)) read.set(id, text)
    const call = ASKED[turn++]
    if (call === undefined) return [{ type: "text", text: "done" }]
    const { tool: toolName, input } = call
    return [{ type: "tool-call", toolCallId: `call-${turn}`, toolName, input: JSON.stringify(input) }]
  })
  expect(await (answer as Answer)(model, "conversation-1", "go")).toBe("done")
  return [...read.values()]
})

const anything = ai.jsonSchema<{ text: string }>({ type: "object" })
const asked = (id = "1", messages: unknown[] = []): never => ({ toolCallId: id, messages }) as never

describe("tools of the AI SDK", () => {
  it("keep their types, what else they have, and `this`", async () => {
    const { guard } = contractGuard()
    const tools = {
      read: ai.tool({ description: "reads", inputSchema: anything, execute: ({ text }) => text.length }),
      later: ai.tool({ description: "elsewhere", inputSchema: anything, outputSchema: anything }),
    }
    const guarded = guardTools(guard, tools)
    expectTypeOf(guarded).toEqualTypeOf<typeof tools>()
    expect(guarded.read.description).toBe("reads")
    expect(guarded.later).toBe(tools.later)
    expect(guarded.read.execute?.({ text: "abc" }, asked())).toBe(3)
    class Counter {
      readonly inputSchema = anything
      #count = 0
      execute(): number {
        return ++this.#count
      }
    }
    const counter = guardTools(guard, { read: new Counter() }).read
    expect([counter.execute(), counter.execute(), counter instanceof Counter]).toEqual([1, 2, true])
  })

  it("that are not run here are told of", () => {
    const { guard, events } = contractGuard()
    guardTools(guard, { browser: ai.tool({ inputSchema: anything, outputSchema: anything }) })
    expect(events).toEqual([
      expect.objectContaining({ type: "misuse", what: "unguarded_tools", message: expect.stringContaining("browser") }),
    ])
  })

  it("stay generators, whose items are shown as they come", async () => {
    async function* execute({ text }: { text: string }): AsyncGenerator<string> {
      yield "working"
      yield `done ${text}`
    }
    for (const { guard } of [contractGuard(), contractGuard(false, true)]) {
      const tools: ToolSet = { read: ai.tool({ inputSchema: anything, execute }) }
      const preliminary: unknown[] = []
      let turn = 0
      const model = sdk.model(() => {
        if (turn++ > 0) return [{ type: "text", text: "done" }]
        return [{ type: "tool-call", toolCallId: "1", toolName: "read", input: `{"text":"a"}` }]
      })
      const result = ai.streamText({
        model: model as never,
        tools: guardTools(guard as never, tools),
        prompt: "go",
        stopWhen: ai.stepCountIs(3),
      })
      for await (const part of result.fullStream) if (part.type === "tool-result") preliminary.push(part.output)
      expect(preliminary).toEqual(["working", "done a", "done a"])
    }
  })

  it("never send a generator to the model as an empty object, also not one of a plain function", async () => {
    const { guard } = contractGuard(false, true)
    const execute = (): AsyncGenerator<string> =>
      (async function* () {
        yield "working"
        yield "done"
      })()
    const { read } = guardTools(guard, { read: ai.tool({ inputSchema: anything, execute }) })
    expect(await read.execute?.({ text: "a" }, asked())).toBe("done")
  })

  it("need approval where they say so themselves, whatever the guard says", async () => {
    const { guard } = contractGuard()
    const needs = (needsApproval: boolean | (() => boolean)) =>
      guardTools(guard, {
        read: ai.tool({ inputSchema: anything, needsApproval, execute: () => 1 }),
        pay: ai.tool({ inputSchema: anything, needsApproval, execute: () => 1 }),
      })
    const ask = async (tools: ReturnType<typeof needs>, name: "read" | "pay"): Promise<unknown> => {
      const { needsApproval } = tools[name]
      return typeof needsApproval === "function" ? needsApproval({ text: "a" }, asked()) : needsApproval
    }
    expect(await ask(needs(true), "read")).toBe(true)
    expect(
      await ask(
        needs(() => true),
        "read",
      ),
    ).toBe(true)
    expect(await ask(needs(false), "read")).toBe(false)
    expect(await ask(needs(false), "pay")).toBe(true)
  })

  it("that are escalated are not run by who asked nobody", () => {
    const { guard } = contractGuard()
    let ran = 0
    const { pay } = guardTools(guard, { pay: ai.tool({ inputSchema: anything, execute: () => ++ran }) })
    const request = { type: "tool-approval-request", approvalId: "a", toolCallId: "1" }
    const response = { type: "tool-approval-response", approvalId: "a", approved: true }
    const approved = [
      { role: "assistant", content: [request] },
      { role: "tool", content: [response] },
    ]
    const later = [...approved, { role: "user", content: "and now?" }]
    expect(() => pay.execute?.({ text: "a" }, asked("1"))).toThrow(/was not approved/)
    expect(() => pay.execute?.({ text: "a" }, asked("2", approved))).toThrow(/was not approved/)
    expect(() => pay.execute?.({ text: "a" }, asked("1", later))).toThrow(/was not approved/)
    expect(pay.execute?.({ text: "a" }, asked("1", approved))).toBe(1)
  })

  it("that were approved and meanwhile denied come to their execution, which tells the model so", async () => {
    const { guard } = contractGuard()
    const { erase } = guardTools(guard, { erase: ai.tool({ inputSchema: anything, execute: () => 1 }) })
    const messages = [
      { role: "assistant", content: [{ type: "tool-approval-request", approvalId: "a", toolCallId: "1" }] },
      { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a", approved: true }] },
    ]
    const needs = erase.needsApproval as unknown as (input: unknown, options: never) => Promise<boolean>
    expect(await needs({}, asked("1"))).toBe(false)
    expect(await needs({}, asked("1", messages))).toBe(true)
    expect(() => erase.execute?.({ text: "a" }, asked("1", messages))).toThrow(REASONS.erase)
  })

  it("belong to the session around them", async () => {
    for (const streamed of [false, true]) {
      const { guard, sessions } = contractGuard()
      await guard.withSession("around", () =>
        play({ guard, calls: [{ tool: "read", text: "a" }], options: {}, streamed }),
      )
      expect(sessions).toEqual(["around"])
    }
  })
})

describe("toolApproval", () => {
  const { guard } = contractGuard()
  const question = (toolName: string, tools: object = {}): ApprovalQuestion => ({
    toolCall: { toolName, toolCallId: "1", input: {} },
    tools,
    messages: [],
  })
  const own = (needsApproval: unknown): object => ({ read: { needsApproval }, pay: { needsApproval } })

  it("has no opinion on what the guard allows, asks a person on what it escalates, and denies the rest", async () => {
    const approval = toolApproval(guard)
    expect(await approval(question("read"))).toBeUndefined()
    expect(await approval(question("pay"))).toEqual({ type: "user-approval", reason: REASONS.pay })
    expect(await approval(question("erase"))).toMatchObject({ type: "denied", reason: expect.stringMatching(/Do not/) })
  })

  it("goes on asking a tool's own needsApproval, which the SDK then does not", async () => {
    const approval = toolApproval(guard)
    expect(await approval(question("read", own(true)))).toBe("user-approval")
    expect(
      await approval(
        question(
          "read",
          own(async () => true),
        ),
      ),
    ).toBe("user-approval")
    expect(
      await approval(
        question(
          "read",
          own(() => false),
        ),
      ),
    ).toBeUndefined()
    expect(await approval(question("toString"))).toBeUndefined()
  })

  it("keeps what the host's own says, and the stricter of both counts", async () => {
    const status = async (theirs: object, tool: string): Promise<unknown> => {
      const answer = await toolApproval(guard, theirs)(question(tool))
      return typeof answer === "object" ? answer.type : answer
    }
    expect(await status(() => "approved", "read")).toBe("approved")
    expect(await status({ read: "user-approval" }, "read")).toBe("user-approval")
    expect(await status({ read: async () => ({ type: "denied", reason: "no" }) }, "read")).toBe("denied")
    expect(await status(() => "approved", "pay")).toBe("user-approval")
    expect(await status({ erase: "approved" }, "erase")).toBe("denied")
  })
})
