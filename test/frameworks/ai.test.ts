import { expect, it } from "vitest"
import { guardTools, toolApproval } from "serin/adapters/ai"
import type { AiOptions } from "serin/adapters/ai"
import { aiPlayer, streamParts } from "../adapters/ai-agent.js"
import type { AiSdk, ToolSet } from "../adapters/ai-agent.js"
import { BEHAVIOURS } from "../adapters/behaviours.js"
import { adapterContract, contractGuard, REASONS } from "../adapters/contract.js"
import type { Scenario } from "../adapters/contract.js"
import { hasFramework, importFramework, skipNote } from "./frameworks.js"

interface Asked {
  readonly prompt: readonly unknown[]
}
interface Testing {
  readonly MockLanguageModelV4: new (model: {
    doGenerate(asked: Asked): Promise<object>
    doStream(asked: Asked): Promise<object>
  }) => object
  convertArrayToReadableStream(items: readonly unknown[]): unknown
}

const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
const finishReason = { unified: "stop", raw: "stop" }

/** The AI SDK 7; to the compiler it is version 6, whose names it keeps. */
async function versionSeven(): Promise<AiSdk> {
  const { MockLanguageModelV4, convertArrayToReadableStream } = (await importFramework(
    "ai/dist/test/index.js",
  )) as Testing
  return {
    ai: (await importFramework("ai/dist/index.js")) as AiSdk["ai"],
    model: (next) =>
      new MockLanguageModelV4({
        doGenerate: async ({ prompt }) => ({ content: next(prompt), finishReason, usage, warnings: [] }),
        doStream: async ({ prompt }) => ({
          stream: convertArrayToReadableStream(streamParts(next(prompt), { finishReason, usage })),
        }),
      }),
  }
}

const guarded = (tools: ToolSet, { guard, options }: Scenario): ToolSet =>
  guardTools(guard as never, tools, options as AiOptions)

/** Version 7 hands a context to each tool by its name. */
const contexts = ({ conversation: sessionId }: Scenario, tools: ToolSet): object =>
  sessionId === undefined
    ? {}
    : { toolsContext: Object.fromEntries(Object.keys(tools).map((name) => [name, { sessionId }])) }

if (hasFramework("ai")) {
  const sdk = await versionSeven()
  adapterContract({ framework: "AI SDK 7", play: aiPlayer(sdk, guarded, contexts) })
  adapterContract({
    framework: "AI SDK 7, `toolApproval`",
    play: aiPlayer(sdk, guarded, (scenario, tools) => ({
      ...contexts(scenario, tools),
      toolApproval: toolApproval(scenario.guard as never, () => undefined, scenario.options as AiOptions),
    })),
  })

  it("denies by toolApproval before a tool's execution is begun, in the words for the model", async () => {
    const { guard } = contractGuard()
    const play = aiPlayer(
      sdk,
      (tools) => tools,
      () => ({ toolApproval: toolApproval(guard, undefined, { session: "s" }) }),
    )
    const { ran, read } = await play({ guard, calls: [{ tool: "erase", text: "a" }], options: {} })
    expect(ran).toEqual([])
    expect(read).toEqual([expect.stringContaining(`denied: The call of erase was not allowed`)])
    expect(read[0]).toContain(REASONS.erase)
  })
} else {
  skipNote("ai", 2 * Object.keys(BEHAVIOURS).length + 3)
  it.skip("the adapter contract in AI SDK 7", () => {})
}
