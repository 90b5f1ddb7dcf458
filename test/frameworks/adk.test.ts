import { describe, expect, it } from "vitest"
import type { Call, ToolPort } from "serin"
import { BEHAVIOURS } from "../adapters/behaviours.js"
import { adapterContract, BROKEN } from "../adapters/contract.js"
import type { Played, Scenario } from "../adapters/contract.js"
import { hasFramework, importFramework, skipNote } from "./frameworks.js"
import { runRecipe } from "./recipes.js"

interface Content {
  readonly role?: string
  readonly parts?: readonly {
    readonly functionResponse?: { readonly id: string; readonly response: { result?: string; error?: string } }
  }[]
}
type Callback = (asked: object) => Promise<object | undefined>
/** What is used of ADK, which is not there for the compiler. */
interface Adk {
  readonly BaseLlm: new (options: { model: string }) => object
  readonly LlmAgent: new (options: object) => object
  readonly FunctionTool: new (options: object) => object
  readonly InMemoryRunner: new (options: object) => {
    readonly sessionService: { createSession(options: object): Promise<unknown> }
    runAsync(options: object): AsyncIterable<{ readonly errorMessage?: string }>
  }
}
interface Recipe {
  beforeTool(port: ToolPort<Call, object>): Callback
}

const PACKAGE = "@google/adk"

async function begin() {
  const { beforeTool } = (await runRecipe(PACKAGE)) as Recipe
  const { BaseLlm, LlmAgent, FunctionTool, InMemoryRunner } = (await importFramework(
    `${PACKAGE}/dist/esm/index.js`,
  )) as Adk

  async function run(calls: Scenario["calls"], beforeToolCallback: Callback, { sessionId = "own", streams = false }) {
    const ran: string[] = []
    const read = new Map<string, string>()
    let turn = 0
    class Clerk extends BaseLlm {
      async *generateContentAsync({ contents }: { contents: readonly Content[] }): AsyncGenerator<object> {
        for (const { functionResponse } of contents.flatMap(({ parts = [] }) => parts)) {
          const { result, error } = functionResponse?.response ?? {}
          if (functionResponse !== undefined) read.set(functionResponse.id, result ?? error ?? "")
        }
        const call = calls[turn++]
        const functionCall = call && { id: `call-${turn}`, name: call.tool, args: { text: call.text } }
        yield { content: { role: "model", parts: [functionCall ? { functionCall } : { text: "done" }] } }
      }
    }
    const named = (name: string): object => {
      const parameters = { type: "OBJECT", properties: { text: { type: "STRING" } } }
      const execute = async ({ text }: { text: string }): Promise<string> => {
        ran.push(`${name}: ${text}`)
        if (text === "fail") throw new Error(BROKEN)
        return `${name}: ${text}`
      }
      return new FunctionTool({ name, description: name, parameters, execute })
    }
    const tools = ["read", "pay", "erase", "crash"].map(named)
    const model = new Clerk({ model: "fake" })
    const agent = new LlmAgent({ name: "clerk", model, tools, beforeToolCallback })
    const runner = new InMemoryRunner({ agent, appName: "shop" })
    await runner.sessionService.createSession({ appName: "shop", userId: "user", sessionId })
    const newMessage = { role: "user", parts: [{ text: "go" }] }
    const runConfig = { streamingMode: streams ? "sse" : undefined }
    const errors: string[] = []
    for await (const event of runner.runAsync({ userId: "user", sessionId, newMessage, runConfig })) {
      if (event.errorMessage !== undefined) errors.push(event.errorMessage)
    }
    return { ran, read, errors, turns: turn }
  }

  async function play({ guard, calls, options, conversation, streamed }: Scenario): Promise<Played> {
    const callback = beforeTool(guard.toolPort("adk", options))
    const sessionId = conversation ?? "own"
    const { ran, read, errors, turns } = await run(calls, callback, { sessionId, streams: streamed === true })
    expect({ errors, turns }).toEqual({ errors: [], turns: calls.length + 1 })
    return { ran, asked: 0, read: [...read.values()] }
  }
  return { run, play }
}

if (hasFramework(PACKAGE)) {
  describe("the recipe for Google ADK", async () => {
    const { run, play } = await begin()
    const lacks = { pause: "not in it", refused: "not in it", scanned: "not in it" }
    adapterContract({ framework: "Google ADK 2, the recipe", lacks, play })

    it("never throws, because ADK asks its model again and tells it nothing of a callback that throws", async () => {
      const calls = Array.from({ length: 5 }, () => ({ tool: "read", text: "a" }))
      const throwing = async (): Promise<never> => Promise.reject(new Error("a callback that throws"))
      const { ran, read, turns } = await run(calls, throwing, {})
      expect({ ran, read: read.size, turns }).toEqual({ ran: [], read: 0, turns: calls.length + 1 })
    })
  })
} else {
  skipNote(PACKAGE, Object.keys(BEHAVIOURS).length - 1)
  it.skip("the recipe for Google ADK", () => {})
}
