import { describe, expect, it } from "vitest"
import { assertGuarded } from "serin/testing"
import { guardToolCallback } from "serin/adapters/mcp"

describe("assertGuarded", () => {
  /** An agent that calls its only tool, and shows the model what came of it. */
  const agent = async (tool: (input: object) => unknown): Promise<unknown> => {
    try {
      return { answer: await tool({}) }
    } catch (error) {
      return { error: (error as Error).message }
    }
  }

  it("is content with an agent whose denied tool does not run and whose model is told why", async () => {
    await assertGuarded(({ guard, name, tool }) => agent(guard.tool(name, tool)))
    await assertGuarded(({ guard, name, tool }) => agent(guard.tool(name, tool)), { async: true })
    await assertGuarded(({ guard, name, tool }) => guardToolCallback(guard, name, tool)({}))
  })

  it("says what is wrong with one that is not guarded, that asks nobody, that says nothing, or that fails", async () => {
    await expect(assertGuarded(({ tool }) => agent(tool))).rejects.toThrow(/ran 1 time\(s\) although it is denied/)
    await expect(assertGuarded(() => "all is well")).rejects.toThrow(/nobody asked the guard/)
    const silent = assertGuarded(({ guard, name, tool }) => agent(guard.tool(name, tool, { denied: () => "no" })))
    await expect(silent).rejects.toThrow(/does not say why/)
    const thrown = assertGuarded(({ guard, name, tool }) => guard.tool(name, tool)())
    await expect(thrown).rejects.toMatchObject({ message: /agent failed/, cause: { code: "TOOL_DENIED" } })
    const judged = assertGuarded(async ({ guard, tool }) => {
      await agent(() => (guard.evaluate({ action: "log only" }), tool()))
      throw new Error("later")
    })
    await expect(judged).rejects.toThrow(/ran 1 time\(s\) .* and the agent failed/)
  })
})
