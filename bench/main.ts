import { spawnSync } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics"
import { createGuard } from "serin"
import { initialState, parseSpec } from "serin/rollout"
import type { Call, GuardOptions, Release, RolloutState } from "serin"
import { metricProducer } from "serin/metric-producer"
import { bundle } from "../scripts/bundle.js"
import { adapterCosts } from "./adapters.js"
import { engineCosts } from "./engines.js"
import { handWrittenCanary } from "./hand-written.js"
import { compare, compareBursts, garbage } from "./measure.js"
import type { Batch, Row } from "./measure.js"
import { paced } from "./paced.js"
import { replayed } from "./replay.js"
import { shadowCost, workOf } from "./shadow.js"
import { soak } from "./soak.js"
import { viewCost } from "./viewing.js"

const { values: options } = parseArgs({
  options: {
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    soak: { type: "boolean", default: false },
    replay: { type: "boolean", default: false },
    analysis: { type: "boolean", default: false },
    engines: { type: "boolean", default: false },
    fleet: { type: "boolean", default: false },
    adapters: { type: "boolean", default: false },
    dashboard: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})
if (options.help) {
  console.log(
    "npm run bench -- [--json FILE] [--quick] [--soak | --replay | --analysis | --engines | --adapters | --fleet | --dashboard]\n\n--json FILE  write [{ name, ratio, low, high, oursNs, theirsNs }]\n--quick      fewer rounds\n--soak       memory over 5,000,000 sessions, and nothing else\n--replay     calls a second of a replay, and nothing else\n--analysis   judging and merging evidence, and nothing else\n--engines    a decision by each engine, and nothing else\n--adapters   a guarded turn of an agent by each adapter, and nothing else\n--fleet      what 1,000 publishing processes cost their leader, and nothing else\n--dashboard  what 200 viewers of the dashboard cost who serves it, and nothing else",
  )
  process.exit(0)
}
const rounds = options.quick ? 9 : 41

/** A provider as an application has one: a reader that collects now and then. */
function provider(): MeterProvider {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA)
  return new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000 })] })
}

const spec = parseSpec(
  `
rollout: bench
stable: "1"
canary:
  release: "2"
  traffic_percentage: 5
  acceptance_criteria: { deny_rate_delta_max: 0.02 }
`,
  { path: "bench.yaml" },
)

function state(shadowSampleBp: number): RolloutState {
  const idle = initialState(spec, 0, "salt", { kind: "human", id: "bench" })
  return {
    ...idle,
    generation: 1,
    canary: "2",
    ramp: [{ at: 0, weightBp: 500, stage: 1 }],
    spec: { ...spec, shadowSampleBp },
  }
}

const release = (version: string): Release => ({ version, policy: { evaluate: () => "allow" } })
const releases = new Map([
  ["1", release("1")],
  ["2", release("2")],
])
const call = { action: "refund", input: { amount: 5 } }

function guardFor(
  shadowSampleBp: number,
  path: "api" | "producer" = "api",
  more: Partial<GuardOptions<Call, "sync">> = {},
) {
  const fixed = state(shadowSampleBp)
  const reader = { current: () => fixed, onChange: () => () => {} }
  const metrics = path === "producer" ? { metrics: metricProducer() } : { meterProvider: provider() }
  return createGuard({ rollout: "bench", state: reader, releases, ...metrics, ...more })
}

const IDS = Array.from({ length: 1024 }, (_, i) => `session-${i}`)
let sink = 0

function guarded(guard: ReturnType<typeof guardFor>): Batch {
  const sessions = IDS.map((id) => guard.session(id))
  return (n) => {
    for (let i = 0; i < n; i++) if (sessions[i & 1023]!.evaluate(call).outcome === "allow") sink++
  }
}

function byHand(): Batch {
  const allow = () => "allow" as const
  const canary = handWrittenCanary(provider().getMeter("app"), allow, allow)
  const sessions = IDS.map((id) => canary.session(id))
  return (n) => {
    for (let i = 0; i < n; i++) if (sessions[i & 1023]!(call) === "allow") sink++
  }
}

function direct(): Batch {
  const policies = IDS.map((_, i) => releases.get(i % 20 === 0 ? "2" : "1")!.policy)
  const context = { sessionId: "a", startedAt: 0 }
  return (n) => {
    for (let i = 0; i < n; i++) if (policies[i & 1023]!.evaluate(call, context) === "allow") sink++
  }
}

/** Decisions that look their session up by id, after `seen` other sessions. */
function afterSessions(seen: number): Batch {
  const guard = guardFor(0)
  for (let i = 0; i < seen; i++) guard.session(`old-${i}`).evaluate(call)
  return (n) => {
    for (let i = 0; i < n; i++) if (guard.session(IDS[i & 1023]!).evaluate(call).outcome === "allow") sink++
  }
}

/** A guard whose releases do some work, and which compares every call. */
function comparing(judge: () => "allow", shadow?: GuardOptions<Call, "sync">["shadow"]) {
  const worker = (version: string): Release => ({ version, policy: { evaluate: judge } })
  const both = new Map(["1", "2"].map((version) => [version, worker(version)]))
  return guardFor(10_000, "producer", { releases: both, shadow })
}

if (options.soak) {
  console.log(`sessions of one compared call each, ${20_000} remembered`)
  await soak(
    comparing(() => "allow"),
    ({ sessions, heapMb, arraysMb }) => {
      console.log(`${sessions.toLocaleString("en-US").padStart(10)}  heap ${heapMb} MB, arrays ${arraysMb} MB`)
    },
  )
  process.exit(0)
}

if (options.replay) {
  const count = options.quick ? 50_000 : 200_000
  console.log(`${count.toLocaleString("en-US")} recorded calls, judged by two releases of ten rules`)
  await replayed(count, ({ name, callsPerSecond, rssMb }) => {
    console.log(
      `${name.padEnd(48)} ${Math.round(callsPerSecond).toLocaleString("en-US").padStart(9)} calls/s  ${rssMb} MB`,
    )
  })
  process.exit(0)
}

if (options.analysis || options.fleet) {
  await tellCosts(options.fleet ? "fleet" : "analysis")
  process.exit(0)
}

if (options.dashboard) {
  console.log("what viewers of the dashboard cost who serves it, with a new report every 5 s")
  for (const viewers of [1, 200]) {
    const { share, kilobytes } = await viewCost(viewers, options.quick ? 2 : 6)
    const row = `${viewers} viewers, a report of ${kilobytes.toFixed(1)} kB`
    console.log(`${row.padEnd(64)} ${(share * 100).toFixed(1)} % of a core`)
  }
  process.exit(0)
}

if (options.adapters) {
  tellRows(await adapterCosts(() => guardFor(0, "producer"), rounds))
  process.exit(0)
}

if (options.engines) {
  const fixed = state(0)
  tellRows(engineCosts({ current: () => fixed, onChange: () => () => {} }, rounds))
  process.exit(0)
}

const rows = [
  compare("guarded decision vs hand-written-otel", guarded(guardFor(0)), byHand(), rounds),
  compare(
    "guarded decision with metric-producer vs hand-written-otel",
    guarded(guardFor(0, "producer")),
    byHand(),
    rounds,
  ),
  compare("guarded decision with metric-producer vs direct-call", guarded(guardFor(0, "producer")), direct(), rounds),
  compare("decision after 1,000 sessions vs after-1-session", afterSessions(1_000), afterSessions(1), rounds),
  compare("decision after 1,000,000 sessions vs after-1-session", afterSessions(1_000_000), afterSessions(1), rounds),
]
const log = guardFor(0, "producer", { decisionLog: { write() {} } })
rows.push(
  await compareBursts(
    "decision with a decision log vs without",
    guarded(log),
    guarded(guardFor(0, "producer")),
    () => log.idle(),
    { n: 5000, rounds: rounds * 5 },
  ),
)
const unlimited = { queue: Number.POSITIVE_INFINITY, cpuShare: 1 }
const noop = () => "allow" as const
const shadowed = []
for (const [what, judge] of [
  ["a policy of 20 µs", workOf(20)],
  ["a policy of no time", noop],
] as const) {
  const name = `call judged by both vs both-policies: ${what}`
  shadowed.push(await shadowCost(name, () => comparing(judge, unlimited), judge, rounds))
}
rows.push(...shadowed)

const delays = await delaysUnderLoad(options.quick ? 1 : 5)
const bytes = {
  api: garbage(guarded(guardFor(0))),
  producer: garbage(guarded(guardFor(0, "producer"))),
  byHand: garbage(byHand()),
}

tellRows(rows)
console.log(
  `garbage per decision: ${bytes.api.toFixed(0)} B, with metric-producer ${bytes.producer.toFixed(0)} B, hand-written ${bytes.byHand.toFixed(0)} B`,
)
for (const { name, oursNs, aimNs } of shadowed) console.log(`${name}: ${ns(oursNs)}, aim ${ns(aimNs)}`)
for (const { name, rate, p50, p99, max } of delays.rows) {
  console.log(`event loop delay, ${name} (${rate}/s): p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`)
}
console.log(`compared meanwhile: ${((delays.coverage ?? 0) * 100).toFixed(1)} % of the sampled calls`)
await tellCosts("analysis")
if (sink === 0) throw new Error("nothing was decided")

if (options.json !== undefined) {
  const table = [
    ...rows,
    ...delays.rows,
    garbageRow("garbage of a guarded decision vs hand-written-otel", bytes.api),
    garbageRow("garbage of a guarded decision with metric-producer vs hand-written-otel", bytes.producer),
  ]
  writeFileSync(options.json, `${JSON.stringify(table, null, 2)}\n`)
}
process.exit(0)

/** What the leader does each time it looks, compiled as it is published. */
async function tellCosts(what: "analysis" | "fleet"): Promise<void> {
  const programs = await bundle(["bench/costs.ts"])
  try {
    const args = [programs.path("bench/costs.ts"), what, options.quick ? "quick" : "whole"]
    const { status } = spawnSync(process.execPath, args, { stdio: "inherit" })
    if (status !== 0) throw new Error(`bench/costs.ts ended with ${status}`)
  } finally {
    rmSync(programs.folder, { recursive: true, force: true })
  }
}

/** 20,000 decisions a second, of sessions of 20 calls, each judged by both releases, beside the same calls by hand. */
async function delaysUnderLoad(seconds: number) {
  const judge = workOf(5)
  const guard = comparing(judge)
  let n = 0
  const rate = 20_000
  const rows = [
    await paced("nothing done", 0, seconds, () => {}),
    await paced("one policy of 5 µs by hand", rate, seconds, () => void judge()),
    await paced("guarded and judged by both", rate, seconds, () => {
      guard.session(`paced-${Math.floor(n++ / 20)}`).evaluate(call)
    }),
  ]
  await guard.idle()
  const { coverage } = guard.shadow()
  return { rows, coverage }
}

function tellRows(rows: readonly Row[]): void {
  console.log(
    `${"comparison".padEnd(64)} ${"ratio".padStart(8)}  ${"p10–p90".padStart(15)}  ${"ours".padStart(9)}  ${"theirs".padStart(9)}`,
  )
  for (const row of rows) {
    const spread = `${row.low.toFixed(3)}–${row.high.toFixed(3)}`
    console.log(
      `${row.name.padEnd(64)} ${row.ratio.toFixed(3).padStart(8)}  ${spread.padStart(15)}  ${ns(row.oursNs)}  ${ns(row.theirsNs)}`,
    )
  }
}

function garbageRow(name: string, ours: number) {
  return { name, ratio: ours / bytes.byHand, oursBytes: ours, theirsBytes: bytes.byHand }
}

function ns(value: number): string {
  return `${value.toFixed(0)} ns`.padStart(9)
}
