import { describe, expect, it } from "vitest"
import type { Guard } from "serin"
import { BEHAVIOURS } from "../adapters/behaviours.js"
import { adapterContract, BROKEN } from "../adapters/contract.js"
import type { Played, Scenario } from "../adapters/contract.js"
import { hasFramework, importFramework, skipNote } from "./frameworks.js"
import { runRecipe } from "./recipes.js"

interface Tool {
  readonly id: string
}
/** What is used of Mastra, which is not there for the compiler. */
interface Mastra {
  readonly Agent: new (options: object) => {
    generate(prompt: string, options: object): Promise<unknown>
    stream(prompt: string, options: object): Promise<{ consumeStream(): Promise<void> }>
  }
  createTool(options: object): Tool
}
interface Recipe {
  guardTool<T extends Tool>(guard: Guard, tool: T, options?: object): T
}
interface Message {
  readonly role: string
  readonly content: readonly { readonly toolCallId?: string; readonly output?: { readonly value: unknown } }[]
}

const PACKAGE = "@mastra/core"

async function player(): Promise<(scenario: Scenario) => Promise<Played>> {
  const { guardTool } = (await runRecipe(PACKAGE)) as Recipe
  const { Agent } = (await importFramework(`${PACKAGE}/dist/agent/index.js`)) as Pick<Mastra, "Agent">
  const { createTool } = (await importFramework(`${PACKAGE}/dist/tools/index.js`)) as Pick<Mastra, "createTool">
  const { z } = (await importFramework("zod/index.js")) as { z: { object(of: object): object; string(): object } }

  return async ({ guard, calls, options, conversation, streamed }) => {
    const ran: string[] = []
    const read = new Map<string, string>()
    let turn = 0
    function next(prompt: readonly Message[]): object {
      for (const { toolCallId, output } of prompt.flatMap(({ role, content }) => (role === "tool" ? content : []))) {
        read.set(toolCallId ?? "", String(output?.value))
      }
      const call = calls[turn++]
      if (call === undefined) return { type: "text", text: "done" }
      const input = JSON.stringify({ text: call.text })
      return { type: "tool-call", toolCallId: `call-${turn}`, toolName: call.tool, input }
    }
    const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 }
    const finishReason = "stop"
    const model = {
      specificationVersion: "v2",
      provider: "fake",
      modelId: "fake",
      supportedUrls: {},
      doGenerate: async ({ prompt }: { prompt: readonly Message[] }) => {
        return { content: [next(prompt)], finishReason, usage, warnings: [] }
      },
      doStream: async ({ prompt }: { prompt: readonly Message[] }) => {
        const part = next(prompt) as { type: string; text?: string }
        const said = [
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: part.text },
          { type: "text-end", id: "1" },
        ]
        const parts = [{ type: "stream-start", warnings: [] }, ...(part.type === "text" ? said : [part])]
        return { stream: ReadableStream.from([...parts, { type: "finish", finishReason, usage }]) }
      },
    }
    const named = (name: string) => {
      const inputSchema = z.object({ text: z.string() })
      const execute = async ({ text }: { text: string }): Promise<string> => {
        ran.push(`${name}: ${text}`)
        if (text === "fail") throw new Error(BROKEN)
        return `${name}: ${text}`
      }
      return [
        name,
        guardTool(guard as Guard, createTool({ id: name, description: name, inputSchema, execute }), options),
      ]
    }
    const tools = Object.fromEntries(["read", "pay", "erase", "crash"].map(named)) as object
    const agent = new Agent({ id: "clerk", name: "clerk", instructions: "go", model, tools })
    const memory = conversation === undefined ? {} : { memory: { thread: conversation, resource: "user" } }
    const run = { maxSteps: calls.length + 2, ...memory }
    if (streamed === true) await (await agent.stream("go", run)).consumeStream()
    else await agent.generate("go", run)
    expect(turn, "the agent goes on as long as its model does, and no longer").toBe(calls.length + 1)
    return { ran, asked: 0, read: [...read.values()] }
  }
}

if (hasFramework(PACKAGE)) {
  describe("the recipe for Mastra", async () => {
    const lacks = { pause: "not in it", refused: "not in it" }
    adapterContract({ framework: "Mastra 1, the recipe", lacks, play: await player() })
  })
} else {
  skipNote(PACKAGE, Object.keys(BEHAVIOURS).length - 1)
  it.skip("the recipe for Mastra", () => {})
}
