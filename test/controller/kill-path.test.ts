import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import type { ReadStore } from "../../src/rollout/store.js"
import { warmUp } from "../../src/rollout/warm-up.js"
import { createFleet } from "./fleet.js"

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
