import { strict as assert } from "node:assert"
import { AIMessage, createAgent, fakeModel, tool, ToolMessage } from "langchain"
import { embed, memoryStore } from "serin"
import { guardMiddleware } from "serin/adapters/langchain"

// An agent of LangChain, and a model that wants two refunds and then says what it was told.

const safety = `${import.meta.dirname}/safety`
const guard = await embed({ rollout: `${safety}/rollout.yaml`, releases: `${safety}/releases`, store: memoryStore() })

const refunded: number[] = []
const issueRefund = tool(
  async ({ order, amount }: { order: string; amount: number }) =>
    `refund ${refunded.push(amount)}: ${amount} for ${order}`,
  {
    name: "issue_refund",
    description: "Refund an order",
    schema: { type: "object", properties: { order: { type: "string" }, amount: { type: "number" } } },
  },
)
const wants = (amount: number) => [{ id: `call-${amount}`, name: "issue_refund", args: { order: "A-1001", amount } }]
const model = fakeModel()
  .respondWithTools(wants(40))
  .respondWithTools(wants(90_000))
  .respond((messages) => {
    const told = messages.filter((message) => ToolMessage.isInstance(message))
    return new AIMessage(told.map(({ text }) => text).join("\n"))
  })
const agent = createAgent({ model, tools: [issueRefund], middleware: [guardMiddleware(guard, { ToolMessage })] })

const question = { role: "user" as const, content: "Refund order A-1001, generously" }
const { messages } = await agent.invoke({ messages: [question] }, { configurable: { thread_id: "conversation-42" } })
const text = messages.at(-1)?.text ?? ""
console.log(text)
await guard.close()

assert.deepEqual(refunded, [40])
assert.match(text, /Do not retry the same call/)
