import { rmSync } from "node:fs"
import { bundle } from "../../scripts/bundle.js"
import { act, ensureState, newSalt } from "../../src/controller/verbs.js"
import { parseSpec } from "../../src/rollout/spec.js"
import type { Actor } from "../../src/rollout/state.js"
import { redisStore } from "../../src/stores/redis.js"
import { readLines } from "./event.js"
import type { Line } from "./event.js"
import { ROLLOUT, SPEC } from "./fleet.js"
import { RULES, violationsOf } from "./invariants.js"
import type { Violation } from "./invariants.js"
import { commonMs } from "./scaled-clock.js"
import { calmAt, scriptOf } from "./script.js"
import { createWorld } from "./world.js"

export interface ChaosOptions {
  readonly seed: number
  readonly agents: number
  /** Of the scripted time. */
  readonly minutes: number
  /** How much faster than the machine's clock the script's time passes. */
  readonly speed: number
  /** Leave what the processes wrote. */
  readonly keep: boolean
  readonly tell: (text: string) => void
}

export interface ChaosReport {
  readonly decisions: number
  readonly byCanary: number
  readonly disturbances: number
  readonly revisions: number
  readonly violations: readonly Violation[]
}

const HUMAN: Actor = { kind: "human", id: "chaos" }
/** A canary may be served this much longer than its lease by the promise, scripted ms. */
const LEASE_MS = 15_000 + 1000
/** The last generation goes through its stages, ms. */
const CALM_MS = 4 * 60_000
/** For what a machine of few cores does late: forks, scripts and file writes of twenty processes at once; common ms. */
const TOLERANCE_MS = 50

/** Play one script on a fleet, and hold what its processes wrote to the promises. */
export async function chaos({ seed, agents: count, minutes, speed, keep, tell }: ChaosOptions): Promise<ChaosReport> {
  const programs = await bundle(["bench/chaos/agent.ts", "bench/chaos/leader.ts"])
  const agents = Array.from({ length: count }, (_, i) => `agent-${i + 1}`)
  const leaders = ["leader-1", "leader-2", "leader-3"]
  const script = scriptOf(seed, minutes, agents, leaders)
  const world = await createWorld({
    agents,
    leaders,
    programs: { agent: programs.path("bench/chaos/agent.ts"), leader: programs.path("bench/chaos/leader.ts") },
    speed,
    seed,
    verb,
    tell,
  })
  const store = redisStore({ url: `redis://127.0.0.1:${world.port}` })
  const scripted = (): number => (commonMs() - begun) * speed
  let begun = commonMs()
  let acted = 0

  async function verb(name: "kill" | "retry" | "rollback" | "pause" | "resume" | "start"): Promise<void> {
    const asked = { actor: HUMAN, reason: `the script says ${name}` }
    const event =
      name === "kill"
        ? ({ type: "kill", position: "stable", ...asked } as const)
        : name === "retry"
          ? ({ type: "retry", salt: newSalt(), ...asked } as const)
          : name === "start"
            ? ({ type: "start", spec, salt: newSalt(), ...asked } as const)
            : ({ type: name, ...asked } as const)
    await act(store, ROLLOUT, event, () => Date.now())
    acted++
  }

  const spec = parseSpec(SPEC, { path: "chaos.yaml" })
  try {
    await ensureState(store, spec, HUMAN, Date.now())
    await world.populate()
    begun = commonMs()
    await verb("start")
    tell(
      `${agents.length} agents, ${leaders.length} leaders, ${script.length} disturbances in ${minutes} min, ${speed} times as fast, seed ${seed}`,
    )
    const running: Promise<void>[] = []
    for (const one of script) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, one.at - scripted()) / speed))
      // Whatever the machine was late with is over before the calm begins.
      if (one.at > calmAt(minutes)) await Promise.all(running)
      running.push(world.apply(one))
    }
    await Promise.all(running)
    await new Promise((resolve) => setTimeout(resolve, Math.max(CALM_MS, minutes * 60_000 - scripted()) / speed))
    const stuck = await world.end()
    const lines = new Map([...world.lines].map(([name, path]) => [name, readLines(path)]))
    const leaseMs = LEASE_MS / speed + TOLERANCE_MS
    const violations = [
      ...violationsOf({ lines, isolations: world.isolations(), losses: world.losses(), leaseMs }),
      ...stuck.map((process) => ({ rule: RULES.ends, process, t: commonMs(), what: "did not end within 20 s" })),
    ]
    const decisions = [...lines.values()].flat().filter((line) => line.is === "decision")
    const report = {
      decisions: decisions.length,
      byCanary: decisions.filter(({ arm }) => arm === "canary").length,
      disturbances: script.length,
      revisions: (await store.get(`${ROLLOUT}/state`))?.revision ?? 0,
      violations,
    }
    tellReport(report, lines, acted, tell)
    return report
  } finally {
    await store.close()
    const lines = await world.destroy(keep)
    if (keep) tell(`what each process wrote is in ${lines}`)
    rmSync(programs.folder, { recursive: true, force: true })
  }
}

function tellReport(
  { decisions, byCanary, revisions, violations }: ChaosReport,
  lines: ReadonlyMap<string, readonly Line[]>,
  acted: number,
  tell: (text: string) => void,
): void {
  const problems = new Map<string, number>()
  for (const line of [...lines.values()].flat()) {
    if (line.is === "problem") problems.set(line.code, (problems.get(line.code) ?? 0) + 1)
  }
  tell(`${decisions} decisions, ${byCanary} by the canary; ${revisions} revisions, ${acted} of them by a human`)
  tell(`what followers met: ${[...problems].map(([code, count]) => `${code} ${count}`).join(", ")}`)
  for (const rule of Object.values(RULES)) {
    const broken = violations.filter((violation) => violation.rule === rule)
    tell(`${broken.length === 0 ? "kept" : `BROKEN ${broken.length} times`}: ${rule}`)
    for (const { process, t, what } of broken.slice(0, 5)) tell(`    ${process} at ${Math.round(t)}: ${what}`)
  }
}
