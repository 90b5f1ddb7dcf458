import { describe, expect, it } from "vitest"
import type { Call, ToolPort } from "serin"
import { BEHAVIOURS } from "../adapters/behaviours.js"
import { adapterContract, BROKEN, contractGuard } from "../adapters/contract.js"
import type { Played, Scenario } from "../adapters/contract.js"
import { hasFramework, importFramework, skipNote } from "./frameworks.js"
import { runRecipe } from "./recipes.js"

interface Agent {
  readonly sessionId: string
  addHook(event: unknown, hook: (event: { cancel: string }) => unknown): void
  invoke(prompt: string): Promise<unknown>
  stream(prompt: string): AsyncIterable<unknown>
}
interface Message {
  readonly content: readonly {
    readonly type: string
    readonly toolUseId?: string
    readonly content?: readonly { text?: string }[]
  }[]
}
/** What is used of Strands, which is not there for the compiler. */
interface Strands {
  readonly Agent: new (options: object) => Agent
  readonly Model: new () => object
  readonly FunctionTool: new (options: object) => object
  readonly BeforeToolCallEvent: unknown
  readonly SessionManager: new (options: object) => object
}
interface Recipe {
  guardAgent(agent: Agent, port: ToolPort<Call, object>): void
}

const PACKAGE = "@strands-agents/sdk"

async function begin() {
  const { guardAgent } = (await runRecipe(PACKAGE)) as Recipe
  const sdk = (await importFramework(`${PACKAGE}/dist/src/index.node.js`)) as Strands
  const { Agent, Model, FunctionTool } = sdk

  /** An agent whose model makes one call after the other, and then ends. */
  function agentOf(calls: Scenario["calls"], more: object = {}) {
    const ran: string[] = []
    const read = new Map<string, string>()
    let turn = 0
    class Clerk extends Model {
      updateConfig(): void {}
      getConfig(): object {
        return { modelId: "fake" }
      }
      async *stream(messages: readonly Message[]): AsyncGenerator<object> {
        for (const part of messages.flatMap(({ content }) => content)) {
          if (part.type !== "toolResultBlock") continue
          read.set(part.toolUseId ?? "", (part.content ?? []).map(({ text }) => text).join())
        }
        const call = calls[turn++]
        const start = call && { type: "toolUseStart", name: call.tool, toolUseId: `call-${turn}` }
        const input = JSON.stringify({ text: call?.text })
        yield { type: "modelMessageStartEvent", role: "assistant" }
        yield { type: "modelContentBlockStartEvent", ...(start && { start }) }
        const delta = call ? { type: "toolUseInputDelta", input } : { type: "textDelta", text: "done" }
        yield { type: "modelContentBlockDeltaEvent", delta }
        yield { type: "modelContentBlockStopEvent" }
        yield { type: "modelMessageStopEvent", stopReason: call ? "toolUse" : "endTurn" }
      }
    }
    const named = (name: string): object => {
      const inputSchema = { type: "object", properties: { text: { type: "string" } } }
      const callback = async ({ text }: { text: string }): Promise<string> => {
        ran.push(`${name}: ${text}`)
        if (text === "fail") throw new Error(BROKEN)
        return `${name}: ${text}`
      }
      return new FunctionTool({ name, description: name, inputSchema, callback })
    }
    const tools = ["read", "pay", "erase", "crash"].map(named)
    return { ran, read, turns: () => turn, agent: new Agent({ model: new Clerk(), tools, printer: false, ...more }) }
  }

  async function play({ guard, calls, options, conversation, streamed }: Scenario): Promise<Played> {
    const storage = { write: async () => {}, read: async () => null, delete: async () => {}, list: async () => [] }
    const sessionManager = conversation && new sdk.SessionManager({ sessionId: conversation, storage })
    const { agent, ran, read, turns } = agentOf(calls, sessionManager ? { sessionManager } : {})
    guardAgent(agent, guard.toolPort("strands", options))
    if (streamed === true) for await (const event of agent.stream("go")) void event
    else await agent.invoke("go")
    expect(turns(), "the agent goes on as long as its model does, and no longer").toBe(calls.length + 1)
    return { ran, asked: 0, read: [...read.values()] }
  }
  return { sdk, agentOf, guardAgent, play }
}

if (hasFramework(PACKAGE)) {
  describe("the recipe for Strands", async () => {
    const { sdk, agentOf, guardAgent, play } = await begin()
    const lacks = { pause: "not in it", refused: "not in it", scanned: "not in it" }
    adapterContract({ framework: "Strands 1, the recipe", lacks, play })

    it("judges what another hook made of the call, and lets its refusal stand", async () => {
      const { guard } = contractGuard()
      const { agent, ran, read } = agentOf([
        { tool: "read", text: "a" },
        { tool: "pay", text: "a" },
      ])
      guardAgent(agent, guard.toolPort("strands", { session: "s", escalate: "allow" }))
      agent.addHook(sdk.BeforeToolCallEvent, (event) => {
        const use = (event as unknown as { toolUse: { name: string } }).toolUse
        if (use.name === "pay") event.cancel = "not today"
        else use.name = "erase"
      })
      await agent.invoke("go")
      expect(ran).toEqual([])
      expect([...read.values()]).toEqual([expect.stringContaining("erasing is not for agents"), "not today"])
    })

    it("never throws, because Strands runs a tool whose hook throws while it streams", async () => {
      const { agent, ran } = agentOf([
        { tool: "read", text: "a" },
        { tool: "read", text: "b" },
      ])
      agent.addHook(sdk.BeforeToolCallEvent, () => {
        throw new Error("a hook that throws")
      })
      const stream = async (): Promise<void> => {
        for await (const event of agent.stream("go")) void event
      }
      await expect(stream()).rejects.toThrow("a hook that throws")
      expect(ran).toContain("read: b")
    })
  })
} else {
  skipNote(PACKAGE, Object.keys(BEHAVIOURS).length)
  it.skip("the recipe for Strands", () => {})
}
