import { describe, expect, it } from "vitest"
import { createLeader } from "../../src/controller/leader.js"
import { act, pastStates } from "../../src/controller/verbs.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { recordEvaluation } from "../../src/evidence/cells.js"
import type { Evidence } from "../../src/model/evidence.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { StateStore } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import type { FakeClock } from "../../src/testing/fake-clock.js"
import { T0 } from "../guard/harness.js"
import { expectChained } from "./chained.js"
import { paired } from "./evidence.js"
import { runs } from "../runs.js"
import { begin, evidenceFor, human, STORY, story } from "./story.js"

/** A process that dies at one of its effects: before it, or right after it, when nobody has heard of it. Nothing that it would do later happens. */
function mortal(at: number, when: "before" | "after") {
  let isDead = false
  const done: string[] = []
  const never = <T>(): Promise<T> => new Promise(() => {})

  async function effect<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (isDead) return never()
    const isLast = done.push(what) - 1 === at
    if (isLast && when === "before") isDead = true
    if (isDead) return never()
    const answer = await work()
    if (isLast) isDead = true
    return isDead ? never() : answer
  }

  const through = (inner: StateStore): StateStore => ({
    ...inner,
    get: (key, options) => effect(`get ${key}`, () => inner.get(key, options)),
    compareAndSet: (key, revision, text, options) =>
      effect(`set ${key}`, () => inner.compareAndSet(key, revision, text, options)),
  })
  return { effect, through, done, isDead: () => isDead }
}
type Life = ReturnType<typeof mortal>

async function lead(store: StateStore, id: string, clock: FakeClock, life?: Life) {
  const own = life?.through(store) ?? store
  const follower = await createWritingFollower({ store: own, rollout: "demo", clock })
  const read = () => Promise.resolve(evidenceFor(follower.current()!))
  const leader = createLeader({
    store: own,
    rollout: "demo",
    follower,
    clock,
    actor: { kind: "controller", id },
    everyMs: 2000,
    source: { read: () => (life === undefined ? read() : life.effect("read evidence", read)) },
  })
  return { leader, follower }
}

async function drain(): Promise<void> {
  for (let i = 0; i < 60; i++) await Promise.resolve()
}

/** Half a minute at most with a leader that dies, and another that waits. */
async function run(at: number, when: "before" | "after") {
  const inner = memoryStore()
  await begin(inner, T0)
  const life = mortal(at, when)
  const clocks = [fakeClock(T0), fakeClock(T0)] as const
  const first = lead(inner, "first", clocks[0], life)
  await drain()
  const second = await lead(inner, "second", clocks[1])
  let leftMs = 30_000
  for (; leftMs > 0; leftMs -= 500) {
    for (const [i, clock] of clocks.entries()) if (i === 1 || !life.isDead()) clock.advance(500)
    await drain()
    // It is over when it has ended, and nothing came after that for a while.
    if (second.follower.current()!.ended !== null) leftMs = Math.min(leftMs, 3000)
  }
  await expectChained(inner, "demo", `${when} effect ${at}`)
  const states: RolloutState[] = []
  for await (const state of pastStates(inner, "demo")) states.unshift(state)
  const closing = second.leader.close()
  await drain()
  clocks[1].advance(2000)
  await closing
  second.follower.close()
  if (!life.isDead()) {
    const { leader, follower } = await first
    const ended = leader.close()
    await drain()
    clocks[0].advance(2000)
    await ended
    follower.close()
  }
  return { states, done: life.done }
}

describe("a leader that dies", () => {
  it("at any of its effects, before it or right after it, leaves nothing undone, nothing done twice and no gap in the history", async () => {
    const whole = await run(Number.POSITIVE_INFINITY, "after")
    expect(story(whole.states)).toEqual(STORY)
    // Up to the report of the rollback and some more; what follows is beats.
    const points = whole.done.lastIndexOf("set demo/verdict") + 6
    const kinds = new Set(whole.done.slice(0, points))
    expect([...kinds].toSorted()).toEqual([
      "get demo/leader",
      "get demo/report",
      "get demo/state",
      "get demo/verdict",
      "read evidence",
      "set demo/leader",
      "set demo/report",
      "set demo/state",
      "set demo/verdict",
    ])
    let since = new Map<string, number>()
    for (let at = 0; at < points; at++) {
      const what = whole.done[at]!
      const times = (since.get(what) ?? 0) + 1
      since.set(what, times)
      // Between two writes of the state a beat is like the beat before it; with more effort each is tried.
      if (times > 1 && runs(100) <= 100) continue
      for (const when of ["before", "after"] as const) {
        const { states } = await run(at, when)
        const point = `${when} ${what}, effect ${at}`
        expect(story(states), point).toEqual(STORY)
        expect(
          states.map(({ revision }) => revision),
          point,
        ).toEqual(states.map((_, i) => i + 1))
        const epochs = states.map(({ epoch }) => epoch)
        expect(epochs, point).toEqual(epochs.toSorted((a, b) => a - b))
        const leads = states.filter(({ last }) => last.event === "lead").map(({ epoch }) => epoch)
        expect(new Set(leads).size, point).toBe(leads.length)
      }
      if (what === "set demo/state") since = new Map()
    }
  })
})

describe("the next leader", () => {
  it.each([
    ["goes on from the bets of the one before where it reads the same evidence", true],
    ["begins anew where each reads its own", false],
  ])("%s", async (_, lasting) => {
    const inner = memoryStore()
    const clock = fakeClock(T0)
    await begin(inner, T0)
    await act(inner, "demo", { type: "promote", actor: human, reason: "" }, () => T0)
    let evidence = served(20, 0)
    const join = async (id: string) => {
      const follower = await createWritingFollower({ store: inner, rollout: "demo", clock })
      const leader = createLeader({
        store: inner,
        rollout: "demo",
        follower,
        clock,
        actor: { kind: "controller", id },
        source: { read: () => Promise.resolve(evidence), lasting },
      })
      return { leader, follower }
    }
    const one = await join("one")
    await one.leader.tick()
    evidence = served(20, 10)
    const before = (await one.leader.tick()).trip
    await one.leader.close()
    one.follower.close()
    const two = await join("two")
    const after = (await two.leader.tick()).trip
    await two.leader.close()
    two.follower.close()
    if (lasting) {
      expect(before?.rows.some(({ logE }) => logE !== 0)).toBe(true)
      expect(after).toEqual(before)
    } else expect([before, after]).toEqual([undefined, undefined])
  })
})

/** Sessions at 5 %: stable's are fine, and so are the canary's. */
function served(stable: number, canary: number): Evidence {
  const evidence = paired(1, 3, 0, () => false)
  const stratum = evidence.strata.at(-1)!
  for (let n = 0; n < stable; n++) recordEvaluation(stratum, 0, n, 0, 1, true)
  for (let n = 0; n < canary; n++) recordEvaluation(stratum, 1, n, 0, 1, true)
  return evidence
}
