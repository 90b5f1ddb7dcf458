import * as sdk from "@openai/agents"
import type { FunctionTool, Model } from "@openai/agents"
import { describe, expect, expectTypeOf, it } from "vitest"
import { guardTool, guardTools, toolErrorFormatter } from "serin/adapters/openai-agents"
import type { RunContext } from "serin/adapters/openai-agents"
import { ASKED, starterTests, type Answer } from "../cli/starter-code.js"
import { adapterContract, contractGuard, REASONS } from "./contract.js"
import { agentsPlayer, toldTo } from "./openai-agents-agent.js"
import type { Calls } from "./openai-agents-agent.js"

const { Agent, Runner, RunState, setTracingDisabled, toolNamespace, Usage, webSearchTool } = sdk
setTracingDisabled(true)

const { modelOf, made, toolsOf, runnerOf, play } = agentsPlayer(sdk)

adapterContract({ framework: "OpenAI Agents SDK 0.12", play })

starterTests("the OpenAI Agents SDK", ["@openai/agents"], async ({ answer }) => {
  const texts: string[] = []
  let turn = 0
  const model: Model = {
    async getResponse({ input }) {
      const last = [input].flat().at(-1)
      if (typeof last === "object" && last.type === "function_call_result") {
        const { output } = last
        texts.push(typeof output === "object" && "text" in output ? output.text : String(output))
      }
      const asked = ASKED[turn++]
      if (asked === undefined) {
        const content = [{ type: "output_text" as const, text: "done" }]
        return { usage: new Usage(), output: [{ type: "message", role: "assistant", status: "completed", content }] }
      }
      const call = { type: "function_call", status: "completed", callId: `call-${turn}`, name: asked.tool } as const
      return { usage: new Usage(), output: [{ ...call, arguments: JSON.stringify(asked.input) }] }
    },
    getStreamedResponse() {
      throw new Error("nothing streams here")
    },
  }
  expect(await (answer as Answer)(model, "conversation-1", "go")).toBe("done")
  return texts
})

const pay: Calls = [{ tool: "pay", text: "a" }]
const escalations = (events: ReturnType<typeof contractGuard>["events"]) =>
  events.flatMap((event) => (event.type === "escalation" ? [[event.approved, event.by]] : []))

/** Invoke a tool as a runtime does. */
const invoke = async (one: FunctionTool, { approved, signal }: { approved?: boolean; signal?: AbortSignal } = {}) => {
  const runContext: RunContext = { context: { sessionId: "s" }, isToolApproved: () => approved }
  const toolCall = { type: "function_call", name: one.name, callId: "1", arguments: "", status: "completed" } as const
  return one.invoke(runContext as never, '{"text":"a"}', { toolCall, ...(signal && { signal }) })
}

describe("function tools of the OpenAI Agents SDK", () => {
  it("stay the objects that they are, and what is no function tool is told of", () => {
    const { guard, events } = contractGuard()
    const tools = [made("read", () => 1), webSearchTool()]
    const guarded = guardTools(guard, tools)
    expectTypeOf(guarded).toEqualTypeOf<typeof tools>()
    expect(guarded).toBe(tools)
    expect(events).toEqual([
      expect.objectContaining({ what: "unguarded_tools", message: expect.stringContaining("web_search") }),
    ])
    const one = made("read", () => 1)
    expect(guardTool(guard, one)).toBe(one)
    expect(() => guardTool(guard, one)).toThrow(/guarded already/)
  })

  it("need approval where they say so themselves, and are denied all the same", async () => {
    const { guard, events } = contractGuard()
    const ran: string[] = []
    const own = (name: string, needsApproval: unknown): FunctionTool =>
      made(name, ({ text }) => ran.push(`${name}: ${text}`), { needsApproval })
    const tools = guardTools(guard, [own("read", true), own("erase", async () => true), own("pay", async () => false)])
    const model = modelOf([{ tool: "read", text: "a" }, { tool: "erase", text: "a" }, ...pay])
    const agent = new Agent({ name: "agent", tools })
    const askedFor: string[] = []
    let result = await runnerOf(model).run(agent, "go")
    while (result.interruptions.length > 0) {
      askedFor.push(...result.interruptions.map(({ toolName }) => toolName ?? ""))
      for (const interruption of result.interruptions) result.state.approve(interruption)
      result = await runnerOf(model).run(agent, result.state)
    }
    expect(askedFor).toEqual(["read", "erase", "pay"])
    expect(ran).toEqual(["read: a", "pay: a"])
    expect(toldTo(model)[1]).toContain(REASONS.erase)
    expect(escalations(events)).toEqual([[true, "runtime"]])
  })

  it("that are escalated are not run by who asked nobody", async () => {
    const { guard } = contractGuard()
    let ran = 0
    const one = guardTool(
      guard,
      made("pay", () => ++ran),
    )
    expect(await invoke(one)).toMatch(/was not approved/)
    expect(await invoke(one, { approved: false })).toMatch(/was not approved/)
    expect(await one.invoke({ context: {}, isToolApproved: () => true } as never, "{}")).toMatch(/was not approved/)
    expect(ran).toBe(0)
    expect(await invoke(one, { approved: true })).toBe(1)
  })

  it("that a person refuses tell the model so, once the formatter is given to the runner, and the guard", async () => {
    const { guard, events } = contractGuard()
    const model = modelOf(pay)
    const agent = new Agent({ name: "agent", tools: guardTools(guard, toolsOf([]), { session: "s" }) })
    const { state, interruptions } = await runnerOf(model).run(agent, "go")
    state.reject(interruptions[0]!)
    await runnerOf(model).run(agent, state)
    expect(toldTo(model)).toEqual([expect.stringMatching(/was not approved .*Do not retry the same call/)])
    expect(escalations(events)).toEqual([[false, "runtime"]])
    expect(toolErrorFormatter({ toolName: "pay", callId: "other", runContext: {} })).toBeUndefined()
  })

  it("go on in another process, where a refusal is told in the SDK's own words", async () => {
    for (const approve of [true, false]) {
      const model = modelOf(pay)
      const started = (): { agent: sdk.Agent; ran: string[] } => {
        const ran: string[] = []
        const { guard } = contractGuard()
        return { agent: new Agent({ name: "agent", tools: guardTools(guard, toolsOf(ran), { session: "s" }) }), ran }
      }
      const first = await runnerOf(model).run(started().agent, "go")
      const { agent, ran } = started()
      const state = await RunState.fromString(agent, first.state.toString())
      const [interruption] = state.getInterruptions()
      if (approve) state.approve(interruption!)
      else state.reject(interruption!)
      await runnerOf(model).run(agent, state)
      expect(ran).toEqual(approve ? ["pay: a"] : [])
      expect(toldTo(model)).toEqual([approve ? "pay: a" : "Tool execution was not approved."])
    }
  })

  it("may be agents, whose own escalated calls are asked about in another process", async () => {
    const ran: string[] = []
    const outerModel = modelOf([{ tool: "clerk", text: "" }])
    const innerModel = modelOf(pay)
    const started = (): sdk.Agent => {
      const { guard } = contractGuard()
      const options = { session: "s" }
      const inner = new Agent({ name: "inner", model: innerModel, tools: guardTools(guard, toolsOf(ran), options) })
      const clerk = inner.asTool({ toolName: "clerk", toolDescription: "", runConfig: { tracingDisabled: true } })
      return new Agent({ name: "outer", model: outerModel, tools: guardTools(guard, [clerk], options) })
    }
    // An agent that is a tool reads its input as `input`.
    const getResponse = outerModel.getResponse.bind(outerModel)
    outerModel.getResponse = async (request) => {
      const response = await getResponse(request)
      for (const item of response.output) if (item.type === "function_call") item.arguments = '{"input":"pay"}'
      return response
    }
    const runner = new Runner({ tracingDisabled: true })
    const first = await runner.run(started(), "go")
    expect(first.interruptions).toHaveLength(1)
    const again = started()
    const state = await RunState.fromString(again, first.state.toString())
    for (const interruption of state.getInterruptions()) state.approve(interruption)
    await runner.run(again, state)
    expect(ran).toEqual(["pay: a"])
    expect(toldTo(outerModel)).toEqual(["done"])
  })

  it("may have a namespace, with which the SDK keeps approvals", async () => {
    const { guard, events } = contractGuard()
    const one = guardTool(
      guard,
      made("pay", () => "paid"),
      { session: "s" },
    )
    const tools = toolNamespace({ name: "shop", description: "shop", tools: [one] })
    const model = modelOf(pay)
    const named: Model = {
      ...model,
      async getResponse(request) {
        const response = await model.getResponse(request)
        for (const item of response.output) if (item.type === "function_call") item.namespace = "shop"
        return response
      },
    }
    const agent = new Agent({ name: "agent", tools })
    const { state, interruptions } = await runnerOf(named).run(agent, "go")
    state.approve(interruptions[0]!)
    await runnerOf(named).run(agent, state)
    expect(toldTo(model)).toEqual(["paid"])
    expect(escalations(events)).toEqual([[true, "runtime"]])
  })

  it("do not run any more when their time ran out while a person was asked", async () => {
    const { guard } = contractGuard()
    let ran = 0
    let say: (approved: boolean) => void = () => undefined
    const channel = (): Promise<boolean> => new Promise((resolve) => (say = resolve))
    const one = guardTool(
      guard,
      made("pay", () => ++ran),
      { escalate: channel },
    )
    const timeout = new AbortController()
    const answer = invoke(one, { signal: timeout.signal })
    timeout.abort(new Error("out of time"))
    say(true)
    await expect(answer).rejects.toThrow("out of time")
    expect(ran).toBe(0)
  })

  it("belong to the session around them where the context has none", async () => {
    const { guard, sessions } = contractGuard()
    const agent = new Agent({ name: "agent", tools: guardTools(guard, toolsOf([])) })
    await guard.withSession("around", () => runnerOf(modelOf([{ tool: "read", text: "a" }])).run(agent, "go"))
    expect(sessions).toEqual(["around"])
  })

  it("hand on a structure as it is when it is scanned", async () => {
    const { guard } = contractGuard()
    const image = { type: "image", image: "data:," }
    const one = guardTool(
      guard,
      made("read", () => image),
      { scanOutput: true },
    )
    expect(await invoke(one)).toBe(image)
  })
})
