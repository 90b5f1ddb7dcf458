import { join } from "node:path"
import { expect, describe, it } from "vitest"
import { embed } from "../../src/embed.js"
import { memoryStore } from "../../src/stores/memory.js"
import { useBench } from "./harness.js"
import { ASKED, starterTests } from "./starter-code.js"

const bench = useBench()

starterTests("no framework", [], async ({ tools, answer }) => {
  const all = tools as Readonly<Record<string, (input: object) => Promise<string>>>
  const inSession = answer as (conversation: string, agent: () => Promise<string[]>) => Promise<string[]>
  return inSession("conversation-1", async () => {
    const texts: string[] = []
    for (const { tool, input } of ASKED) texts.push(await all[tool]!(input).catch((error: Error) => error.message))
    return texts
  })
})

/** Run what `init` wrote for three hours, four sessions a minute of six calls; every `nth` session asks for a refund of 700 once. */
async function run(nth: number) {
  await bench().serin("init")
  const { clock, cwd } = bench()
  const guard = await embed({
    rollout: join(cwd, "safety/rollout.yaml"),
    releases: join(cwd, "safety/releases"),
    store: memoryStore(),
    start: true,
    clock,
  })
  let sessions = 0
  for (let step = 0; step < 60; step++) {
    for (let i = 0; i < 12; i++) {
      const session = guard.session(`conversation-${++sessions}`)
      const amount = sessions % nth === 0 ? 700 : 40
      for (const action of ["get_order", "search_orders", "issue_refund", "get_order", "close_account", "delete_all"]) {
        session.evaluate({ action, input: { amount } })
      }
    }
    await guard.idle()
    clock.advance(180_000)
    await guard.judge()
  }
  const status = guard.status()
  const diffs = guard.diffs()
  await guard.close()
  return { ...status, diffs }
}

describe("the rollout that `serin init` writes", () => {
  it("rolls back when the lower limit denies more calls than its budget, and names that budget", async () => {
    const { phase, state, diffs } = await run(4)
    expect(phase.phase).toBe("rolled_back")
    expect(state.last).toMatchObject({ event: "rollback", verdict: { cause: "newly_denied_rate_max" } })
    expect(diffs).toMatchObject([{ action: "issue_refund", stable: { outcome: "allow" }, canary: { outcome: "deny" } }])
  })

  it("goes on to serve sessions when it denies few, and every criterion is shown to be within its limit", async () => {
    const { phase, state, report } = await run(100)
    expect(phase).toMatchObject({ phase: "canary", weightBp: 500 })
    expect(state.spec.intent).toBe("tighten")
    const results = report?.verdict?.criteria.map(({ criterion, result }) => [criterion, result])
    // A budget of 0 is a bound and never a pass.
    const never = ["newly_allowed_rate_max", "inconclusive"]
    expect(results).toContainEqual(never)
    const others = (results ?? []).filter(([criterion]) => criterion !== never[0])
    expect(others.map(([criterion]) => criterion)).toContain("newly_denied_rate_max")
    expect(others.filter(([, result]) => result !== "pass")).toEqual([])
  })
})
