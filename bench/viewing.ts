import { spawn } from "node:child_process"
import { once } from "node:events"
import process from "node:process"
import { setTimeout as wait } from "node:timers/promises"
import { memoryStore } from "serin"
import { initialState, parseSpec, serializeState } from "serin/rollout"
import { dashboardHandler } from "serin/dashboard"
import { listen } from "serin/serve"
import { advanceCourse, type Course } from "../src/analysis/course.js"
import { figuresOf } from "../src/analysis/figures.js"
import { lookAgain } from "../src/analysis/replay.js"
import { emptyEvidence, RAMP, serve } from "./evidence.js"
import { cpuNsSince } from "./measure.js"
import { CRITERIA } from "./verdicts/points.js"

const ROLLOUT = "bench"
/** How often a leader reports, ms. */
const REPORT_EVERY_MS = 5000

/** What viewers of the dashboard cost the process that serves it. */
interface ViewCost {
  readonly viewers: number
  /** Of one processor. */
  readonly share: number
  /** Of a report, and so of what each viewer is sent, nearly, kB. */
  readonly kilobytes: number
}

/** Tell what viewers of the dashboard cost who serves it, over so many reports. */
export async function tellViewers(reports: number): Promise<void> {
  console.log("what viewers of the dashboard cost who serves it, with a new report every 5 s")
  for (const viewers of [1, 200]) {
    const { share, kilobytes } = await viewCost(viewers, reports)
    const row = `${viewers} viewers, a report of ${kilobytes.toFixed(1)} kB`
    console.log(`${row.padEnd(64)} ${(share * 100).toFixed(1)} % of a core`)
  }
}

/** Serve the dashboard on loopback to viewers in another process, with a new report every five seconds, as a leader writes them. */
async function viewCost(viewers: number, reports: number): Promise<ViewCost> {
  const store = memoryStore()
  const spec = parseSpec(SPEC, { path: "bench.yaml" })
  const actor = { kind: "human", id: "bench" } as const
  const state = initialState(spec, Date.now(), "salt", actor)
  await store.compareAndSet(`${ROLLOUT}/state`, 0, serializeState(state))
  const report = reporting(state.generation)
  await store.compareAndSet(`${ROLLOUT}/report`, 0, report())

  const server = await listen(dashboardHandler({ store, rollouts: [ROLLOUT] }), { port: 0 })
  const args = ["--import", "tsx", "bench/viewers.ts", `${server.url}/api/${ROLLOUT}/events`, `${viewers}`]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  try {
    await once(child.stdout, "data")
    const [cpu, begun] = [process.cpuUsage(), performance.now()]
    let text = ""
    for (let i = 1; i <= reports; i++) {
      text = report()
      await store.compareAndSet(`${ROLLOUT}/report`, i, text)
      await wait(REPORT_EVERY_MS)
    }
    const share = cpuNsSince(cpu) / 1e6 / (performance.now() - begun)
    return { viewers, share, kilobytes: text.length / 1000 }
  } finally {
    child.kill()
    await server.close()
  }
}

/** Makes the next report, with a full course: another at each time, as another look makes it. */
function reporting(generation: number): () => string {
  const evidence = { ...emptyEvidence(), generation }
  serve(evidence, 100_000, 1)
  const judged = { criteria: CRITERIA, evidence, ramp: RAMP, shadow: true, falseAlarmRate: 0.05, tripBefore: undefined }
  const { verdict } = lookAgain({ ...judged, at: 0 })
  const figures = figuresOf(evidence)
  let course: Course | undefined
  for (let i = 120; i > 0; i--) course = advanceCourse(course, { ...verdict, at: Date.now() - i * REPORT_EVERY_MS })
  const side = (outcome: string) => ({ outcome, rule: "some-rule" })
  const diffs = Array.from({ length: 20 }, (_, i) => ({
    action: `action_${i}`,
    stable: side("allow"),
    canary: side("deny"),
    calls: i + 1,
  }))
  return () => {
    const at = Date.now()
    const now = { ...verdict, at }
    course = advanceCourse(course, now)
    const about = { format: "serin/report/1", rollout: ROLLOUT, revision: 1, generation, by: "bench", at, since: at }
    return JSON.stringify({ ...about, verdict: now, course, figures, diffs })
  }
}

const SPEC = `
rollout: ${ROLLOUT}
stable: "1"
canary:
  release: "2"
  traffic_percentage: 5
  acceptance_criteria: { deny_rate_delta_max: 0.02 }
`
