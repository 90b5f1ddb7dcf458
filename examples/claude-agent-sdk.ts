import { strict as assert } from "node:assert"
import { embed, memoryStore } from "serin"
import { guardHooks, mergeHooks } from "serin/adapters/claude-agent-sdk"
import type { HookAnswer } from "serin/adapters/claude-agent-sdk"

// The hooks of an agent of the Claude Agent SDK. `query({ prompt, options: { hooks } })` would have its own program call them, and that
// asks a model on the network; here they are called directly, with what the program hands to them.

const safety = `${import.meta.dirname}/safety`
const guard = await embed({ rollout: `${safety}/rollout.yaml`, releases: `${safety}/releases`, store: memoryStore() })

const guarded = guardHooks(guard, { action: (tool) => tool.replace("mcp__shop__", "") })
const log = async (): Promise<HookAnswer> => (console.log("a hook of the host's, asked as well"), {})
const hooks = mergeHooks(guarded, { PreToolUse: [{ hooks: [log] }] })

let calls = 0
async function beforeTool(tool_name: string, tool_input: object): Promise<HookAnswer[]> {
  const input = {
    hook_event_name: "PreToolUse",
    session_id: "conversation-42",
    tool_name,
    tool_input,
    tool_use_id: `${++calls}`,
  }
  const { signal } = new AbortController()
  const answers = hooks.PreToolUse.flatMap((matcher) =>
    matcher.hooks.map((hook) => hook(input, `${calls}`, { signal })),
  )
  return Promise.all(answers)
}

const [small] = await beforeTool("mcp__shop__issue_refund", { order: "A-1001", amount: 40 })
const [large] = await beforeTool("mcp__shop__issue_refund", { order: "A-1001", amount: 90_000 })
const [unknown] = await beforeTool("Bash", { command: "rm -rf orders" })
console.log(JSON.stringify({ small, large, unknown }, null, 2))
await guard.close()

assert.deepEqual(small, {}) // no opinion: what the SDK's own permissions say still counts
assert.equal(permission(large), "ask") // comes to `canUseTool`
assert.equal(permission(unknown), "deny")

function permission(answer: HookAnswer | undefined): string | undefined {
  const output = answer?.hookSpecificOutput
  return output?.hookEventName === "PreToolUse" ? output.permissionDecision : undefined
}
