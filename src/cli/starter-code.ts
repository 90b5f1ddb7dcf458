import type { Framework } from "./framework.js"

/** What the code is written for. */
export interface CodeFor {
  readonly framework: Framework
  /** The framework's package, where it has several. */
  readonly from: string | undefined
  readonly typescript: boolean
  /** Paths of the rollout and of its releases, as the process that runs the code finds them. */
  readonly rollout: string
  readonly releases: string
}

/** Write the module that puts the guard of the starter's rollout before the tools of an agent: ESM, whole, ready to run. */
export function starterCode(asked: CodeFor): string {
  /** What TypeScript alone has. */
  const ts = (text: string): string => (asked.typescript ? text : "")
  const guard = `/** One guard for the whole process. Relative paths start in the folder that the process was started in. */
export const guard = await embed({ rollout: ${quote(asked.rollout)}, releases: ${quote(asked.releases)} })
`
  return CODE[asked.framework]({ ts, guard, from: asked.from ?? "" })
}

interface Parts {
  ts(text: string): string
  readonly guard: string
  readonly from: string
}

const quote = (path: string): string => JSON.stringify(path.replaceAll("\\", "/"))

const TOOLS = "Each asks the guard before it runs. Put your own here: the rules of the releases go by these names."
const ANSWER =
  "Have the agent answer. A conversation has one id from its beginning to its end: it decides which release judges."
const LOOKED_UP = "`${order} was delivered, 80 were paid`"
const REFUNDED = "`refunded ${amount} for ${order}`"

const CODE: Readonly<Record<Framework, (parts: Parts) => string>> = {
  none: ({ ts, guard }) => `import { embed, guardTools } from "serin"

${guard}
/**
 * ${TOOLS}
 * A call that is denied, or escalated to nobody, throws an error with the code TOOL_DENIED and a text for the model.
 */
export const tools = guardTools(guard, {
  get_order: async ({ order }${ts(": { order: string }")}) => ${LOOKED_UP},
  issue_refund: async ({ order, amount }${ts(": { order: string; amount: number }")}) => ${REFUNDED},
})

/** ${ANSWER} */
export async function answer${ts("<T>")}(conversation${ts(": string")}, agent${ts(": () => Promise<T>")})${ts(": Promise<T>")} {
  return guard.withSession(conversation, agent)
}
`,

  ai: ({ ts, guard }) => `import { generateText, jsonSchema, stepCountIs, tool } from "ai"
${ts('import type { LanguageModel } from "ai"\n')}import { embed } from "serin"
import { guardTools } from "serin/adapters/ai"

${guard}
/** ${TOOLS} */
export const tools = guardTools(guard, {
  get_order: tool({
    description: "Look an order up",
    inputSchema: jsonSchema${ts("<{ order: string }>")}({
      type: "object",
      properties: { order: { type: "string" } },
      required: ["order"],
    }),
    execute: async ({ order }) => ${LOOKED_UP},
  }),
  issue_refund: tool({
    description: "Refund an order",
    inputSchema: jsonSchema${ts("<{ order: string; amount: number }>")}({
      type: "object",
      properties: { order: { type: "string" }, amount: { type: "number" } },
      required: ["order", "amount"],
    }),
    execute: async ({ order, amount }) => ${REFUNDED},
  }),
})

/** ${ANSWER} */
export async function answer(model${ts(": LanguageModel")}, conversation${ts(": string")}, prompt${ts(": string")})${ts(": Promise<string>")} {
  const { text } = await guard.withSession(conversation, () =>
    generateText({ model, tools, prompt, stopWhen: stepCountIs(5) }),
  )
  return text
}
`,

  langchain: ({ ts, guard }) => `import { createAgent, tool, ToolMessage } from "langchain"
${ts('import type { CreateAgentParams } from "langchain"\n')}import { embed } from "serin"
import { guardMiddleware } from "serin/adapters/langchain"

${guard}
/** Put your own here: the rules of the releases go by these names. */
export const tools = [
  tool(async ({ order }${ts(": { order: string }")}) => ${LOOKED_UP}, {
    name: "get_order",
    description: "Look an order up",
    schema: { type: "object", properties: { order: { type: "string" } }, required: ["order"] },
  }),
  tool(async ({ order, amount }${ts(": { order: string; amount: number }")}) => ${REFUNDED}, {
    name: "issue_refund",
    description: "Refund an order",
    schema: {
      type: "object",
      properties: { order: { type: "string" }, amount: { type: "number" } },
      required: ["order", "amount"],
    },
  }),
]

/** ${ANSWER} */
export async function answer(model${ts(': CreateAgentParams["model"]')}, conversation${ts(": string")}, prompt${ts(": string")})${ts(": Promise<string>")} {
  // The guard is asked before each tool. With a checkpointer, an escalated call interrupts the agent; without, it is denied.
  const agent = createAgent({ model, tools, middleware: [guardMiddleware(guard, { ToolMessage })] })
  const messages = [{ role: "user"${ts(" as const")}, content: prompt }]
  const result = await agent.invoke({ messages }, { configurable: { thread_id: conversation } })
  return result.messages.at(-1)?.text ?? ""
}
`,

  "openai-agents": ({ ts, guard }) => `import { Agent, Runner, tool } from "@openai/agents"
${ts('import type { Model } from "@openai/agents"\n')}import { embed } from "serin"
import { guardTools, toolErrorFormatter } from "serin/adapters/openai-agents"
import { z } from "zod"

${guard}
/** ${TOOLS} */
export const tools = guardTools(guard, [
  tool({
    name: "get_order",
    description: "Look an order up",
    parameters: z.object({ order: z.string() }),
    execute: async ({ order }) => ${LOOKED_UP},
  }),
  tool({
    name: "issue_refund",
    description: "Refund an order",
    parameters: z.object({ order: z.string(), amount: z.number() }),
    execute: async ({ order, amount }) => ${REFUNDED},
  }),
])

const agent = new Agent({ name: "clerk", instructions: "You serve customers of a shop.", tools })

/** ${ANSWER} */
export async function answer(model${ts(": string | Model")}, conversation${ts(": string")}, prompt${ts(": string")})${ts(": Promise<string>")} {
  const runner = new Runner({ model, toolErrorFormatter })
  let result = await runner.run(agent, prompt, { context: { sessionId: conversation } })
  // Escalated calls. Ask a person here; nobody is asked yet, so nobody says yes.
  while (result.interruptions.length > 0) {
    for (const interruption of result.interruptions) result.state.reject(interruption)
    result = await runner.run(agent, result.state)
  }
  return String(result.finalOutput ?? "")
}
`,

  "claude-agent-sdk": ({
    ts,
    guard,
  }) => `import { createSdkMcpServer, query, tool } from "@anthropic-ai/claude-agent-sdk"
import { embed } from "serin"
import { guardHooks } from "serin/adapters/claude-agent-sdk"
import { z } from "zod"

${guard}
const said = (text${ts(": string")}) => ({ content: [{ type: "text"${ts(" as const")}, text }] })

/** Put your own here: the rules of the releases go by these names. */
const shop = () =>
  createSdkMcpServer({
    name: "shop",
    version: "1.0.0",
    tools: [
      tool("get_order", "Look an order up", { order: z.string() }, async ({ order }) => said(${LOOKED_UP})),
      tool("issue_refund", "Refund an order", { order: z.string(), amount: z.number() }, async ({ order, amount }) =>
        said(${REFUNDED}),
      ),
    ],
  })

/** The guard is asked before every tool, those that the SDK brings as well: what no rule names is denied. */
export const hooksOf = (conversation${ts(": string")}) =>
  guardHooks(guard, { session: conversation, action: (tool) => tool.replace(/^mcp__shop__/, "") })

/** ${ANSWER} */
export async function answer(conversation${ts(": string")}, prompt${ts(": string")})${ts(": Promise<string>")} {
  const options = {
    hooks: hooksOf(conversation),
    mcpServers: { shop: shop() },
    allowedTools: ["mcp__shop__get_order", "mcp__shop__issue_refund"],
  }
  let text = ""
  for await (const message of query({ prompt, options })) {
    if (message.type === "result" && message.subtype === "success") text = message.result
  }
  return text
}
`,

  mcp: ({ ts, guard, from }) => `import { randomUUID } from "node:crypto"
import { McpServer } from "${from === "@modelcontextprotocol/sdk" ? `${from}/server/mcp.js` : from}"
import { embed } from "serin"
import { guardToolCallback } from "serin/adapters/mcp"
import { z } from "zod"

${guard}
const said = (text${ts(": string")}) => ({ content: [{ type: "text"${ts(" as const")}, text }] })
const getOrder = z.object({ order: z.string() })
const issueRefund = z.object({ order: z.string(), amount: z.number() })

/**
 * Make the server of one conversation: its id decides which release judges. Connect it to a transport:
 * \`await createServer().connect(new StdioServerTransport())\`.
 */
export function createServer(conversation${ts(": string")} = randomUUID())${ts(": McpServer")} {
  const server = new McpServer({ name: "orders", version: "1.0.0" })
  const session = { session: conversation }
  // Each asks the guard before it runs. Put your own here: the rules of the releases go by these names.
  server.registerTool(
    "get_order",
    { description: "Look an order up", inputSchema: getOrder },
    guardToolCallback(
      guard,
      "get_order",
      async ({ order }${ts(": z.infer<typeof getOrder>")}) => said(${LOOKED_UP}),
      session,
    ),
  )
  server.registerTool(
    "issue_refund",
    { description: "Refund an order", inputSchema: issueRefund },
    guardToolCallback(
      guard,
      "issue_refund",
      async ({ order, amount }${ts(": z.infer<typeof issueRefund>")}) => said(${REFUNDED}),
      session,
    ),
  )
  return server
}
`,
}
