import { describe, expect, it } from "vitest"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { act, ensureState, newSalt, readState } from "../../src/controller/verbs.js"
import { isDecrease, phaseOf } from "../../src/rollout/phase.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { StateStore } from "../../src/rollout/store.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, stateWith, T0 } from "../guard/harness.js"
import { unreliable } from "./unreliable.js"

const human = { kind: "human", id: "ada" } as const
const kill = (position: "stable" | "deny") => ({ type: "kill", position, actor: human, reason: "incident" }) as const
const rollback = { type: "rollback", actor: human, reason: "bad" } as const
const contain = { type: "contain", actor: human, reason: "both are bad" } as const
const retry = () => ({ type: "retry", salt: newSalt(), actor: human, reason: "mended" }) as const

/** A canary at 5 %, in revision 3; `elsewhere` acts as another process with a store that works. */
async function setUp(wrap: (store: StateStore) => StateStore = (store) => store) {
  const clock = fakeClock(T0)
  const inner = memoryStore()
  const { store, turn } = unreliable(inner)
  const elsewhere = (event: RolloutEvent) => act(inner, "demo", event, () => clock.now())
  await ensureState(inner, spec, human, clock.now())
  await elsewhere({ type: "start", spec, salt: newSalt(), actor: human, reason: "" })
  await elsewhere({ type: "promote", actor: human, reason: "" })
  const follower = await createWritingFollower({ store: wrap(store), rollout: "demo", clock })
  const stored = async (): Promise<RolloutState> => (await readState(inner, "demo"))!
  return { clock, inner, turn, elsewhere, follower, stored, phase: () => phaseOf(follower.current()!).phase }
}

describe("a decrease", () => {
  const running = stateWith()
  const ended = stateWith({ ended: { kind: "rolled_back", at: T0 } })
  const contained = stateWith({ ended: { kind: "contained", at: T0 } })
  it.each<[string, RolloutState, Partial<RolloutState>, boolean]>([
    ["a rollback", running, { ended: { kind: "rolled_back", at: T0 } }, true],
    ["a kill of a running canary", running, { kill: "stable" }, true],
    ["a lockdown of a running canary", running, { kill: "deny" }, true],
    ["a containment", running, { ended: { kind: "contained", at: T0 } }, true],
    ["a containment after a rollback", ended, { ended: { kind: "contained", at: T0 } }, true],
    ["a rollback of a containment", contained, { ended: { kind: "rolled_back", at: T0 } }, false],
    ["a retry of a containment", contained, { ended: null }, false],
    ["a kill of a containment", contained, { kill: "stable" }, true],
    ["a containment in place of a kill", stateWith({ ...ended, kill: "stable" }), { ...contained, revision: 2 }, false],
    ["a kill after a rollback", ended, { kill: "stable" }, true],
    ["a lockdown after a rollback", ended, { kill: "deny" }, true],
    ["a lockdown after a kill", stateWith({ kill: "stable" }), { kill: "deny" }, true],
    ["the end of a lockdown", stateWith({ kill: "deny" }), { kill: "stable" }, false],
    ["a larger share", running, { ramp: [{ at: T0, weightBp: 10_000, stage: 1 }] }, false],
    ["a hold", running, { holds: [{ reason: "paused", since: T0 }] }, false],
    ["a promotion", running, { ended: { kind: "promoted", at: T0 } }, false],
    ["a new start", ended, { ended: null }, false],
    ["nothing", running, {}, false],
  ])("is told from everything else: %s", (_, state, patch, answer) => {
    expect(isDecrease(state, { ...state, ...patch })).toBe(answer)
  })

  it.each(["down", "stalled", "read-only"] as const)(
    "is in force at once while the store is %s, and written when it is back",
    async (weather) => {
      const { clock, turn, elsewhere, follower, stored, phase } = await setUp()
      turn(weather)
      const acting = follower.act(kill("deny")).then(
        () => "resolved",
        (error: { code: string }) => error.code,
      )
      expect(follower.current()?.kill).toBe("deny")
      for (let ms = 0; ms < 4000; ms += 1000) {
        clock.advance(1000)
        await clock.settle()
      }
      expect(await acting).toBe("STORE_UNAVAILABLE")
      expect(follower.status().pending).toMatchObject([{ event: "kill", since: T0, message: /down|no answer/ }])
      expect((await stored()).kill).toBe("off")
      // Others go on meanwhile; what they write is followed, and stays below the kill.
      await elsewhere({ type: "pause", actor: human, reason: "" })
      await elsewhere({ type: "resume", actor: human, reason: "" })
      if (weather === "read-only") {
        await follower.poll()
        expect(follower.current()).toMatchObject({ kill: "deny", revision: 6 })
      }
      turn("fine")
      clock.advance(5000)
      await clock.settle()
      expect(await stored()).toMatchObject({ kill: "deny", revision: 6, last: { at: T0, reason: "incident" } })
      expect(follower.current()).toEqual(await stored())
      expect(follower.status()).toMatchObject({ pending: [], problem: undefined })
      expect(phase()).toBe("killed")
      follower.close()
    },
  )

  it("gives way to what goes beyond it in the store: a lockdown, a promotion that still serves", async () => {
    const { elsewhere, follower, stored } = await setUp()
    await elsewhere(kill("deny"))
    await expect(follower.act(rollback)).rejects.toMatchObject({ code: "TRANSITION_REFUSED" })
    expect(follower.current()).toEqual(await stored())
    expect(follower.current()?.kill).toBe("deny")
    expect(follower.status()).toMatchObject({ pending: [], problem: undefined })
    follower.close()
  })

  it("is not undone when it is refused and the state that refused it cannot be read", async () => {
    const { inner, elsewhere, follower, phase, turn, clock } = await setUp()
    await elsewhere(kill("stable"))
    const get = inner.get
    inner.get = async (...args) => {
      const found = await get(...args)
      turn("down")
      return found
    }
    await expect(follower.act(rollback)).rejects.toMatchObject({ code: "TRANSITION_REFUSED" })
    expect(phase()).toBe("rolled_back")
    inner.get = get
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect(phase()).toBe("killed")
    follower.close()
  })

  it("decides by the stored state, not by an old one that is known here", async () => {
    const { elsewhere, follower, stored, phase } = await setUp()
    await elsewhere(rollback)
    await follower.poll()
    await elsewhere(retry())
    expect(phase()).toBe("rolled_back")
    await follower.act(rollback)
    expect(phaseOf(await stored()).phase).toBe("rolled_back")
    expect(follower.current()).toEqual(await stored())
    follower.close()
  })

  it("of a canary does not stop the one that a human started since; a kill does", async () => {
    for (const [event, phaseThen] of [
      [rollback, "shadow"],
      [kill("stable"), "killed"],
    ] as const) {
      const { turn, elsewhere, follower, stored, clock } = await setUp()
      turn("down")
      await expect(follower.act(event)).rejects.toThrow("down")
      await elsewhere(rollback)
      await elsewhere(retry())
      turn("fine")
      clock.advance(5000)
      await clock.settle()
      expect(phaseOf(await stored()).phase).toBe(phaseThen)
      expect(follower.current()).toEqual(await stored())
      follower.close()
    }
  })

  it("that was written, but not answered for, does not come back after a human lifted it", async () => {
    const { turn, elsewhere, follower, stored, clock } = await setUp()
    turn("deaf")
    await expect(follower.act(kill("deny"))).rejects.toMatchObject({ code: "STORE_AMBIGUOUS" })
    expect((await stored()).kill).toBe("deny")
    turn("down")
    await elsewhere(retry())
    const { revision } = await stored()
    expect(follower.current()?.kill).toBe("deny")
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect(await stored()).toMatchObject({ revision, kill: "off", generation: 2 })
    expect(follower.current()).toEqual(await stored())
    follower.close()
  })

  it("over a state that somebody else ended first is kept, when it goes further", async () => {
    const { turn, elsewhere, follower, stored, clock } = await setUp()
    turn("down")
    await expect(follower.act(kill("stable"))).rejects.toThrow("down")
    await elsewhere(rollback)
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect(await stored()).toMatchObject({ kill: "stable", ended: { kind: "rolled_back" } })
    follower.close()
  })

  it("is kept when it is a kill that changes nothing here, because what is known here is old", async () => {
    const { turn, elsewhere, follower, stored, clock } = await setUp()
    await elsewhere(kill("deny"))
    await follower.poll()
    await elsewhere(kill("stable"))
    turn("read-only")
    await expect(follower.act(kill("deny"))).rejects.toThrow("down")
    expect((await follower.act(kill("stable"))).kill).toBe("stable")
    expect(follower.current()?.kill).toBe("deny")
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect((await stored()).kill).toBe("deny")
    expect(follower.current()).toEqual(await stored())
    expect(follower.status().pending).toEqual([])
    follower.close()
  })

  it("that is a kill is kept by a process that has read no state yet", async () => {
    const { store, turn } = unreliable(memoryStore())
    const clock = fakeClock(T0)
    turn("down")
    const follower = await createWritingFollower({ store, rollout: "demo", clock })
    await expect(follower.act(kill("deny"))).rejects.toThrow("down")
    await expect(follower.act(rollback)).rejects.toThrow("down")
    expect(follower.status().pending).toMatchObject([{ event: "kill" }])
    turn("fine")
    await ensureState(store, spec, human, T0)
    await follower.poll()
    expect((await readState(store, "demo"))?.kill).toBe("deny")
    expect(follower.current()?.kill).toBe("deny")
    follower.close()
  })

  it("is not taken for written by a store that went back", async () => {
    const { inner, clock, follower, turn } = await setUp()
    const anew = memoryStore()
    await ensureState(anew, spec, human, T0)
    inner.get = anew.get
    inner.compareAndSet = anew.compareAndSet
    await follower.act(kill("deny"))
    expect(follower.current()?.kill).toBe("deny")
    expect((await readState(anew, "demo"))?.kill).toBe("deny")
    for (let i = 0; i < 3; i++) {
      clock.advance(5000)
      await clock.settle()
    }
    expect(follower.current()).toMatchObject({ kill: "deny", generation: 1 })
    expect((await readState(anew, "demo"))?.revision).toBe(2)
    expect(follower.status().problem?.code).toBe("rejected_older_revision")
    turn("fine")
    follower.close()
  })

  it("that was written is not done again when a human lifted it before the answer came", async () => {
    let release = (): void => {}
    const { clock, elsewhere, follower, stored } = await setUp((store) => ({
      ...store,
      async compareAndSet(...args) {
        const result = await store.compareAndSet(...args)
        await new Promise<void>((resolve) => (release = resolve))
        return result
      },
    }))
    const acting = follower.act(kill("deny"))
    await clock.settle()
    await elsewhere(retry())
    await follower.poll()
    expect(follower.current()).toMatchObject({ generation: 2, kill: "deny" })
    release()
    await acting
    expect(await stored()).toMatchObject({ kill: "off", generation: 2 })
    expect(follower.current()).toEqual(await stored())
    expect(follower.status()).toMatchObject({ pending: [], problem: undefined })
    follower.close()
  })

  it("does not take the answer to a read that it overtook for a replay", async () => {
    let release = (): void => {}
    let reads = 0
    const { follower } = await setUp((store) => ({
      ...store,
      async get(...args) {
        const found = await store.get(...args)
        if (++reads === 2) await new Promise<void>((resolve) => (release = resolve))
        return found
      },
    }))
    const polling = follower.poll()
    await follower.act(kill("deny"))
    release()
    await polling
    expect(follower.current()?.kill).toBe("deny")
    expect(follower.status().problem).toBeUndefined()
    follower.close()
  })
})

describe("a containment", () => {
  it("acts at once while the store is down, over whatever it says, and is written when it is back", async () => {
    for (const other of [rollback, { type: "promote", to: "end", actor: human, reason: "" }] as const) {
      const { turn, elsewhere, follower, stored, phase, clock } = await setUp()
      turn("down")
      await expect(follower.act(contain)).rejects.toThrow("down")
      expect(phase()).toBe("contained")
      expect(follower.status().pending).toMatchObject([{ event: "contain" }])
      await elsewhere(other)
      turn("fine")
      clock.advance(5000)
      await clock.settle()
      expect(await stored()).toMatchObject({ ended: { kind: "contained", at: T0 }, last: { reason: "both are bad" } })
      expect(follower.current()).toEqual(await stored())
      expect(follower.status().pending).toEqual([])
      follower.close()
    }
  })

  it("stays when a rollback that was decided before comes late", async () => {
    const { turn, elsewhere, follower, stored, clock } = await setUp()
    turn("down")
    await expect(follower.act(rollback)).rejects.toThrow("down")
    await elsewhere(contain)
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect(phaseOf(await stored()).phase).toBe("contained")
    expect(follower.current()).toEqual(await stored())
    expect(follower.status().pending).toEqual([])
    follower.close()
  })

  it("is ended by a rollback only once the store has it", async () => {
    const { turn, follower, phase } = await setUp()
    await follower.act(contain)
    turn("down")
    await expect(follower.act(rollback)).rejects.toThrow("down")
    expect(phase()).toBe("contained")
    expect(follower.status().pending).toEqual([])
    turn("fine")
    await follower.act(rollback)
    expect(phase()).toBe("rolled_back")
    follower.close()
  })

  it("that was written, but not answered for, does not come back after a human ended it", async () => {
    const { turn, elsewhere, follower, stored, clock } = await setUp()
    turn("deaf")
    await expect(follower.act(contain)).rejects.toMatchObject({ code: "STORE_AMBIGUOUS" })
    turn("down")
    await elsewhere(rollback)
    const { revision } = await stored()
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect(await stored()).toMatchObject({ revision, ended: { kind: "rolled_back" } })
    expect(follower.current()).toEqual(await stored())
    follower.close()
  })

  it("that repeats one is kept, because what is known here may be old", async () => {
    const { turn, elsewhere, follower, stored, clock } = await setUp()
    await elsewhere(contain)
    await follower.poll()
    await elsewhere(rollback)
    turn("down")
    await expect(follower.act(contain)).rejects.toThrow("down")
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect(phaseOf(await stored()).phase).toBe("contained")
    follower.close()
  })

  it("gives way to a kill, whatever its position", async () => {
    const { turn, elsewhere, follower, stored, clock } = await setUp()
    turn("down")
    await expect(follower.act(kill("stable"))).rejects.toThrow("down")
    await elsewhere(contain)
    turn("fine")
    clock.advance(5000)
    await clock.settle()
    expect(await stored()).toMatchObject({ kill: "stable", ended: { kind: "contained" } })
    follower.close()
  })
})

describe("an event that is no decrease", () => {
  it("does nothing here until the store has it", async () => {
    const { turn, follower, phase } = await setUp()
    turn("down")
    await expect(follower.act({ type: "promote", to: "end", actor: human, reason: "" })).rejects.toThrow("down")
    expect(phase()).toBe("canary")
    expect(follower.status().pending).toEqual([])
    turn("fine")
    await follower.act({ type: "promote", to: "end", actor: human, reason: "" })
    expect(phase()).toBe("promoted")
    follower.close()
  })

  it("that the store does not answer for rejects in time, as what it is", async () => {
    const { clock, turn, follower, inner } = await setUp()
    turn("stalled")
    const reading = follower.act({ type: "promote", actor: human, reason: "" })
    clock.advance(2000)
    await expect(reading).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    turn("fine")
    const compareAndSet = inner.compareAndSet
    inner.compareAndSet = () => new Promise(() => {})
    const writing = follower.act({ type: "promote", actor: human, reason: "" })
    await clock.settle()
    clock.advance(2000)
    await expect(writing).rejects.toMatchObject({ code: "STORE_AMBIGUOUS" })
    inner.compareAndSet = compareAndSet
    follower.close()
  })
})
