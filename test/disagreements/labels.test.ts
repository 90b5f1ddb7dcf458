import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { bernoulliUpper } from "../../src/analysis/bernoulli.js"
import { labelsKey } from "../../src/controller/keys.js"
import { drawNext, keepLabel, readLabels } from "../../src/disagreements/label.js"
import { noLabels, parseLabels, type Draw, type Label, type Labels } from "../../src/disagreements/labels.js"
import { wrongRate } from "../../src/disagreements/wrong-rate.js"
import { isSerinError } from "../../src/errors.js"
import { memoryStore } from "../../src/stores/memory.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { runs } from "../runs.js"
import { ROLLOUT } from "./log.js"

const OF = { rollout: ROLLOUT, generation: 3 }
const GROUPS = ["aaaaaaaaaa", "bbbbbbbbbb"] as const
const label = (more: Partial<Label> = {}): Label => ({
  group: GROUPS[0],
  example: "p-1",
  says: "wrong",
  by: "ana",
  at: 1,
  ...more,
})
const codeOf = (work: () => unknown): string => {
  try {
    work()
    return "nothing"
  } catch (error) {
    return isSerinError(error) ? error.code : String(error)
  }
}

describe("the document of labels", () => {
  it("keeps what everybody says, however many say it at once", async () => {
    const store = memoryStore()
    const people = Array.from({ length: 8 }, (_, i) => `person-${i}`)
    await Promise.all(people.map((by) => keepLabel(store, OF, label({ by, note: `I am ${by}` }))))
    const { labels } = await readLabels(store, OF)
    expect(labels.map(({ by }) => by).toSorted()).toEqual(people)
  })

  it("has the last word of each person on each thing, and what one says of a group stands beside what one says of a call", async () => {
    const store = memoryStore()
    await keepLabel(store, OF, label())
    await keepLabel(store, OF, label({ says: "right", at: 2 }))
    await keepLabel(store, OF, label({ example: null }))
    const { labels } = await readLabels(store, OF)
    expect(labels.map(({ example, says }) => [example, says])).toEqual([
      ["p-1", "right"],
      [null, "wrong"],
    ])
  })

  it("belongs to one generation: the next begins with none, and nothing is said of one that is over", async () => {
    const store = memoryStore()
    await keepLabel(store, OF, label())
    const next = { ...OF, generation: 4 }
    expect(await readLabels(store, next)).toEqual(noLabels(ROLLOUT, 4))
    await keepLabel(store, next, label({ says: "right" }))
    await expect(keepLabel(store, OF, label())).rejects.toMatchObject({ code: "LABELS_INVALID" })
    expect((await readLabels(store, next)).labels).toMatchObject([{ says: "right" }])
  })

  it("refuses what it is not: longer, stranger, of another rollout", async () => {
    const good: Labels = { ...noLabels(ROLLOUT, 1), labels: [label()] }
    expect(parseLabels(JSON.stringify(good))).toEqual(good)
    const bad = [
      { ...good, extra: 1 },
      { ...good, format: "serin/labels/2" },
      { ...good, generation: -1 },
      { ...good, labels: [label({ says: "maybe" as "right" })] },
      { ...good, labels: [label({ group: "../state" })] },
      { ...good, labels: [label({ note: "x".repeat(501) })] },
      { ...good, labels: [{ ...label(), by: "" }] },
      { ...good, draws: Array.from({ length: 2001 }, () => drawn()) },
      { ...good, draws: [drawn({ place: "S-1" })] },
    ]
    for (const one of bad) expect(codeOf(() => parseLabels(JSON.stringify(one)))).toBe("LABELS_INVALID")
    expect(codeOf(() => parseLabels(`{"__proto__":{}}`))).toBe("LABELS_INVALID")
    expect(codeOf(() => parseLabels("[".repeat(100_000)))).toBe("LABELS_INVALID")
    const store = memoryStore()
    await store.compareAndSet(labelsKey(ROLLOUT), 0, JSON.stringify({ ...good, rollout: "other" }))
    await expect(readLabels(store, OF)).rejects.toMatchObject({ code: "LABELS_INVALID" })
    await expect(keepLabel(memoryStore(), OF, label({ note: "x".repeat(501) }))).rejects.toThrow(/note/)
  })

  it("gives up on a document that others change all the time, rather than write over them", async () => {
    const store = memoryStore()
    const busy = { ...store, compareAndSet: async () => ({ ok: false, current: null }) as const }
    await expect(keepLabel(busy, OF, label())).rejects.toMatchObject({ code: "STORE_CONFLICT" })
  })
})

function drawn(more: Partial<Draw> = {}): Draw {
  return { scope: "all", place: "0".repeat(16), example: "p-1", group: GROUPS[0], by: "ana", at: 1, ...more }
}

/** Thirty sessions, each with a disagreement in the first group; every third also has one in the second. */
const POPULATION = Array.from({ length: 30 }, (_, i) => [
  { id: `a-${i}`, session: `s-${i}`, group: GROUPS[0] },
  ...(i % 3 === 0 ? [{ id: `b-${i}`, session: `s-${i}`, group: GROUPS[1] }] : []),
]).flat()

describe("a draw", () => {
  const ask = (by = "ana", scope = "all") => ({ scope, by, at: 1 })

  it("is written down before anybody sees it, and is the same until it is labelled", async () => {
    const store = memoryStore()
    const first = await drawNext(store, OF, POPULATION, ask())
    expect((await readLabels(store, OF)).draws).toEqual([first])
    expect(await drawNext(store, OF, POPULATION, ask())).toEqual(first)
    await keepLabel(store, OF, label({ example: first!.example }))
    const second = await drawNext(store, OF, POPULATION, ask())
    expect(second!.example).not.toBe(first!.example)
  })

  it("gives people who draw at once different sessions, each session once, until there is none", async () => {
    const store = memoryStore()
    const people = Array.from({ length: 5 }, (_, i) => `person-${i}`)
    const seen: string[] = []
    for (let round = 0; round < 7; round++) {
      const draws = await Promise.all(people.map((by) => drawNext(store, OF, POPULATION, ask(by))))
      for (const one of draws.filter((one) => one !== null)) {
        seen.push(one.place)
        await keepLabel(store, OF, label({ example: one.example, by: one.by }))
      }
    }
    expect(seen).toHaveLength(30)
    expect(new Set(seen).size).toBe(30)
    expect(await drawNext(store, OF, POPULATION, ask())).toBeNull()
  })

  it("of a group is of that group, and draws of others do not use it up", async () => {
    const store = memoryStore()
    for (let i = 0; i < 10; i++) {
      const one = await drawNext(store, OF, POPULATION, ask("ana", GROUPS[1]))
      expect(one).toMatchObject({ scope: GROUPS[1], group: GROUPS[1] })
      await keepLabel(store, OF, label({ example: one!.example, group: GROUPS[1] }))
    }
    expect(await drawNext(store, OF, POPULATION, ask("ana", GROUPS[1]))).toBeNull()
    expect(await drawNext(store, OF, POPULATION, ask())).not.toBeNull()
  })

  it("depends on nothing but who the sessions are: not on the order of the log, nor on what is in it", async () => {
    const order = async (population: typeof POPULATION): Promise<string[]> => {
      const store = memoryStore()
      const places: string[] = []
      for (let i = 0; i < 5; i++) {
        const one = await drawNext(store, OF, population, ask(`person-${i}`))
        places.push(one!.example)
      }
      return places
    }
    const there = await order(POPULATION)
    expect(await order(POPULATION.toReversed())).toEqual(there)
    const place = ({ id }: { id: string }) => POPULATION.findIndex((one) => one.id === id)
    // The first to be drawn are spread over the log, and not its beginning.
    expect(Math.max(...there.map((id) => place({ id })))).toBeGreaterThan(10)
  })

  it("takes each session of a log equally often, over rollouts", async () => {
    const counts = new Map<string, number>()
    for (let i = 0; i < 300; i++) {
      const one = await drawNext(memoryStore(), { ...OF, generation: i }, POPULATION.slice(0, 8), ask())
      const session = POPULATION.find(({ id }) => id === one!.example)!.session
      counts.set(session, (counts.get(session) ?? 0) + 1)
    }
    // Six sessions: 50 each, and a χ² with 5 degrees of freedom is below 20.5 in 999 of 1,000 worlds; the hash makes this one world.
    const chi = [...counts.values()].reduce((sum, n) => sum + (n - 50) ** 2 / 50, 0)
    expect(counts.size).toBe(6)
    expect(chi).toBeLessThan(20.5)
  })
})

describe("the rate of wrong ones", () => {
  const worldOf = (says: readonly (readonly Label["says"][])[]): Labels => ({
    ...noLabels(ROLLOUT, 1),
    draws: says.map((_, i) => drawn({ example: `p-${i}`, place: i.toString(16).padStart(16, "0") })),
    labels: says.flatMap((all, i) => all.map((says, j) => label({ example: `p-${i}`, says, by: `person-${j}` }))),
  })

  it("counts what was drawn and labelled, and nothing that somebody picked", () => {
    const { draws, labels } = worldOf([["wrong"], ["right"], []])
    const picked = Array.from({ length: 9 }, (_, i) => label({ example: `picked-${i}` }))
    const said = { ...noLabels(ROLLOUT, 1), draws, labels: [...labels, ...picked, label({ example: null })] }
    expect(wrongRate(said, "all")).toMatchObject({ drawn: 3, labelled: 2, wrong: 1 })
    expect(wrongRate(said, GROUPS[0])).toMatchObject({ drawn: 0, labelled: 0, atMost: 1, atLeast: 0 })
  })

  it("is what is computed by hand: of one label that says right, at most 1 − (0.05 / 2)²", () => {
    // Beta(½, ½) mixture of one miss: ½ / (1 − p) = 20, so p = 1 − 1/40.
    expect(wrongRate(worldOf([["right"]]), "all").atMost).toBeCloseTo(1 - 1 / 40, 10)
    expect(wrongRate(worldOf([["wrong"]]), "all").atLeast).toBeCloseTo(1 / 40, 10)
  })

  it("takes a disputed one for wrong above, and for right below", () => {
    const disputed = wrongRate(worldOf([["right", "wrong"], ["right"], ["wrong"]]), "all")
    expect(disputed).toMatchObject({ labelled: 3, wrong: 2, disputed: 1 })
    expect(disputed.atMost).toBe(wrongRate(worldOf([["wrong"], ["right"], ["wrong"]]), "all").atMost)
    expect(disputed.atLeast).toBe(wrongRate(worldOf([["right"], ["right"], ["wrong"]]), "all").atLeast)
  })

  it("holds at every look in 95 of 100 worlds, on either side", () => {
    const worlds = 150
    let [above, below] = [0, 0]
    for (let world = 0; world < worlds; world++) {
      const random = sfc32(world + 11)
      const truth = 0.3
      let [wrong, isAbove, isBelow] = [0, false, false]
      for (let n = 1; n <= 40; n++) {
        if (random() < truth) wrong += 1
        // The bounds of `wrongRate` on such labels, without making the labels.
        isAbove ||= bernoulliUpper(wrong, n, 0.05) < truth
        isBelow ||= 1 - bernoulliUpper(n - wrong, n, 0.05) > truth
      }
      above += Number(isAbove)
      below += Number(isBelow)
    }
    expect(above / worlds).toBeLessThanOrEqual(0.05)
    expect(below / worlds).toBeLessThanOrEqual(0.05)
  })

  it("has its bounds around the share of wrong ones, which close with more labels", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("right", "wrong"), { minLength: 1, maxLength: 40 }), (says) => {
        const once = wrongRate(worldOf(says.map((one) => [one])), "all")
        const twice = wrongRate(worldOf([...says, ...says].map((one) => [one])), "all")
        const share = once.wrong / once.labelled
        expect(once.atLeast).toBeLessThanOrEqual(share)
        expect(once.atMost).toBeGreaterThanOrEqual(share)
        expect(twice.atMost - twice.atLeast).toBeLessThan(once.atMost - once.atLeast)
      }),
      { numRuns: runs(40) },
    )
  })
})
