import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { connect, fileStore } from "serin"

// A fleet on one machine: a controller leads in a process of its own, two agents follow it on a shared folder, and somebody on call types `serin`.

const safety = `${import.meta.dirname}/safety`
const dir = await mkdtemp(join(tmpdir(), "serin-fleet-"))
const where = ["--rollout", `${safety}/rollout.yaml`, "--state", dir]

/** What `npx serin …` runs. */
function serin(...args: string[]) {
  const cli = `${import.meta.dirname}/../dist/cli/main.js`
  return spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "ignore", "inherit"] })
}
async function typed(...args: string[]): Promise<void> {
  const [code] = await once(serin(...args), "exit")
  if (code !== 0) throw new Error(`serin ${args.join(" ")} ended with ${code}`)
}

function agent(publisher: string) {
  const store = fileStore({ dir })
  const releases = `${safety}/releases`
  return connect({
    rollout: "refund-agent",
    store,
    releases,
    bootstrap: "1.0.0",
    lastKnownGood: false,
    evidence: store,
    publisher,
  })
}

async function until(what: string, holds: () => boolean): Promise<number> {
  const startedAt = performance.now()
  while (!holds()) {
    if (performance.now() - startedAt > 20_000) throw new Error(`20 s have passed, and not yet ${what}`)
    await delay(5)
  }
  return performance.now() - startedAt
}

const controller = serin("controller", ...where)
const agents = await Promise.all([agent("agent-a"), agent("agent-b")])
try {
  await typed("start", ...where, "--reason", "smaller refunds")
  // It begins in shadow: the canary judges every call, and serves none. The controller would promote it when that has shown enough.
  await typed("promote", ...where, "--reason", "seen in shadow")
  // A share counts for sessions that start 10 s after it was decided, so that every process has heard of it by then.
  const stages = () => agents.map((guard) => guard.status().state?.ramp.find(({ weightBp }) => weightBp > 0))
  await until("do 5 % count", () => stages().every((entry) => entry !== undefined && entry.at < Date.now()))
  // A canary serves where beats of a leader are seen to advance, and nowhere else.
  await until("do both agents see a leader", () =>
    agents.every((guard) => (guard.status().follower.lease?.leftMs ?? 0) > 0),
  )

  const ids = Array.from({ length: 400 }, (_, n) => `conversation-${n}`)
  const armsOf = (id: string) =>
    agents.map(
      (guard) => guard.session(id).evaluate({ action: "issue_refund", input: { order: "A-1001", amount: 40 } }).arm,
    )
  const arms = ids.map(armsOf)
  console.log(`${arms.filter(([arm]) => arm === "canary").length} of ${ids.length} sessions are the canary's`)
  console.log(`${arms.filter(([a, b]) => a !== b).length} have another arm in the other process`)

  const killed = typed("kill", ...where, "--reason", "refunds are refused")
  await until("does the first agent hear of the kill", () =>
    agents.some((guard) => guard.status().phase?.phase === "killed"),
  )
  const ms = await until("does the other", () => agents.every((guard) => guard.status().phase?.phase === "killed"))
  await killed
  console.log(`killed in both agents, ${ms < 1_000 ? "within a second of each other" : `${ms.toFixed(0)} ms apart`}`)
  console.log(`${ids.filter((id) => armsOf(id).includes("canary")).length} sessions are the canary's now`)
} finally {
  await Promise.all(agents.map((guard) => guard.close()))
  controller.kill()
  await once(controller, "exit")
  await rm(dir, { recursive: true, force: true })
}
