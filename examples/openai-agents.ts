import { strict as assert } from "node:assert"
import { Agent, Runner, setTracingDisabled, tool, Usage } from "@openai/agents"
import type { Model } from "@openai/agents"
import { embed, memoryStore } from "serin"
import { guardTools, toolErrorFormatter } from "serin/adapters/openai-agents"
import { z } from "zod"

// An agent of the OpenAI Agents SDK, a model that wants two refunds and then says what it was told, and a person who says no.

setTracingDisabled(true)

const safety = `${import.meta.dirname}/safety`
const guard = await embed({ rollout: `${safety}/rollout.yaml`, releases: `${safety}/releases`, store: memoryStore() })

const refunded: number[] = []
const issueRefund = tool({
  name: "issue_refund",
  description: "Refund an order",
  parameters: z.object({ order: z.string(), amount: z.number() }),
  execute: async ({ order, amount }) => `refund ${refunded.push(amount)}: ${amount} for ${order}`,
})
const wanted = [40, 90_000]
const model: Model = {
  async getResponse({ input }) {
    const amount = wanted.shift()
    const name = "issue_refund"
    const args = JSON.stringify({ order: "A-1001", amount })
    if (amount !== undefined) {
      const call = {
        type: "function_call",
        callId: `call-${amount}`,
        name,
        arguments: args,
        status: "completed",
      } as const
      return { usage: new Usage(), output: [call] }
    }
    const told = [input].flat().flatMap((item) => {
      const output = typeof item === "object" && item.type === "function_call_result" ? item.output : undefined
      return typeof output === "object" && "text" in output ? [output.text] : []
    })
    const content = [{ type: "output_text" as const, text: told.join("\n") }]
    return { usage: new Usage(), output: [{ type: "message", role: "assistant", status: "completed", content }] }
  },
  getStreamedResponse() {
    throw new Error("this example does not stream")
  },
}
const agent = new Agent({ name: "clerk", model, tools: guardTools(guard, [issueRefund]) })
const runner = new Runner({ toolErrorFormatter })

let result = await runner.run(agent, "Refund order A-1001, generously", { context: { sessionId: "conversation-42" } })
for (const interruption of result.interruptions) result.state.reject(interruption)
if (result.interruptions.length > 0) result = await runner.run(agent, result.state)
console.log(result.finalOutput)
await guard.close()

assert.deepEqual(refunded, [40])
assert.match(String(result.finalOutput), /Do not retry the same call/)
