import { describe, expect, it } from "vitest"
import { reportKey } from "../../src/controller/keys.js"
import { createLeader } from "../../src/controller/leader.js"
import type { Report } from "../../src/controller/report.js"
import { act, ensureState } from "../../src/controller/verbs.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { readReport } from "../../src/operate/stored-report.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, T0 } from "../guard/harness.js"
import { paired } from "./evidence.js"

const human = { kind: "human", id: "ada" } as const

async function setUp() {
  const clock = fakeClock(T0)
  const store = memoryStore()
  await ensureState(store, spec, human, clock.now())
  await act(store, "demo", { type: "start", spec, salt: "salt", actor: human, reason: "try" }, () => clock.now())

  /** Lead for some looks, a minute apart; answers the times of the course that the report has then. */
  async function lead(id: string, looks: number, lasting: boolean): Promise<readonly number[]> {
    const follower = await createWritingFollower({ store, rollout: "demo", clock })
    const leader = createLeader({
      store,
      rollout: "demo",
      follower,
      clock,
      actor: { kind: "controller", id },
      everyMs: 60_000,
      source: { read: () => Promise.resolve(paired(1, 2, 10, () => false)), lasting },
    })
    await clock.settle()
    for (let look = 0; look < looks; look++) {
      clock.advance(60_000)
      await leader.tick()
      await clock.settle()
    }
    await leader.close()
    follower.close()
    return ((await readReport(store, "demo")).report?.course?.at ?? []).map((at) => (at - T0) / 60_000)
  }
  return { store, lead }
}

describe("the course in the report", () => {
  it("is gone on with by the next leader, where it reads the same evidence", async () => {
    const { lead } = await setUp()
    expect(await lead("first", 3, true)).toEqual([1, 2, 3])
    expect(await lead("second", 2, true)).toEqual([1, 2, 3, 4, 5])
  })

  it("begins again with a leader that counts by itself", async () => {
    const { lead } = await setUp()
    await lead("first", 3, false)
    expect(await lead("second", 2, false)).toEqual([4, 5])
  })

  it("comes with figures, and is left out when it cannot be read, which stops nobody", async () => {
    const { store, lead } = await setUp()
    await lead("first", 2, true)
    const key = reportKey("demo")
    const found = await store.get(key)
    const report = JSON.parse(found?.envelope ?? "") as Report
    expect(report.figures?.pairs[0]?.[0]).toBe(80)
    const course = { ...report.course, criteria: { deny_rate_delta_max: [[1, 2]] } }
    await store.compareAndSet(key, found?.revision ?? 0, JSON.stringify({ ...report, course }))
    const read = await readReport(store, "demo")
    expect(read.problem).toBe(undefined)
    expect(read.report?.course).toBe(undefined)
    expect(await lead("second", 1, true)).toEqual([3])
  })
})
