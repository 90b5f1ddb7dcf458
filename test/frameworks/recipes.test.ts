import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { compileBlocks } from "../docs/compile.js"
import { hasFramework, skipNote } from "./frameworks.js"
import { recipe } from "./recipes.js"

const root = fileURLToPath(new URL("../../", import.meta.url)).replaceAll("\\", "/")
const USES = {
  "@mastra/core": `
import { createTool } from "@mastra/core/tools"
import { z } from "zod"
declare const guard: Guard
const inputSchema = z.object({ order: z.string() })
const find = createTool({ id: "find", description: "", inputSchema, execute: async ({ order }) => ({ order }) })
export const same: typeof find = guardTool(guard, find, { scanOutput: true })`,
  "@strands-agents/sdk": `
import type { Guard } from "serin"
declare const guard: Guard | Guard<Call, "async">
declare const agent: Agent
guardAgent(agent, guard.toolPort("strands", { escalate: async () => true }))`,
  "@google/adk": `
import { LlmAgent } from "@google/adk"
import type { Guard } from "serin"
declare const guard: Guard
export const clerk = new LlmAgent({ name: "clerk", beforeToolCallback: [beforeTool(guard.toolPort("adk"))] })`,
}
const names = Object.keys(USES) as (keyof typeof USES)[]
const isThere = names.every(hasFramework)
if (!isThere) for (const name of names) skipNote(name, 1)

describe("the recipes of the guide", () => {
  it("are of ten lines at most", () => {
    for (const name of names) {
      const lines = recipe(name).code.split("\n")
      expect(lines.filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(10)
    }
  })

  it.skipIf(!isThere)("compile with what the guide says to do with them", { timeout: 300_000 }, () => {
    const blocks = names.map((name) => ({ ...recipe(name), code: `${recipe(name).code}\n${USES[name]}` }))
    expect(compileBlocks(root, blocks, "test/frameworks/")).toEqual([])
  })
})
