import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createFollower } from "../../src/controller/follower.js"
import { leaderKey, stateKey } from "../../src/controller/keys.js"
import { createLeader } from "../../src/controller/leader.js"
import { act, ensureState, readState } from "../../src/controller/verbs.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { parseBeat, serializeBeat } from "../../src/rollout/beat.js"
import { parseState, serializeState } from "../../src/rollout/state.js"
import { MAX_REVISION } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, stateWith, T0 } from "../guard/harness.js"
import { runs } from "../runs.js"

const ada = { kind: "human", id: "ada" } as const
const LAST = Number.MAX_SAFE_INTEGER

async function setting() {
  const clock = fakeClock(T0)
  const store = memoryStore()
  await ensureState(store, spec, ada, clock.now())
  const now = (): number => clock.now()
  const state = await act(store, "demo", { type: "start", spec, salt: "salt", actor: ada, reason: "try" }, now)
  /** Whoever may write, and knows no rules. */
  const scribble = async (key: string, text: string): Promise<void> => {
    const found = await store.get(key)
    await store.compareAndSet(key, found?.revision ?? 0, text)
  }
  return { clock, store, state, scribble }
}

describe("a number from which nobody could count on", () => {
  it.each(["revision", "generation", "epoch"] as const)(
    "as %s is no state, and takes nobody away from the one in force",
    async (field) => {
      const { clock, store, state, scribble } = await setting()
      const follower = await createFollower({ store, rollout: "demo", clock })
      await scribble(stateKey("demo"), JSON.stringify({ ...state, revision: state.revision + 1, [field]: LAST }))
      await follower.poll()
      expect(follower.current()).toEqual(state)
      const { problem } = follower.status()
      expect(problem?.code).toBe("rejected_invalid")
      expect(problem?.message).toMatch(new RegExp(`${field}: is above \\d+, which nobody who counts has come to`))
      // What a human writes over it is followed by all.
      await scribble(stateKey("demo"), serializeState({ ...state, revision: state.revision + 2, kill: "stable" }))
      await follower.poll()
      expect(follower.current()).toMatchObject({ revision: state.revision + 2, kill: "stable" })
      expect(follower.status().problem).toBeUndefined()
      follower.close()
    },
  )

  it("and any other that is ahead of the store's own, is not taken as revision, or all that comes would be older; but a kill in it is", async () => {
    const { clock, store, state, scribble } = await setting()
    const follower = await createFollower({ store, rollout: "demo", clock })
    await scribble(stateKey("demo"), serializeState({ ...state, revision: MAX_REVISION }))
    await follower.poll()
    expect(follower.current()).toEqual(state)
    expect(follower.status().problem).toMatchObject({
      code: "rejected_invalid",
      message: `revision 3 of the store has revision ${MAX_REVISION} of the state: another was put in its place`,
    })
    await scribble(stateKey("demo"), serializeState({ ...state, revision: MAX_REVISION - 1, kill: "deny" }))
    await follower.poll()
    expect(follower.current()).toMatchObject({ salt: state.salt, kill: "deny" })
    expect(follower.status().problem?.message).toContain("its kill switch is obeyed")
    follower.close()
  })

  it("is told by the leader, who goes on when a human has written over it", async () => {
    const { clock, store, state, scribble } = await setting()
    const follower = await createWritingFollower({ store, rollout: "demo", clock })
    const source = { read: () => Promise.resolve(null) }
    const actor = { kind: "controller", id: "one" } as const
    const leader = createLeader({ store, rollout: "demo", follower, clock, actor, source })
    await leader.seated
    const before = (await leader.tick()).revision
    await scribble(stateKey("demo"), JSON.stringify({ ...state, revision: LAST }))
    await follower.poll()
    expect(await leader.tick()).toMatchObject({
      revision: before,
      problem: expect.stringContaining("nobody who counts"),
    })
    await scribble(stateKey("demo"), serializeState({ ...follower.current()!, revision: before + 2 }))
    await follower.poll()
    expect(await leader.tick()).toMatchObject({ revision: before + 2, problem: undefined })
    await leader.close()
    follower.close()
  })

  it.each(["epoch", "beat", "revision"] as const)("as %s of a beat keeps nobody from leading", async (field) => {
    const { clock, store, state, scribble } = await setting()
    const beat = { format: "serin/leader/1", rollout: "demo", epoch: 1, beat: 1, holder: "x", revision: 1 } as const
    const sane = { ...beat, takeoverAfterMs: 3000, ledMs: 0 }
    await scribble(leaderKey("demo"), JSON.stringify({ ...sane, [field]: LAST }))
    const follower = await createWritingFollower({ store, rollout: "demo", clock })
    const source = { read: () => Promise.resolve(null) }
    const actor = { kind: "controller", id: "one" } as const
    const leader = createLeader({ store, rollout: "demo", follower, clock, actor, source })
    await leader.seated
    expect((await leader.tick()).problem).toContain("nobody who counts")
    for (let n = 0; n < 40 && leader.leading() === null; n++) {
      clock.advance(100)
      await clock.settle()
    }
    expect(leader.leading()).toBe(1)
    expect(parseBeat((await store.get(leaderKey("demo")))!.envelope)).toMatchObject({ epoch: 1, holder: "one" })
    expect(await readState(store, "demo")).toMatchObject({ rollout: "demo", salt: state.salt })
    expect(() => serializeBeat({ ...sane, [field]: MAX_REVISION + 1 })).toThrow(/nobody who counts/)
    await leader.close()
    follower.close()
  })

  it("is followed by no write", async () => {
    for (const revision of [MAX_REVISION, LAST]) {
      await expect(memoryStore().compareAndSet("a/state", revision, "x")).rejects.toMatchObject({
        code: "STORE_UNAVAILABLE",
        message: expect.stringContaining("take it out of the store"),
      })
    }
  })

  it("is refused whatever it is, and a state that is read has a next one", () => {
    const number = fc.oneof(fc.bigInt({ min: 0n, max: 1n << 70n }).map(Number), fc.maxSafeNat(), fc.nat())
    const counted = stateWith({ ramp: [{ at: T0, weightBp: 0, stage: 0 }] })
    fc.assert(
      fc.property(number, number, number, (revision, generation, epoch) => {
        const isCounted = revision >= 1 && revision <= MAX_REVISION && epoch <= MAX_REVISION
        const fits = isCounted && generation >= 1 && generation < 2 ** 32
        const text = JSON.stringify({ ...counted, revision, generation, epoch })
        if (fits) expect(Number.isSafeInteger(parseState(text).revision + 1)).toBe(true)
        else expect(() => parseState(text)).toThrow(expect.objectContaining({ code: "STATE_INVALID" }))
      }),
      { numRuns: runs(200) },
    )
  })
})
