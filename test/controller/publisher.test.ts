import { describe, expect, it } from "vitest"
import { createPublisher } from "../../src/controller/publisher.js"
import { createStratum, recordEvaluation } from "../../src/evidence/cells.js"
import { parsePublication } from "../../src/evidence/publication.js"
import type { ReadPublication } from "../../src/evidence/publication.js"
import { fakeClock } from "../../src/testing/fake-clock.js"

function process(fails: () => boolean = () => false) {
  const clock = fakeClock()
  const stratum = createStratum()
  const arrived: ReadPublication[] = []
  const tries: number[] = []
  let stalled = false
  let fuse: string | null = null
  const publisher = createPublisher({
    rollout: "demo",
    publisher: "host-1.a",
    clock,
    sink: {
      async put(key, text) {
        expect(key).toBe("demo/evidence/host-1.a")
        tries.push(clock.monotonic())
        if (stalled) await new Promise(() => {})
        if (fails()) throw new Error("no way there")
        arrived.push(parsePublication(text))
      },
    },
    evidence: () => ({ generation: 1, strata: [stratum] }),
    diffs: () => [],
    fuse: () => fuse,
    ready: () => true,
  })
  const pass = async (seconds: number): Promise<void> => {
    for (let n = 0; n < seconds; n++) {
      clock.advance(1000)
      for (let i = 0; i < 10; i++) await Promise.resolve()
    }
  }
  return {
    clock,
    publisher,
    arrived,
    tries,
    pass,
    count: () => recordEvaluation(stratum, 0, 1, 0, 1, true),
    stall: () => void (stalled = true),
    blow: (why: string) => void (fuse = why),
  }
}

describe("a process that publishes its evidence", () => {
  it("says what is new every 10 s, that it is alive every 30 s, and all of it again when it ends", async () => {
    const { publisher, arrived, count, pass, blow, clock } = process()
    await pass(5)
    expect(arrived.length).toBe(1)
    count()
    await pass(10)
    expect(arrived.length).toBe(2)
    await pass(20)
    expect(arrived.length).toBe(2)
    await pass(10)
    expect(arrived.length).toBe(3)
    blow("it failed 5 times")
    await pass(10)
    expect(arrived.at(-1)).toMatchObject({ fuse: "it failed 5 times", releases: "ready" })
    count()
    await publisher.close()
    expect(arrived.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5])
    expect(publisher.status()).toEqual({
      publisher: "host-1.a",
      sequence: 5,
      publishedAt: clock.now(),
      problem: undefined,
    })
    expect(clock.pending()).toBe(0)
  })

  it("tries ever more rarely while nobody answers, up to 80 s apart, and then says all of it", async () => {
    let isDown = true
    const { publisher, arrived, tries, count, pass } = process(() => isDown)
    await pass(600)
    expect(publisher.status()).toMatchObject({ sequence: 0, publishedAt: null, problem: "no way there" })
    const apart = tries.slice(1).map((at, i) => at - tries[i]!)
    expect(Math.min(...apart)).toBeGreaterThanOrEqual(5000)
    expect(Math.max(...apart)).toBeLessThanOrEqual(81_000)
    count()
    isDown = false
    await pass(81)
    expect(publisher.status().problem).toBeUndefined()
    expect(arrived.at(-1)!.sequence).toBe(publisher.status().sequence)
    await publisher.close()
  })

  it("ends within 2 s although nobody answers", async () => {
    const { publisher, clock, stall, count } = process()
    await publisher.publish()
    stall()
    count()
    const closing = publisher.close()
    await clock.settle()
    clock.advance(2000)
    await closing
    expect(publisher.status().problem).toContain("no answer within 2000 ms")
    expect(clock.pending()).toBe(0)
  })

  it("refuses a name that is no part of a key", () => {
    const rest = { rollout: "demo", clock: fakeClock(), sink: { put: () => Promise.resolve() } } as never as object
    expect(() => createPublisher({ ...rest, publisher: "a/b" } as never)).toThrow(/^publisher must be 1 to 128 of/)
  })
})
