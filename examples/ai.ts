import { strict as assert } from "node:assert"
import { generateText, jsonSchema, stepCountIs, tool } from "ai"
import { MockLanguageModelV3 } from "ai/test"
import { embed, memoryStore } from "serin"
import { guardTools } from "serin/adapters/ai"

// An agent of the AI SDK, and a model that wants two refunds and then says what it was told.

const safety = `${import.meta.dirname}/safety`
const guard = await embed({ rollout: `${safety}/rollout.yaml`, releases: `${safety}/releases`, store: memoryStore() })

const refunded: number[] = []
const tools = guardTools(
  guard,
  {
    issue_refund: tool({
      description: "Refund an order",
      inputSchema: jsonSchema<{ order: string; amount: number }>({ type: "object" }),
      execute: async ({ order, amount }) => `refund ${refunded.push(amount)}: ${amount} for ${order}`,
    }),
  },
  { escalate: "deny" }, // nobody is there to be asked
)

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
}
const wanted = [40, 90_000]
const model = new MockLanguageModelV3({
  async doGenerate({ prompt }) {
    const amount = wanted.shift()
    const told = prompt.flatMap(({ role, content }) => (role === "tool" ? content : []))
    const texts = told.flatMap((part) =>
      part.type === "tool-result" && "value" in part.output ? [part.output.value] : [],
    )
    const input = JSON.stringify({ order: "A-1001", amount })
    return {
      content:
        amount === undefined
          ? [{ type: "text", text: texts.join("\n") }]
          : [{ type: "tool-call", toolCallId: `call-${amount}`, toolName: "issue_refund", input }],
      finishReason: { unified: amount === undefined ? "stop" : "tool-calls", raw: undefined },
      usage,
      warnings: [],
    }
  },
})

const { text } = await guard.withSession("conversation-42", () =>
  generateText({ model, tools, prompt: "Refund order A-1001, generously", stopWhen: stepCountIs(5) }),
)
console.log(text)
await guard.close()

assert.deepEqual(refunded, [40])
assert.match(text, /Do not retry the same call/)
