import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { describe, expect, it } from "vitest"
import { createLeader } from "../../src/controller/leader.js"
import { pastStates } from "../../src/controller/verbs.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { fileStore } from "../../src/stores/file.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { bundled } from "../bundled.js"
import { begin, evidenceFor, STORY, story } from "./story.js"

const program = bundled("test/controller/leading.ts")

/** The signal that ended it. */
function lead(...argv: readonly string[]): Promise<NodeJS.Signals | null> {
  const child = spawn(process.execPath, [program("test/controller/leading.ts"), ...argv], { stdio: "inherit" })
  return new Promise((resolve, reject) => child.once("error", reject).once("exit", (_, signal) => resolve(signal)))
}

describe("a leader that is killed with SIGKILL", () => {
  it("around any of its writes leaves its folder to the next one, who does the rest and nothing twice", async () => {
    const points = ["1 before", "1 after", "2 before", "2 after"].map((point) => ["demo/state", ...point.split(" ")])
    await Promise.all([...points, ["demo/leader", "1", "after"]].map((point) => finish(point)))
  })

  async function finish(point: readonly string[]): Promise<void> {
    const dir = await mkdtemp(join(tmpdir(), "serin-killed-"))
    const store = fileStore({ dir })
    // Long ago: its stages need no waiting.
    await begin(store, Date.now() - 3_600_000)
    expect(await lead(dir, ...point), point.join(" ")).toBe("SIGKILL")

    const clock = fakeClock(Date.now())
    const follower = await createWritingFollower({ store, rollout: "demo", clock })
    const source = { read: () => Promise.resolve(evidenceFor(follower.current()!)) }
    const actor = { kind: "controller", id: "next" } as const
    const leader = createLeader({ store, rollout: "demo", follower, clock, actor, source, everyMs: 1000 })
    await expect
      .poll(
        async () => {
          clock.advance(100)
          await clock.settle()
          return follower.status().pending.length === 0 && follower.current()?.ended?.kind
        },
        { timeout: 20_000, interval: 5 },
      )
      .toBe("rolled_back")
    const states: RolloutState[] = []
    for await (const state of pastStates(store, "demo")) states.unshift(state)
    expect(story(states), point.join(" ")).toEqual(STORY)
    expect(states.map(({ revision }) => revision)).toEqual(states.map((_, i) => i + 1))
    await leader.close()
    follower.close()
    await rm(dir, { recursive: true, force: true })
  }
})
