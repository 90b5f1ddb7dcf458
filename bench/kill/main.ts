// `npm run bench:kill`: how long a kill takes from the call that makes it to the next decision, in fifty processes at once, for each
// store; and how long the bare client of the same store takes to tell the same processes anything, in the same run.
import { fork } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { bundle } from "../../scripts/bundle.js"
import { act, ensureState, newSalt } from "../../src/controller/verbs.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { startEtcd } from "../../test/servers/etcd.js"
import { startRedis } from "../../test/servers/redis.js"
import { storeAt, STORES, tellBare } from "./stores.js"
import type { StoreName } from "./stores.js"
import { spreadOf } from "./tally.js"
import type { Spread } from "./tally.js"

const { values } = parseArgs({
  options: {
    processes: { type: "string", default: "50" },
    rounds: { type: "string", default: "20" },
    store: { type: "string", multiple: true },
  },
})
const processes = Number(values.processes)
const rounds = Number(values.rounds)
const chosen = STORES.filter((name) => values.store?.includes(name) ?? true)
/** What has not arrived by then is lost, ms. */
const LIMIT_MS = 10_000
const HUMAN = { kind: "human", id: "bench" } as const
const SPEC = `
rollout: bench
stable: "1"
canary: { release: "2", acceptance_criteria: { deny_rate_delta_max: 0.02 } }
`

type Told = "ready" | "heard" | "denied" | "served"
const now = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

/** Fifty processes, and what they tell. */
function startAgents(program: string, name: StoreName, place: string) {
  let wanted: Told = "ready"
  let since = 0
  let latencies: number[] = []
  let done = (): void => {}
  const agents: ChildProcess[] = Array.from({ length: processes }, () => {
    const agent = fork(program, [name, place], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    agent.on("message", ({ is, at }: { readonly is: Told; readonly at: number }) => {
      if (is !== wanted) return
      latencies.push(at - since)
      if (latencies.length === processes) done()
    })
    return agent
  })

  /** Wait until all have told `is`; answers how long each took from the beginning of `cause`. */
  async function after(is: Told, cause: () => Promise<unknown>, limitMs = LIMIT_MS): Promise<readonly number[]> {
    wanted = is
    latencies = []
    const all = new Promise<void>((resolve) => (done = resolve))
    since = now()
    await cause()
    let timer: NodeJS.Timeout | undefined
    await Promise.race([all, new Promise((resolve) => (timer = setTimeout(resolve, limitMs)))])
    clearTimeout(timer)
    return latencies
  }

  return {
    after,
    ready: () => after("ready", async () => {}, 60_000),
    /** Resolves when all have ended: what they listen to is still there until then. */
    async end() {
      const exits = agents.map((agent) => once(agent, "exit"))
      for (const agent of agents) agent.disconnect()
      await Promise.all(exits)
    },
  }
}

async function measure(program: string, name: StoreName): Promise<{ readonly ours: Spread; readonly bare: Spread }> {
  const server = name === "redis" ? await startRedis() : name === "etcd" ? await startEtcd() : null
  const folder = mkdtempSync(join(tmpdir(), "serin-kill-"))
  const place = server === null ? folder : String(server.port)
  try {
    const store = storeAt(name, place)
    await ensureState(store, parseSpec(SPEC, { path: "bench.yaml" }), HUMAN, Date.now())
    const agents = startAgents(program, name, place)
    await agents.ready()
    const tell = tellBare(name, place)
    const ours: number[] = []
    const bare: number[] = []
    for (let round = 0; round < rounds; round++) {
      bare.push(...(await agents.after("heard", tell)))
      const kill = { type: "kill", position: "deny", actor: HUMAN, reason: "bench" } as const
      ours.push(...(await agents.after("denied", () => act(store, "bench", kill, Date.now))))
      const retry = { type: "retry", salt: newSalt(), actor: HUMAN, reason: "bench" } as const
      await agents.after("served", () => act(store, "bench", retry, Date.now))
    }
    await agents.end()
    return { ours: spreadOf(ours, rounds * processes), bare: spreadOf(bare, rounds * processes) }
  } finally {
    await server?.destroy()
    rmSync(folder, { recursive: true, force: true })
  }
}

const { folder, path } = await bundle(["bench/kill/agent.ts"])
try {
  console.log(`${processes} processes, ${rounds} rounds; ms from the call to the next decision, p50 / p99 / max (lost)`)
  for (const name of chosen) {
    const { ours, bare } = await measure(path("bench/kill/agent.ts"), name)
    const words = ({ p50, p99, max, lost }: Spread): string =>
      `${[p50, p99, max].map((ms) => ms.toFixed(0)).join(" / ")} (${lost})`
    console.log(
      `${name.padEnd(6)} serin ${words(ours)}; bare client ${words(bare)}; p99 ratio ${(ours.p99 / bare.p99).toFixed(2)}`,
    )
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(0)
