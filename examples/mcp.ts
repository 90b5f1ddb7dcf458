import { strict as assert } from "node:assert"
import { Client } from "@modelcontextprotocol/client"
import { InMemoryTransport, McpServer } from "@modelcontextprotocol/server"
import { embed, memoryStore } from "serin"
import { guardToolCallback } from "serin/adapters/mcp"
import { z } from "zod"

// An MCP server with one tool, and a client in the same process that asks for two refunds.

const safety = `${import.meta.dirname}/safety`
const guard = await embed({ rollout: `${safety}/rollout.yaml`, releases: `${safety}/releases`, store: memoryStore() })

const refunded: number[] = []
const inputSchema = z.object({ order: z.string(), amount: z.number() })
const refund = async ({ order, amount }: z.infer<typeof inputSchema>) => {
  refunded.push(amount)
  return { content: [{ type: "text" as const, text: `refunded ${amount} for ${order}` }] }
}
const server = new McpServer({ name: "orders", version: "1.0.0" })
server.registerTool("issue_refund", { inputSchema }, guardToolCallback(guard, "issue_refund", refund))

const [near, far] = InMemoryTransport.createLinkedPair()
const client = new Client({ name: "agent", version: "1.0.0" })
await Promise.all([server.connect(far), client.connect(near)])

const answers = []
for (const amount of [40, 90_000]) {
  const { isError = false, content } = await client.callTool({
    name: "issue_refund",
    arguments: { order: "A-1001", amount },
  })
  const text = content.map((part) => (part.type === "text" ? part.text : "")).join()
  console.log(isError ? `refused: ${text}` : text)
  answers.push(isError)
}
await client.close()
await guard.close()

assert.deepEqual(refunded, [40])
assert.deepEqual(answers, [false, true])
