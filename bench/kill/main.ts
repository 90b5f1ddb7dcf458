// `npm run bench:kill`: how long a kill takes from the call that makes it to the next decision, in fifty processes at once, for each
// store; and how long the bare client of the same store takes to tell the same processes anything, in the same run.
import { fork } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { bundle } from "../../scripts/bundle.js"
import { act, ensureState, newSalt } from "../../src/controller/verbs.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { startEtcd } from "../../test/servers/etcd.js"
import { startRedis } from "../../test/servers/redis.js"
import type { Told } from "./agent.js"
import { STORES, tellBare, writerAt } from "./stores.js"
import type { StoreName, Teller } from "./stores.js"
import { median, spreadOf } from "./tally.js"
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
const READY_MS = 120_000
/** What a kill leaves to be done afterwards is done, and is not in the way of what is measured next, ms. */
const SETTLE_MS = 200
/** How long is looked at what processes use when nothing is told, ms. */
const QUIET_MS = 2000
const HUMAN = { kind: "human", id: "bench" } as const
const SPEC = `
rollout: bench
stable: "1"
canary: { release: "2", acceptance_criteria: { deny_rate_delta_max: 0.02 } }
`

const now = (): number => Number(process.hrtime.bigint() / 1000n) / 1000
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
/** Compiled beforehand: without what this program itself is run by. */
const start = (program: string, args: readonly string[]): ChildProcess =>
  fork(program, args, { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] })

/** By one process. */
interface Used {
  /** CPU time, ms. */
  readonly cpu: number
  readonly decisions: number
}

/** Fifty processes, and what they tell. */
function startAgents(program: string, name: StoreName, place: string) {
  let wanted: Told["is"] = "ready"
  let told: Told[] = []
  let done = (): void => {}
  const agents = Array.from({ length: processes }, () => {
    const agent = start(program, [name, place])
    agent.on("message", (one: Told) => {
      if (one.is !== wanted) return
      told.push(one)
      if (told.length === processes) done()
    })
    return agent
  })

  /** Wait until all have told `is`; answers what they told. */
  async function all(is: Told["is"], cause: () => Promise<unknown>, limitMs = LIMIT_MS): Promise<readonly Told[]> {
    wanted = is
    told = []
    const complete = new Promise<void>((resolve) => (done = resolve))
    await cause()
    let timer: NodeJS.Timeout | undefined
    await Promise.race([complete, new Promise((resolve) => (timer = setTimeout(resolve, limitMs)))])
    clearTimeout(timer)
    return told
  }

  /** CPU time that a process has used so far, ms, and how often it has decided; on average. */
  async function used(): Promise<Used> {
    const each = await all("cpu", async () => agents.forEach((agent) => agent.send("cpu")))
    const mean = (of: "cpu" | "decisions"): number => each.reduce((sum, one) => sum + one[of], 0) / each.length
    return { cpu: mean("cpu"), decisions: mean("decisions") }
  }

  async function during(work: () => Promise<void>): Promise<Used> {
    const before = await used()
    await work()
    const after = await used()
    return { cpu: after.cpu - before.cpu, decisions: after.decisions - before.decisions }
  }

  /** How long each took from the beginning of `cause`, and what one of them used from then until it has settled, ms. */
  async function measure(is: Told["is"], cause: () => Promise<unknown>) {
    let latencies: readonly number[] = []
    const { cpu, decisions } = await during(async () => {
      const since = now()
      latencies = (await all(is, cause)).map(({ at }) => at - since)
      await pause(SETTLE_MS)
    })
    return { latencies, cpu, decisions }
  }

  return {
    measure,
    ready: () => all("ready", async () => {}, READY_MS),
    /** CPU time of a process for each decision when nothing is told, ms. */
    async quiet(): Promise<number> {
      const { cpu, decisions } = await during(() => pause(QUIET_MS))
      return cpu / decisions
    },
    /** Resolves when all have ended: what they listen to is still there until then. */
    async end() {
      const exits = agents.map((agent) => once(agent, "exit"))
      for (const agent of agents) agent.disconnect()
      await Promise.all(exits)
    },
  }
}

/** What was told of, and what it took. */
interface Measured {
  readonly spread: Spread
  /** CPU time for one of it in one process, without that of its decisions, ms. */
  readonly cpuMs: number
}

/** A store to write to, and where processes read it. */
async function place(name: StoreName, server: string) {
  const folder = mkdtempSync(join(tmpdir(), "serin-kill-"))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  if (name === "redis" || name === "etcd") {
    const started = name === "redis" ? await startRedis() : await startEtcd()
    const port = String(started.port)
    return { store: writerAt(name, port), reads: port, destroy: () => started.destroy().finally(remove) }
  }
  const store = writerAt(name, folder)
  if (name === "file") return { store, reads: folder, destroy: async () => remove() }
  const serving = start(server, [join(folder, "serin")])
  const [ports] = (await once(serving, "message")) as [string]
  return { store, reads: ports, destroy: async () => (serving.disconnect(), await once(serving, "exit"), remove()) }
}

async function measure(programs: { readonly agent: string; readonly server: string }, name: StoreName) {
  const { store, reads, destroy } = await place(name, programs.server)
  let agents: ReturnType<typeof startAgents> | undefined
  let bare: Teller | undefined
  try {
    await ensureState(store, parseSpec(SPEC, { path: "bench.yaml" }), HUMAN, Date.now())
    agents = startAgents(programs.agent, name, reads)
    const { measure: tellAll } = agents
    await agents.ready()
    bare = tellBare(name, reads)
    const { tell } = bare
    const nothing = (): { latencies: number[]; used: Used[] } => ({ latencies: [], used: [] })
    const kinds = { ours: nothing(), bare: nothing() }
    const note = async (kind: keyof typeof kinds, is: Told["is"], cause: () => Promise<unknown>): Promise<void> => {
      const { latencies, ...used } = await tellAll(is, cause)
      kinds[kind].latencies.push(...latencies)
      kinds[kind].used.push(used)
    }
    const writes: number[] = []
    for (let round = 0; round < rounds; round++) {
      await note("bare", "heard", tell)
      const kill = { type: "kill", position: "deny", actor: HUMAN, reason: "bench" } as const
      await note("ours", "denied", async () => {
        const since = now()
        await act(store, "bench", kill, Date.now)
        writes.push(now() - since)
      })
      const retry = { type: "retry", salt: newSalt(), actor: HUMAN, reason: "bench" } as const
      await tellAll("served", () => act(store, "bench", retry, Date.now))
    }
    const quiet = await agents.quiet()
    const measured = ({ latencies, used }: ReturnType<typeof nothing>): Measured => {
      const cpuMs = median(used.map(({ cpu, decisions }) => cpu - quiet * decisions))
      return { spread: spreadOf(latencies, rounds * processes), cpuMs }
    }
    return { ours: measured(kinds.ours), bare: measured(kinds.bare), write: spreadOf(writes, rounds) }
  } finally {
    bare?.close()
    await agents?.end()
    await destroy()
  }
}

const PROGRAMS = ["bench/kill/agent.ts", "bench/kill/server.ts"] as const
const { folder, path } = await bundle(PROGRAMS)
try {
  console.log(`${processes} processes, ${rounds} rounds; ms from the call to the next decision, p50 / p99 / max (lost)`)
  const programs = { agent: path(PROGRAMS[0]), server: path(PROGRAMS[1]) }
  for (const name of chosen) {
    const { ours, bare, write } = await measure(programs, name)
    const words = ({ spread: { p50, p99, max, lost }, cpuMs }: Measured): string =>
      `${[p50, p99, max].map((ms) => ms.toFixed(0)).join(" / ")} (${lost}), CPU ${cpuMs.toFixed(1)} ms a process`
    const ratio = (q: "p50" | "p99"): string => (ours.spread[q] / bare.spread[q]).toFixed(2)
    console.log(`${name.padEnd(6)} serin ${words(ours)}; until the writer has its answer ${write.p50.toFixed(0)}`)
    console.log(`       bare  ${words(bare)}`)
    console.log(`       ratio p50 ${ratio("p50")}, p99 ${ratio("p99")}; load ${loadavg()[0]?.toFixed(0)}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(0)
