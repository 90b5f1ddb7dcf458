import process from "node:process"
import { createLeader } from "../../src/controller/leader.js"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { systemClock } from "../../src/model/clock.js"
import type { StateStore } from "../../src/rollout/store.js"
import { fileStore } from "../../src/stores/file.js"
import { evidenceFor } from "./story.js"

/** Lead the rollout in a folder until one of its writes, and be killed right before it or right after it. */
const [dir = "", key = "", nth = "", when = ""] = process.argv.slice(2)
const inner = fileStore({ dir })
let left = Number(nth)

const store: StateStore = {
  ...inner,
  async compareAndSet(...args) {
    const isIt = args[0] === key && --left === 0
    if (isIt && when === "before") process.kill(process.pid, "SIGKILL")
    const written = await inner.compareAndSet(...args)
    if (isIt) process.kill(process.pid, "SIGKILL")
    return written
  },
}
const follower = await createWritingFollower({ store, rollout: "demo", clock: systemClock })
createLeader({
  store,
  rollout: "demo",
  follower,
  clock: systemClock,
  actor: { kind: "controller", id: "killed" },
  everyMs: 20,
  source: { read: () => Promise.resolve(evidenceFor(follower.current()!)) },
})
// Nothing of the library keeps a process alive; and none that was to be killed may outlive its test.
setTimeout(() => {}, 10_000)
