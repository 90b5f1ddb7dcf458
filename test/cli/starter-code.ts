import { symlink } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import type { Embedded } from "../../src/embed.js"
import { CELLS, cellIndex, COHORTS, type Cell } from "../../src/model/evidence.js"
import { useBench } from "./harness.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** What the code that `init` wrote exports. */
export interface Written {
  readonly guard: Embedded
  readonly [name: string]: unknown
}

/** Has an agent answer, in the code for most frameworks. */
export type Answer = (model: unknown, conversation: string, prompt: string) => Promise<string>

/** The calls that a model makes: to look up, a small refund, and one that both releases deny. */
export const ASKED = [
  { tool: "get_order", input: { order: "A1" } },
  { tool: "issue_refund", input: { order: "A1", amount: 40 } },
  { tool: "issue_refund", input: { order: "A1", amount: 90_000 } },
] as const

/**
 * Test the code that `init` writes for a project with these packages, in both languages. `drive` has an agent make the calls of `ASKED` in
 * one conversation, and answers what it read of each. `modules` is the `node_modules` of the project.
 */
export function starterTests(
  name: string,
  packages: readonly string[],
  drive: (code: Written) => Promise<readonly string[]>,
  modules = join(root, "node_modules"),
): void {
  const bench = useBench()
  describe(`the code that \`serin init\` writes for ${name}`, () => {
    it.each(["TypeScript", "JavaScript"])(
      "judges, in %s, by the releases that it wrote, one session for a conversation",
      async (language) => {
        const { cwd } = bench()
        const dependencies = Object.fromEntries(packages.map((one) => [one, "*"]))
        await bench().write("package.json", JSON.stringify({ type: "module", dependencies }))
        if (language === "TypeScript") await bench().write("tsconfig.json", "{}")
        await symlink(modules, join(cwd, "node_modules"), "dir")
        // Absolute, for this process is not started where the project is.
        const { doc } = await bench().json("init", join(cwd, "safety"))
        const path = String(doc["code"])
        expect(path).toMatch(language === "TypeScript" ? /\.ts$/ : /\.js$/)
        const code = (await import(path)) as Written
        const texts = await drive(code)
        const counted = [countOf(code.guard, "evaluations"), countOf(code.guard, "sessions")]
        await code.guard.close()
        expect(texts.slice(0, 2)).toEqual(["A1 was delivered, 80 were paid", "refunded 40 for A1"])
        expect(texts).toHaveLength(3)
        expect(texts[2]).toContain("Refunds are given up to 1000")
        expect(counted).toEqual([3, 1])
      },
    )
  })
}

/** What stable's cells hold, over all cohorts. */
function countOf(guard: Embedded, cell: Cell): number {
  let count = 0
  for (const { cells } of guard.evidence().strata) {
    for (let cohort = 0; cohort < COHORTS; cohort++) count += cells[cellIndex(0, cohort, CELLS.indexOf(cell))] ?? 0
  }
  return count
}
