import { expect, it } from "vitest"
import { BEHAVIOURS } from "../adapters/behaviours.js"
import { adapterContract } from "../adapters/contract.js"
import { agentsPlayer } from "../adapters/openai-agents-agent.js"
import type { AgentsSdk } from "../adapters/openai-agents-agent.js"
import { hasFramework, importFramework, skipNote, versionOf } from "./frameworks.js"

const PACKAGE = "@openai/agents"

if (hasFramework(PACKAGE)) {
  // To the compiler it is version 0.12, whose names it keeps.
  const sdk = (await importFramework(`${PACKAGE}/dist/index.mjs`)) as AgentsSdk & {
    setTracingDisabled(off: boolean): void
  }
  sdk.setTracingDisabled(true)
  const { play } = agentsPlayer(sdk)
  // Of an error's message it tells nothing any more.
  const brokenWords = "An error occurred while running the tool"
  adapterContract({ framework: "OpenAI Agents SDK 0.20", brokenWords, play })

  it("is the version that its row names", () => expect(versionOf(PACKAGE)).toMatch(/^0\.20\./))
} else {
  skipNote(PACKAGE, Object.keys(BEHAVIOURS).length + 2)
  it.skip("the adapter contract in the newest OpenAI Agents SDK", () => {})
}
