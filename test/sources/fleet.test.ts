import { describe, expect, it } from "vitest"
import { createStratum, recordEvaluation } from "../../src/evidence/cells.js"
import { evidenceKey } from "../../src/evidence/publication.js"
import { ARRAYS } from "../../src/model/evidence.js"
import type { Evidence, Stratum } from "../../src/model/evidence.js"
import type { StateStore } from "../../src/rollout/store.js"
import { sharedSource } from "../../src/sources/fleet.js"
import { storeSink } from "../../src/sources/store-sink.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { publicationOf, type Said } from "../evidence/publications.js"

const keyOf = (publisher: string): string => `${evidenceKey("demo")}/${publisher}`

const saying = (publisher: string, sequence: number, stratum: Stratum, more: Said = {}): string =>
  publicationOf({ publisher, sequence, strata: [stratum], ...more })

const EMPTY = createStratum()

function fleet() {
  const clock = fakeClock()
  const store = memoryStore()
  const sink = storeSink(store)
  const source = sharedSource({ store, rollout: "demo", clock })
  const says = (publisher: string, sequence: number, more: Said = {}) =>
    sink.put(keyOf(publisher), saying(publisher, sequence, EMPTY, more))
  return { clock, store, sink, source, says }
}

function expectSame(a: Evidence, b: Stratum): void {
  expect(a.strata.length).toBe(1)
  for (const name of ARRAYS) {
    expect(Buffer.from(a.strata[0]![name].buffer).equals(Buffer.from(b[name].buffer)), name).toBe(true)
  }
}

describe("the evidence of a fleet", () => {
  it("is asked for many documents at once, without a warning of too many listeners", async () => {
    const { store, clock, says } = fleet()
    for (let n = 0; n < 40; n++) await says(`p${n}`, 1)
    const listening: StateStore = {
      ...store,
      get(key, options) {
        options?.signal?.addEventListener("abort", () => {}, { once: true })
        return store.get(key, options)
      },
    }
    const warnings: string[] = []
    const hear = ({ name }: Error): void => void warnings.push(name)
    process.on("warning", hear)
    const { signal } = new AbortController()
    await sharedSource({ store: listening, rollout: "demo", clock }).read({ generation: 1, signal })
    await clock.settle()
    process.off("warning", hear)
    expect(warnings).toEqual([])
  })

  it("is what 200 processes counted, exactly: with restarts, dead ones, late and repeated publications, and bad ones", async () => {
    const { clock, store, sink, source } = fleet()
    const random = sfc32(7)
    const total = createStratum()
    const sent: string[] = []
    const texts = new Map<string, string[]>()
    for (let process = 0; process < 200; process++) {
      // Every fifth is started a second time, and begins to count anew: what its first run counted is not lost.
      for (const run of process % 5 === 0 ? ["a", "b"] : ["a"]) {
        const publisher = `host-${process}.${run}`
        const own = createStratum()
        for (let sequence = 1; sequence <= 3; sequence++) {
          for (let n = 0; n < 5; n++) {
            const [cohort, outcome, ms] = [Math.floor(random() * 64), Math.floor(random() * 4), random() * 50]
            for (const stratum of [own, total])
              recordEvaluation(stratum, process % 2 ? 1 : 0, cohort, outcome, ms, n === 0)
          }
          texts.set(publisher, [...(texts.get(publisher) ?? []), saying(publisher, sequence, own)])
        }
        sent.push(publisher, publisher, publisher)
      }
    }
    // On their way they overtake each other, and every seventh comes twice.
    const onTheWay = [...texts].flatMap(([publisher, own]) => own.map((text) => ({ publisher, text })))
    for (const entry of onTheWay.filter((_, i) => i % 7 === 0)) onTheWay.push(entry)
    for (let i = onTheWay.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1))
      ;[onTheWay[i], onTheWay[j]] = [onTheWay[j]!, onTheWay[i]!]
    }
    for (const [i, { publisher, text }] of onTheWay.entries()) {
      await sink.put(keyOf(publisher), text)
      if (i % 300 === 0) await source.read({ generation: 1 })
    }
    await store.compareAndSet(keyOf("bad"), 0, '{"format":"serin/evidence/2"}')
    clock.advance(60_000)
    expectSame((await source.read({ generation: 1 }))!, total)
    expect(source.processes()).toEqual({
      releases: "ready",
      fuse: null,
      problem: "1 of 241 publications cannot be read",
    })
  })

  it("does not shrink when a store goes back, or loses what is known already", async () => {
    const { store, source, says } = fleet()
    const counted = createStratum()
    recordEvaluation(counted, 0, 3, 0, 1, true)
    await says("one", 5, { strata: [counted] })
    expectSame((await source.read({ generation: 1 }))!, counted)
    await store.compareAndSet(keyOf("one"), 1, saying("one", 4, EMPTY))
    expectSame((await source.read({ generation: 1 }))!, counted)
    await store.remove(keyOf("one"))
    expectSame((await source.read({ generation: 1 }))!, counted)
  })

  it("is none without publications of the generation, and stale when nobody has said anything for 90 s", async () => {
    const { clock, source, says } = fleet()
    expect(await source.read({ generation: 1 })).toBeNull()
    await says("one", 1, { generation: 2 })
    expect(await source.read({ generation: 1 })).toBeNull()
    await says("one", 2)
    await source.read({ generation: 1 })
    clock.advance(89_000)
    expect(await source.read({ generation: 1 })).not.toBeNull()
    clock.advance(2000)
    await expect(source.read({ generation: 1 })).rejects.toMatchObject({ code: "EVIDENCE_STALE" })
    await says("one", 3)
    expect(await source.read({ generation: 1 })).not.toBeNull()
  })

  it("is merged again only when some process has said something new", async () => {
    const { source, says } = fleet()
    await says("one", 1)
    const first = await source.read({ generation: 1 })
    // Compared here: a message that shows both would take seconds.
    expect((await source.read({ generation: 1 })) === first).toBe(true)
    await says("one", 2)
    expect((await source.read({ generation: 1 })) === first).toBe(false)
  })

  it("cannot speak for a canary while publications were not read yet", async () => {
    const { clock, store, says } = fleet()
    for (let n = 0; n < 70; n++) await says(`p-${n}`, 1)
    const slow = { ...store, get: (key: string) => (clock.advance(30), store.get(key)) }
    const source = sharedSource({ store: slow, rollout: "demo", clock })
    expect((await source.read({ generation: 1 }))?.gap?.detail).toMatch(/^\d+ of 70 publications not read yet$/)
    expect((await source.read({ generation: 1 }))?.gap).toBeUndefined()
  })

  it("fails with the store, and goes on with what is known when some of it cannot be read", async () => {
    const { store, says } = fleet()
    await says("one", 1)
    await says("two", 1)
    let broken = ""
    const store2 = {
      ...store,
      get: (key: string) => (key.includes(broken) ? Promise.reject(new Error("down")) : store.get(key)),
    }
    const source = sharedSource({ store: store2, rollout: "demo", clock: fakeClock() })
    await expect(source.read({ generation: 1 })).rejects.toThrow("down")
    broken = "nobody"
    await source.read({ generation: 1 })
    broken = "two"
    expect((await source.read({ generation: 1 }))?.gap).toBeUndefined()
  })

  it("is of the history that is judged: of a generation with the same number, lost when the store went back, nothing counts", async () => {
    const { clock, store, source, says } = fleet()
    const [lost, own] = [createStratum(), createStratum()]
    recordEvaluation(lost, 1, 3, 3, 1, true)
    recordEvaluation(own, 0, 3, 0, 1, true)
    const gone = {
      generation: 7,
      salt: "lost",
      strata: [lost],
      releases: "missing",
      fuse: "it failed 5 times",
    } as const
    const now = { generation: 7, salt: "own", strata: [own] } as const
    await says("dead", 4, gone)
    expectSame((await source.read({ generation: 7, salt: "lost" }))!, lost)
    // The store is rolled back, and the rollout started again; then the dead process's last publication arrives.
    expect(await source.read({ generation: 7, salt: "own" })).toBeNull()
    await says("alive", 1, now)
    await says("dead", 5, gone)
    expectSame((await source.read({ generation: 7, salt: "own" }))!, own)
    expect(source.processes()).toEqual({ releases: "ready", fuse: null, problem: undefined })
    expect(source.diffs()).toEqual([])
    clock.advance(3_601_000)
    await says("alive", 2, now)
    await source.read({ generation: 7, salt: "own" })
    expect(await store.list(evidenceKey("demo"))).toEqual([keyOf("alive")])
  })

  it("is rid of processes of an earlier generation that are silent for an hour", async () => {
    const { clock, store, source, says } = fleet()
    await says("old", 1)
    await says("now", 1, { generation: 2 })
    await source.read({ generation: 2 })
    clock.advance(3_599_000)
    await says("now", 2, { generation: 2 })
    await source.read({ generation: 2 })
    expect((await store.list(evidenceKey("demo"))).length).toBe(2)
    clock.advance(2000)
    await source.read({ generation: 2 })
    expect(await store.list(evidenceKey("demo"))).toEqual([keyOf("now")])
  })
})

describe("what processes say besides", () => {
  it("holds for a canary that one which is alive has not loaded, until it is dead", async () => {
    const { clock, source, says } = fleet()
    await says("one", 1, { releases: "missing" })
    await says("two", 1)
    await source.read({ generation: 1 })
    expect(source.processes().releases).toBe("missing")
    clock.advance(60_000)
    await says("two", 2)
    await source.read({ generation: 1 })
    clock.advance(60_000)
    expect(source.processes().releases).toBe("ready")
  })

  it("holds for a fuse in a twentieth of the processes, and for none in fewer", async () => {
    const { source, says } = fleet()
    for (let n = 0; n < 41; n++) await says(`p-${n}`, 1, { fuse: n < 2 ? "it failed 5 times" : null })
    await source.read({ generation: 1 })
    expect(source.processes().fuse).toBeNull()
    await says("p-2", 2, { fuse: "it failed 5 times" })
    await source.read({ generation: 1 })
    expect(source.processes().fuse).toBe("of 41 processes 3, one of them: it failed 5 times")
  })

  it("adds up what they disagreed about", async () => {
    const { source, says } = fleet()
    const diff = { action: "refund", stable: { outcome: "allow" }, canary: { outcome: "deny", rule: "r" } } as const
    await says("one", 1, { diffs: [{ ...diff, calls: 3, sessions: 2 }] })
    await says("two", 1, {
      diffs: [
        { ...diff, action: "look", calls: 4, sessions: 4 },
        { ...diff, calls: 2, sessions: 1 },
      ],
    })
    const groups = () => source.diffs().map(({ action, calls, sessions }) => [action, calls, sessions])
    await source.read({ generation: 1 })
    expect(groups()).toEqual([
      ["refund", 5, 3],
      ["look", 4, 4],
    ])
    // An earlier version counts no sessions.
    await says("three", 1, { diffs: [{ ...diff, calls: 1 }] })
    await source.read({ generation: 1 })
    expect(groups()).toEqual([
      ["refund", 6, undefined],
      ["look", 4, 4],
    ])
  })
})

describe("a publication", () => {
  it.each([
    ["no JSON", "nonsense"],
    ["an unknown key", saying("one", 1, EMPTY, { extra: 1 } as Said)],
    ["a publisher that is no part of a key", saying("../one", 1, EMPTY)],
    ["another generation than its evidence", saying("one", 1, EMPTY).replace('"generation":1', '"generation":2')],
    ["counts that fit nowhere", saying("one", 1, EMPTY, { evidence: Buffer.from([1, 1, 1, 255]).toString("base64") })],
    ["more than 4 MiB", saying("one", 1, EMPTY, { evidence: "A".repeat(4 * 1024 * 1024) })],
  ])("with %s is refused before it is stored", async (_, text) => {
    const { sink, store } = fleet()
    await expect(sink.put(keyOf("one"), text)).rejects.toMatchObject({ code: "EVIDENCE_INVALID" })
    expect(await store.get(keyOf("one"))).toBeNull()
  })

  it("that cannot be read is told of until it is gone", async () => {
    const { store, source, says } = fleet()
    await says("good", 1)
    await store.compareAndSet(keyOf("bad"), 0, "{}")
    await source.read({ generation: 1 })
    expect(source.processes().problem).toBe("1 of 2 publications cannot be read")
    await store.remove(keyOf("bad"))
    await source.read({ generation: 1 })
    expect(source.processes().problem).toBeUndefined()
  })

  it("of another process under one's key counts for nothing", async () => {
    const { store, source } = fleet()
    await store.compareAndSet(keyOf("one"), 0, saying("two", 1, EMPTY))
    expect(await source.read({ generation: 1 })).toBeNull()
    expect(source.processes().problem).toBe("1 of 1 publications cannot be read")
  })
})
