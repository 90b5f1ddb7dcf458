import { describe, expect, it } from "vitest"
import { groupId } from "../../src/disagreements/group.js"
import { disagreementLog } from "../../src/disagreements/log.js"
import type { DecisionLogEntry } from "../../src/model/decision-entry.js"
import { harness } from "../guard/harness.js"
import { logged, ROLLOUT } from "./log.js"

const OF = { rollout: ROLLOUT, generation: 1 }
const logOf = (entries: readonly DecisionLogEntry[]) =>
  disagreementLog(async function* () {
    yield* entries
  })

describe("the disagreements of a decision log", () => {
  it("are the groups that the guard counts, by the same ids", async () => {
    const entries: DecisionLogEntry[] = []
    const { guard } = harness(
      { stable: () => "allow", canary: ({ input }) => (input === 1 ? "deny" : "allow") },
      undefined,
      {
        decisionLog: { write: (batch) => void entries.push(...batch) },
      },
    )
    for (const [i, input] of [1, 2, 1].entries()) guard.session(`s-${i}`).evaluate({ action: "refund", input })
    await guard.idle()
    const { groups, population } = await logOf(entries).examples({ rollout: "demo", generation: 1 })
    expect([...groups.keys()]).toEqual(
      guard.diffs().map(({ action, stable, canary }) => groupId({ tool: action, stable, canary })),
    )
    expect([...groups.values()]).toMatchObject([
      { tool: "refund", calls: 2, examples: [{ session: "s-0" }, { session: "s-2" }] },
    ])
    expect(population.map(({ session }) => session)).toEqual(["s-0", "s-2"])
  })

  it("are of one rollout and generation, have a session, and show three examples of different ones", async () => {
    const entries = [
      ...logged({ id: "old", generation: 0 }),
      ...logged({ id: "alike", canary: { outcome: "allow" } }),
      ...logged({ id: "nobody", session: null }),
      ...[0, 0, 1, 2, 3, 4].flatMap((s, i) => logged({ id: `p-${i}`, session: `s-${s}` })),
    ]
    const { groups, population, notes } = await logOf(entries).examples(OF)
    const [group] = groups.values()
    expect(group).toMatchObject({ calls: 6, tool: "issue_refund", canary: { rule: "large-refund" } })
    expect(group!.examples.map(({ id }) => id)).toEqual(["p-0", "p-2", "p-3"])
    expect(population.map(({ id }) => id)).toEqual(["p-0", "p-2", "p-3", "p-4", "p-5"])
    expect(notes).toEqual([])
  })

  it("say what they cannot say: a pair without its decision, more groups than are kept", async () => {
    const lost = logged({ id: "lost" })[1]
    const many = Array.from({ length: 205 }, (_, i) => logged({ id: `p-${i}`, tool: `tool-${i}` })).flat()
    const { groups, notes } = await logOf([lost, ...many]).examples(OF)
    expect(groups.size).toBe(200)
    expect(notes).toEqual([expect.stringContaining("of 1 pairs"), expect.stringMatching(/^5 calls/)])
  })

  it("show an input cut to 300 characters, and none where the log holds none", async () => {
    const examples = async (...entries: DecisionLogEntry[]) =>
      [...(await logOf(entries).examples(OF)).groups.values()][0]!.examples
    const [long] = await examples(...logged({ id: "p", input: "x".repeat(1000) }))
    expect(long!.input).toHaveLength(300)
    const [none] = await examples(...logged({ id: "p", input: undefined, redacted: true }))
    expect(none).toMatchObject({ input: null, redacted: true })
  })

  it("finds a call by its id", async () => {
    const log = logOf([...logged({ id: "p-1" }), ...logged({ id: "p-2", canary: { outcome: "allow" } })])
    expect(await log.call("p-2")).toMatchObject({ decision: { id: "p-2" }, pair: { of: "p-2" } })
    expect(await log.example("p-1")).toMatchObject({ id: "p-1", change: "newly_denied" })
    expect(await log.example("p-2")).toBeNull()
    expect(await log.call("p-3")).toBeNull()
  })
})

describe("an entry that was redacted", () => {
  const read = async (redact: (entry: DecisionLogEntry) => DecisionLogEntry | null): Promise<DecisionLogEntry[]> => {
    const entries: DecisionLogEntry[] = []
    const { guard } = harness({}, undefined, {
      decisionLog: { sink: { write: (batch) => void entries.push(...batch) }, redact },
    })
    guard.session("s").evaluate({ action: "refund", input: { card: "4111" } })
    await guard.idle()
    return entries
  }

  it("says so, and one that the redaction left as it is does not", async () => {
    const entries = await read((entry) =>
      entry.kind === "decision" ? { ...entry, call: { action: "refund" } } : entry,
    )
    expect(entries.map(({ kind, redacted }) => [kind, redacted])).toEqual([
      ["decision", true],
      ["pair", undefined],
    ])
    expect((await read((entry) => entry)).some(({ redacted }) => redacted)).toBe(false)
  })
})
