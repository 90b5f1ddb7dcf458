import { createHash } from "node:crypto"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { act, ensureState, newSalt } from "../../src/controller/verbs.js"
import { isSerinError } from "../../src/errors.js"
import { auditHistory } from "../../src/operate/audit.js"
import type { Head } from "../../src/operate/audit/head.js"
import { verbEvent, type Verb } from "../../src/operate/verb.js"
import type { Versioned } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { runs } from "../runs.js"
import { CONTROLLER, HUMAN, NOW, specOf, verdictOf } from "../rollout/states.js"

const EVENTS = ["pause", "resume", "rollback", "contain", "kill", "promote", "retry", "start", "breach"] as const
type Event = (typeof EVENTS)[number]

/** What is in a store after events of which some change nothing and some are refused; oldest first, eight revisions at least. */
async function historyOf(events: readonly Event[]): Promise<Versioned[]> {
  const store = memoryStore()
  const spec = specOf()
  await ensureState(store, spec, HUMAN, NOW)
  let version = 2
  for (const type of ["start", "pause", "resume", ...events, "kill", "retry", "pause"] as const) {
    const actor = HUMAN
    const reason = "because"
    const event =
      type === "start"
        ? ({ type, spec: { ...spec, canary: `${version++}` }, salt: newSalt(), actor, reason } as const)
        : type === "breach"
          ? ({ type: "tick", actor: CONTROLLER, verdict: verdictOf("breach", { generation: version - 1 }) } as const)
          : verbEvent({ verb: type satisfies Verb, actor, reason })
    await act(store, "r", event, () => NOW).catch((error: unknown) => {
      if (!isSerinError(error) || error.code !== "TRANSITION_REFUSED") throw error
    })
  }
  const kept: Versioned[] = []
  for await (const found of store.history("r/state")) kept.unshift(found)
  return kept
}

/** Audit what a store holds now, whatever became of it; oldest first. */
function audited(kept: readonly Versioned[], heads: readonly Head[] = []) {
  const raw = {
    caps: memoryStore().caps,
    async *history(key: string) {
      if (key === "r/state") yield* kept.toReversed()
    },
  }
  return auditHistory({ raw, trust: null, readOnly: false }, "r", heads, {})
}

const hashOf = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`
const headOf = ({ revision, envelope }: Versioned): Head => ({ revision, hash: hashOf(envelope) })

const history = fc.array(fc.constantFrom(...EVENTS), { maxLength: 6 })
/** A place in a list of any length, and another. */
const place = fc.tuple(fc.nat(), fc.nat())
const numRuns = runs(15)

/** Put another character in the place of one. */
function edited(text: string, at: number, by: number): string {
  const i = at % text.length
  const code = 32 + ((text.charCodeAt(i) - 32 + 1 + (by % 94)) % 95)
  return text.slice(0, i) + String.fromCharCode(code) + text.slice(i + 1)
}

describe("the history of a rollout", () => {
  it("is whole as it was written, from the first revision or from the oldest that is kept, with every head that was ever noted", async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.nat(), async (events, n) => {
        const kept = await historyOf(events)
        const heads = kept.map(headOf)
        const whole = await audited(kept, heads)
        expect(whole).toMatchObject({ result: "whole", findings: [], chain: { from: 1, begins: "first" }, held: heads })
        const from = n % (kept.length - 1)
        const pruned = await audited(kept.slice(from), heads.slice(Math.max(0, from - 1)))
        expect(pruned).toMatchObject({ result: "whole", findings: [], chain: { from: from + 1 } })
      }),
      { numRuns: runs(10) },
    )
  })

  it("shows any change of one character in any revision but the newest, and says which", async () => {
    await fc.assert(
      fc.asyncProperty(history, place, fc.nat(), async (events, [which, at], by) => {
        const kept = await historyOf(events)
        const i = which % (kept.length - 1)
        const one = kept[i]!
        const found = await audited(kept.with(i, { ...one, envelope: edited(one.envelope, at, by) }))
        expect(found.result).toBe("broken")
        expect(found.findings.map(({ revision }) => revision)).toEqual([one.revision])
        expect(found.chain.from).toBe(one.revision + 1)
      }),
      { numRuns: runs(60) },
    )
  })

  it("shows a change of the newest revision against a head that was noted, and says that nothing else would", async () => {
    await fc.assert(
      fc.asyncProperty(history, place, async (events, [at, by]) => {
        const kept = await historyOf(events)
        const newest = kept.at(-1)!
        const changed = kept.with(kept.length - 1, { ...newest, envelope: edited(newest.envelope, at, by) })
        const noted = await audited(changed, [headOf(newest)])
        expect(noted.result).toBe("broken")
        expect(noted.findings.map(({ revision }) => revision)).toContain(newest.revision)
        expect(await audited(changed)).toMatchObject({ newestBy: null })
        const reason = kept.with(kept.length - 1, {
          ...newest,
          envelope: newest.envelope.replace('"because"', '"whatever"'),
        })
        expect(await audited(reason)).toMatchObject({ result: "whole", newestBy: null })
      }),
      { numRuns },
    )
  })

  it("shows revisions that were removed between others, with their numbers or with the gap closed", async () => {
    await fc.assert(
      fc.asyncProperty(history, place, fc.boolean(), async (events, [first, many], closed) => {
        const kept = await historyOf(events)
        const i = 1 + (first % (kept.length - 2))
        const count = 1 + (many % (kept.length - 1 - i))
        const left = kept.toSpliced(i, count)
        const found = await audited(closed ? left.map((one, j) => ({ ...one, revision: j + 1 })) : left)
        expect(found.result).toBe("broken")
        const [finding] = found.findings
        expect(finding?.code).toBe(closed ? "misplaced" : "removed")
        expect(found.chain.from).toBe(closed ? left.length : i + count + 1)
      }),
      { numRuns },
    )
  })

  it("shows two revisions that changed places, and one that was put in the place of another", async () => {
    await fc.assert(
      fc.asyncProperty(history, place, fc.boolean(), async (events, [one, other], both) => {
        const kept = await historyOf(events)
        const i = one % kept.length
        const j = (i + 1 + (other % (kept.length - 1))) % kept.length
        const copied = kept.with(i, { ...kept[i]!, envelope: kept[j]!.envelope })
        const found = await audited(both ? copied.with(j, { ...kept[j]!, envelope: kept[i]!.envelope }) : copied)
        expect(found.result).toBe("broken")
        const misplaced = found.findings.filter(({ code }) => code === "misplaced").map(({ revision }) => revision)
        expect(misplaced).toContain(i + 1)
        if (both) expect(misplaced.length + found.findings.length).toBeGreaterThan(2)
      }),
      { numRuns },
    )
  })

  it("shows newer revisions that were removed, or all that was written anew, against a head that was noted", async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.nat(), async (events, n) => {
        const kept = await historyOf(events)
        const left = kept.slice(0, 1 + (n % (kept.length - 1)))
        const head = headOf(kept.at(-1)!)
        expect(await audited(left)).toMatchObject({ result: "whole", newestBy: null })
        expect((await audited(left, [head])).findings).toMatchObject([{ code: "head_removed", revision: kept.length }])
        expect((await audited(left, [{ hash: head.hash }])).findings).toMatchObject([{ code: "head_removed" }])
        const anew = await historyOf(events)
        expect((await audited(anew, [head])).findings).toMatchObject([{ code: "head_changed", revision: kept.length }])
      }),
      { numRuns: runs(10) },
    )
  })
})
