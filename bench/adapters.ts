import { Agent, Runner, setTracingDisabled, tool as agentTool, Usage } from "@openai/agents"
import type { Model } from "@openai/agents"
import { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage } from "@langchain/core/messages"
import type { BaseMessage } from "@langchain/core/messages"
import { Client } from "@modelcontextprotocol/client"
import { InMemoryTransport, McpServer } from "@modelcontextprotocol/server"
import { generateText, jsonSchema, stepCountIs, tool as aiTool } from "ai"
import { MockLanguageModelV3 } from "ai/test"
import { createAgent, tool as chainTool, ToolMessage } from "langchain"
import { guardTools } from "serin"
import type { Guard } from "serin"
import { guardTools as guardAiTools } from "serin/adapters/ai"
import { guardHooks } from "serin/adapters/claude-agent-sdk"
import type { GuardHooks } from "serin/adapters/claude-agent-sdk"
import { guardMiddleware } from "serin/adapters/langchain"
import { guardToolCallback } from "serin/adapters/mcp"
import { guardTools as guardAgentTools } from "serin/adapters/openai-agents"
import { z } from "zod"
import { guardFor } from "./guards.js"
import { compareTurns } from "./measure.js"
import type { Row, Turn } from "./measure.js"
import { tellRows } from "./table.js"

const SESSION = "session-1"
const INPUT = { order: "A-1001", amount: 40 }
const refund = async ({ order, amount }: typeof INPUT): Promise<string> => `refunded ${amount} for ${order}`

/**
 * Tell what a guard adds to a turn of an agent: a model, which answers at once, asks for one tool and then says something. Of MCP it is one
 * call of a tool, through client and server in one process; of the Claude Agent SDK the hooks of one call; of a function the call itself.
 */
export async function tellAdapters(rounds: number): Promise<void> {
  const rows: Row[] = []
  const add = async (name: string, turn: (guard: Guard | null) => Turn | Promise<Turn>): Promise<void> => {
    rows.push(await compareTurns(`${name} vs unguarded`, await turn(guardFor(0, "producer")), await turn(null), rounds))
  }
  await add("an async function", functionCall)
  // Before the frameworks: some make each promise of the process dearer.
  await add("Claude Agent SDK, the hooks of a call", hookCalls)
  await add("AI SDK 6, a turn", aiTurn)
  await add("LangChain 1, a turn", chainTurn)
  await add("OpenAI Agents SDK, a turn", agentTurn)
  await add("MCP SDK 2, a tool of a server", mcpCall)
  tellRows(rows)
}

function functionCall(guard: Guard | null): Turn {
  const { issue_refund: run } =
    guard === null ? { issue_refund: refund } : guardTools(guard, { issue_refund: refund }, { session: SESSION })
  return () => run(INPUT)
}

function aiTurn(guard: Guard | null): Turn {
  const plain = {
    issue_refund: aiTool({ inputSchema: jsonSchema<typeof INPUT>({ type: "object" }), execute: refund }),
  }
  const tools = guard === null ? plain : guardAiTools(guard, plain, { session: SESSION })
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  }
  let calls = 0
  const model = new MockLanguageModelV3({
    async doGenerate({ prompt }) {
      // It keeps what it was asked, for tests to look at.
      model.doGenerateCalls.length = 0
      const ran = prompt.some(({ role }) => role === "tool")
      const toolCallId = `call-${++calls}`
      return {
        content: ran
          ? [{ type: "text", text: "done" }]
          : [{ type: "tool-call", toolCallId, toolName: "issue_refund", input: JSON.stringify(INPUT) }],
        finishReason: { unified: ran ? "stop" : "tool-calls", raw: undefined },
        usage,
        warnings: [],
      }
    },
  })
  return () => generateText({ model, tools, prompt: "Refund order A-1001", stopWhen: stepCountIs(3) })
}

class Clerk extends BaseChatModel {
  private calls = 0
  _llmType(): string {
    return "clerk"
  }
  override bindTools(): this {
    return this
  }
  async _generate(messages: BaseMessage[]) {
    const ran = messages.some((message) => ToolMessage.isInstance(message))
    const call = { id: `call-${++this.calls}`, name: "issue_refund", args: INPUT, type: "tool_call" as const }
    const message = new AIMessage(ran ? { content: "done" } : { content: "", tool_calls: [call] })
    return { generations: [{ text: "", message }] }
  }
}

function chainTurn(guard: Guard | null): Turn {
  const parameters = { type: "object", properties: { order: { type: "string" }, amount: { type: "number" } } } as const
  const issueRefund = chainTool(refund, { name: "issue_refund", description: "Refund an order", schema: parameters })
  const middleware = guard === null ? [] : [guardMiddleware(guard, { ToolMessage, session: SESSION })]
  const agent = createAgent({ model: new Clerk({}), tools: [issueRefund], middleware })
  const messages = [{ role: "user" as const, content: "Refund order A-1001" }]
  return () => agent.invoke({ messages })
}

function agentTurn(guard: Guard | null): Turn {
  setTracingDisabled(true)
  const parameters = z.object({ order: z.string(), amount: z.number() })
  const plain = agentTool({ name: "issue_refund", description: "Refund an order", parameters, execute: refund })
  let calls = 0
  const model: Model = {
    async getResponse({ input }) {
      const ran = [input].flat().some((item) => typeof item === "object" && item.type === "function_call_result")
      const asks = {
        type: "function_call",
        callId: `call-${++calls}`,
        name: "issue_refund",
        arguments: JSON.stringify(INPUT),
        status: "completed",
      } as const
      const says = {
        type: "message",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "done" }],
      } as const
      return { usage: new Usage(), output: [ran ? { ...says, content: [...says.content] } : asks] }
    },
    getStreamedResponse() {
      throw new Error("nothing streams here")
    },
  }
  const tools = guard === null ? [plain] : guardAgentTools(guard, [plain], { session: SESSION })
  const agent = new Agent({ name: "clerk", model, tools })
  const runner = new Runner()
  return () => runner.run(agent, "Refund order A-1001")
}

async function mcpCall(guard: Guard | null): Promise<Turn> {
  const inputSchema = z.object({ order: z.string(), amount: z.number() })
  const callback = async (input: typeof INPUT) => ({
    content: [{ type: "text" as const, text: await refund(input) }],
  })
  const server = new McpServer({ name: "orders", version: "1.0.0" })
  const guarded = guard === null ? callback : guardToolCallback(guard, "issue_refund", callback, { session: SESSION })
  server.registerTool("issue_refund", { inputSchema }, guarded)
  const [near, far] = InMemoryTransport.createLinkedPair()
  const client = new Client({ name: "agent", version: "1.0.0" })
  await Promise.all([server.connect(far), client.connect(near)])
  return () => client.callTool({ name: "issue_refund", arguments: INPUT })
}

/**
 * The hooks of one call that runs, one after the other as the SDK has them called, beside hooks that answer `{}`: without the SDK, whose
 * program is a process of its own, and takes milliseconds to ask a hook.
 */
function hookCalls(guard: Guard | null): Turn {
  const none = [{ hooks: [async () => ({})] }]
  const {
    PreToolUse,
    PostToolUse = [],
    PostToolBatch = [],
  }: GuardHooks = guard === null ? { PreToolUse: none, PostToolUse: none, PostToolBatch: none } : guardHooks(guard)
  const tool = { tool_name: "issue_refund", tool_input: INPUT, tool_response: "refunded 40 for A-1001" }
  const { signal } = new AbortController()
  let calls = 0
  return async () => {
    const id = `call-${++calls}`
    const call = { ...tool, session_id: SESSION, tool_use_id: id }
    const batch = { session_id: SESSION, tool_calls: [call] }
    for (const { hooks } of PreToolUse) for (const hook of hooks) await hook(call, id, { signal })
    for (const { hooks } of PostToolUse) for (const hook of hooks) await hook(call, id, { signal })
    for (const { hooks } of PostToolBatch) for (const hook of hooks) await hook(batch, undefined, { signal })
  }
}
