import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import { serializeState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { Hint, ReadStore } from "../../src/rollout/store.js"
import { warmUp } from "../../src/rollout/warm-up.js"
import { trustedStore } from "../../src/stores/trusted.js"
import { keyPair, sealed, trusting } from "../signing/keys.js"
import { createFleet, revisionIn } from "./fleet.js"

let fleet = createFleet()
afterEach(async () => {
  await fleet.close()
  fleet = createFleet()
})

describe("the way from a hint to a kill in force", () => {
  it("is one read of the state, and of nothing else", async () => {
    await fleet.begin()
    const asked: string[] = []
    const store: ReadStore = {
      ...fleet.inner,
      get(key, options) {
        asked.push(key)
        return fleet.inner.get(key, options)
      },
    }
    const process = await fleet.process({ store })
    asked.length = 0
    await fleet.kill("deny")
    await fleet.clock.settle()
    expect(process.serves().source).toBe("lockdown")
    expect(asked).toEqual(["demo/state"])
  })

  describe("is no read at all where the hint brings the state", () => {
    /** A store that counts what it is asked for, and whose hints the test gives. */
    function pushing(signedBy?: readonly ReturnType<typeof keyPair>[]) {
      let hint: Hint = () => {}
      let asked = 0
      const store: ReadStore = {
        caps: fleet.inner.caps,
        async get(key, options) {
          asked++
          const found = await fleet.inner.get(key, options)
          return found && signedBy ? { ...found, envelope: sealed(key, found.envelope, signedBy) } : found
        },
        watch: (_key, given) => void (hint = given),
      }
      return {
        store,
        /** Hand on a text with a hint; answers how often the store was asked because of it. */
        async bring(envelope: string, revision = revisionIn(envelope)): Promise<number> {
          asked = 0
          hint({ revision, token: "t", envelope })
          await fleet.clock.settle()
          return asked
        },
      }
    }
    const killed = (state: RolloutState, differs: Partial<RolloutState> = {}): string =>
      serializeState({ ...state, revision: state.revision + 1, kill: "deny", ...differs })

    it("and the kill is in force in the same turn", async () => {
      const state = await fleet.begin()
      const { store, bring } = pushing()
      const process = await fleet.process({ store })
      const asked = bring(killed(state))
      expect(process.serves().source).toBe("lockdown")
      expect(await asked).toBe(0)
      expect(process.guard.status().state).toMatchObject({ revision: state.revision + 1, kill: "deny" })
    })

    it.each<[string, (state: RolloutState) => string]>([
      ["is no state", (state) => killed(state).slice(0, -1)],
      [
        "is of another rollout",
        (state) => killed(state, { rollout: "other", spec: { ...state.spec, rollout: "other" } }),
      ],
      ["is older", (state) => killed(state, { revision: 1 })],
      ["is of the revision in force, and another", (state) => killed(state, { revision: state.revision })],
    ])("but what %s moves nothing, and is looked up once", async (_name, text) => {
      const state = await fleet.begin()
      const { store, bring } = pushing()
      const process = await fleet.process({ store })
      expect(await bring(text(state))).toBe(1)
      expect(process.guard.status().state).toEqual(state)
      expect(process.problem()).toBeUndefined()
    })

    it("nor what is in the place of another revision", async () => {
      const state = await fleet.begin()
      const { store, bring } = pushing()
      const process = await fleet.process({ store })
      expect(await bring(killed(state, { revision: 2 ** 40 }), state.revision + 1)).toBe(1)
      expect(process.guard.status().state).toEqual(state)
    })

    it("where a trusted key has signed it; else it is looked up", async () => {
      const [ana, mallory] = [keyPair(), keyPair()]
      const state = await fleet.begin()
      const { store, bring } = pushing([ana])
      const process = await fleet.process({ store: trustedStore(store, { trustedKeys: trusting(ana) }) })
      for (const forged of [killed(state), sealed("demo/state", killed(state), [mallory])]) {
        expect(await bring(forged)).toBe(1)
        expect(process.guard.status().state?.kill).toBe("off")
      }
      expect(await bring(sealed("demo/state", killed(state), [ana]))).toBe(0)
      expect(process.serves().source).toBe("lockdown")
    })
  })

  it("ends before the kill is kept on disk, where it is soon as well", async () => {
    const folder = mkdtempSync(join(tmpdir(), "serin-kept-"))
    try {
      const path = join(folder, "kept.json")
      const kept = (): string => (existsSync(path) ? readFileSync(path, "utf8") : "")
      await fleet.begin()
      const process = await fleet.process({ store: fleet.inner, lastKnownGood: path })
      const seen: unknown[] = []
      process.guard.onChange(() => seen.push([process.serves().source, kept().includes('"kill":"deny"')]))
      await fleet.kill("deny")
      await fleet.clock.settle()
      await process.guard.close()
      expect(seen).toEqual([["lockdown", false]])
      expect(kept()).toContain('"kill":"deny"')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it("was gone before: a state that has every part of a state can be read", () => {
    expect(warmUp).not.toThrow()
  })
})
