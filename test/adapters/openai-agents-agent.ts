import type * as Agents from "@openai/agents"
import type { FunctionTool, Model, ModelRequest, ModelResponse, RunState, StreamEvent } from "@openai/agents"
import { guardTools, toolErrorFormatter } from "serin/adapters/openai-agents"
import { BROKEN } from "./contract.js"
import type { Played, Scenario } from "./contract.js"

/** What of the OpenAI Agents SDK an agent is made of; the same since version 0.12. */
export type AgentsSdk = Pick<typeof Agents, "Agent" | "Runner" | "tool" | "Usage">

export type Calls = Scenario["calls"]
type Output = ModelResponse["output"]

export interface ScriptedModel extends Model {
  readonly requests: ModelRequest[]
}

/** What an agent of this version is made of, and the contract played with it. */
export function agentsPlayer({ Agent, Runner, tool, Usage }: AgentsSdk) {
  /** A model that makes one call after the other, and then ends. */
  function modelOf(calls: Calls): ScriptedModel {
    const requests: ModelRequest[] = []
    function next(request: ModelRequest): Output {
      requests.push(request)
      const turn = requests.length
      const call = calls[turn - 1]
      if (call === undefined) {
        const content = [{ type: "output_text" as const, text: "done" }]
        return [{ type: "message", role: "assistant", status: "completed", content }]
      }
      const args = JSON.stringify({ text: call.text })
      return [{ type: "function_call", name: call.tool, callId: `call-${turn}`, arguments: args, status: "completed" }]
    }
    return {
      requests,
      getResponse: async (request) => ({ usage: new Usage(), output: next(request) }),
      async *getStreamedResponse(request): AsyncGenerator<StreamEvent> {
        const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 }
        yield { type: "response_done", response: { id: "r", usage, output: next(request) } } as StreamEvent
      },
    }
  }

  function made(name: string, execute: (input: { text: string }) => unknown, more: object = {}): FunctionTool {
    return tool({
      name,
      description: name,
      parameters,
      strict: true,
      execute: execute as never,
      ...more,
    }) as unknown as FunctionTool
  }

  const toolsOf = (ran: string[]): FunctionTool[] =>
    ["read", "pay", "erase", "crash"].map((name) =>
      made(name, ({ text }) => {
        ran.push(`${name}: ${text}`)
        if (text === "fail") throw new Error(BROKEN)
        return `${name}: ${text}`
      }),
    )

  const runnerOf = (model: Model) =>
    new Runner({ model, tracingDisabled: true, toolErrorFormatter: (rejection) => toolErrorFormatter(rejection) })

  async function play({ guard, calls, options, conversation, approve, streamed }: Scenario): Promise<Played> {
    const ran: string[] = []
    const model = modelOf(calls)
    const agent = new Agent({ name: "agent", tools: guardTools(guard as never, toolsOf(ran), options) })
    const runner = runnerOf(model)
    const context = { sessionId: conversation }
    let input: string | RunState<unknown, typeof agent> = "go"
    for (let asked = 0; ; asked++) {
      const result =
        streamed === true
          ? await runner.run(agent, input as string, { context, stream: true })
          : await runner.run(agent, input as string, { context })
      if ("completed" in result) await result.completed
      if (result.interruptions.length === 0) return { ran, asked, read: toldTo(model) }
      const state = result.state as unknown as RunState<unknown, typeof agent>
      for (const interruption of result.interruptions) {
        if (approve === true) state.approve(interruption)
        else state.reject(interruption)
      }
      input = state
    }
  }

  return { modelOf, made, toolsOf, runnerOf, play }
}

const parameters = {
  type: "object" as const,
  properties: { text: { type: "string" } },
  required: ["text"],
  additionalProperties: false as const,
}

/** What a model was told of its calls. */
export const toldTo = ({ requests }: Pick<ScriptedModel, "requests">): string[] =>
  [requests.at(-1)?.input ?? []].flat().flatMap((item) => {
    if (typeof item === "string" || item.type !== "function_call_result") return []
    const { output } = item
    return typeof output === "object" && "text" in output ? [output.text] : [JSON.stringify(output)]
  })
