import type * as Ai from "ai"
import type { ModelMessage, ToolSet } from "ai"
import type { Played, Scenario } from "./contract.js"
import { BROKEN } from "./contract.js"

export type { ToolSet } from "ai"

/** What of the AI SDK an agent is made of; the same in versions 6 and 7. */
export interface AiSdk {
  readonly ai: Pick<typeof Ai, "generateText" | "streamText" | "stepCountIs" | "tool" | "jsonSchema">
  /** Makes a model of its next answer. */
  model(next: (prompt: readonly unknown[]) => readonly unknown[]): unknown
}

interface Part {
  readonly type: string
  readonly toolCallId?: string
  readonly approvalId?: string
  readonly output?: { readonly type: string; readonly value?: unknown; readonly reason?: string }
}

/** Run an agent of the AI SDK: a model that makes one call after the other, and a person who says what the scenario says. */
export function aiPlayer(
  sdk: AiSdk,
  guardTools: (tools: ToolSet, scenario: Scenario) => ToolSet,
  more: (scenario: Scenario, tools: ToolSet) => object = () => ({}),
): (scenario: Scenario) => Promise<Played> {
  return async (scenario) => {
    const ran: string[] = []
    const { calls, conversation, approve, streamed } = scenario
    const named = (name: string) =>
      sdk.ai.tool({
        description: name,
        inputSchema: sdk.ai.jsonSchema<{ text: string }>({
          type: "object",
          properties: { text: { type: "string" } },
          required: ["text"],
        }),
        async execute({ text }) {
          ran.push(`${name}: ${text}`)
          if (text === "fail") throw new Error(BROKEN)
          return `${name}: ${text}`
        },
      })
    const plain = Object.fromEntries(["read", "pay", "erase", "crash"].map((name) => [name, named(name)]))
    const tools = guardTools(plain, scenario)
    const read = new Map<string, string>()
    let turn = 0
    const model = sdk.model((prompt) => {
      for (const [id, text] of answersIn(prompt)) read.set(id, text)
      const call = calls[turn++]
      if (call === undefined) return [{ type: "text", text: "done" }]
      const input = JSON.stringify({ text: call.text })
      return [{ type: "tool-call", toolCallId: `call-${turn}`, toolName: call.tool, input }]
    })
    const messages: ModelMessage[] = [{ role: "user", content: "go" }]
    for (let asked = 0; ; asked++) {
      const settings = {
        model: model as never,
        tools,
        messages,
        stopWhen: sdk.ai.stepCountIs(10),
        ...(conversation !== undefined && { experimental_context: { sessionId: conversation } }),
        ...more(scenario, tools),
      }
      const added =
        streamed === true ? await streamedBy(sdk, settings) : (await sdk.ai.generateText(settings)).response.messages
      messages.push(...added)
      const requests = added.flatMap(partsOf).filter(({ type }) => type === "tool-approval-request")
      if (requests.length === 0) return { ran, asked, read: [...read.values()] }
      const responses = requests.map(({ approvalId = "" }) => {
        return { type: "tool-approval-response" as const, approvalId, approved: approve === true }
      })
      messages.push({ role: "tool", content: responses })
    }
  }
}

async function streamedBy(sdk: AiSdk, settings: Parameters<AiSdk["ai"]["generateText"]>[0]): Promise<ModelMessage[]> {
  const result = sdk.ai.streamText(settings as Parameters<AiSdk["ai"]["streamText"]>[0])
  await result.consumeStream()
  return (await result.response).messages
}

const partsOf = ({ content }: ModelMessage): readonly Part[] => (typeof content === "string" ? [] : (content as Part[]))

/** The text of every answer of a tool that a model is shown. */
export const answersIn = (prompt: readonly unknown[]): [string, string][] =>
  (prompt as ModelMessage[]).flatMap(partsOf).flatMap(({ type, toolCallId = "", output }): [string, string][] => {
    if (type !== "tool-result" || output === undefined) return []
    const text = output.type === "execution-denied" ? `denied: ${output.reason ?? ""}` : String(output.value)
    return [[toolCallId, text]]
  })

/** The parts of a streamed answer. */
export function streamParts(content: readonly unknown[], finish: object): unknown[] {
  const parts = (content as { type: string; text?: string }[]).flatMap((part) =>
    part.type === "text"
      ? [
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: part.text },
          { type: "text-end", id: "1" },
        ]
      : [part],
  )
  return [{ type: "stream-start", warnings: [] }, ...parts, { type: "finish", ...finish }]
}
