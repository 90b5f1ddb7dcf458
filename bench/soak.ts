import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getHeapCodeStatistics } from "node:v8"
import { AggregationTemporality, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { embed } from "serin"
import { decisionLogFile } from "serin/decision-log"
import { metricProducer } from "serin/metric-producer"
import { parseSpec } from "serin/rollout"
import { nowhere } from "./guards.js"
import { cpuNsSince } from "./measure.js"
import { paced } from "./paced.js"
import { courseOf } from "./soak/course.js"
import { release } from "./soak/releases.js"
import { trafficOf } from "./soak/traffic.js"
import { growthOf, trendOf, type Growth } from "./soak/trend.js"
import { count, megabytes } from "./table.js"

/** Calls a second; a session has 20 of them. */
const RATE = 2_000
/**
 * Sessions that a guard remembers, at least, and at most twice that: not many more than the hundred that are open with it, so that how many there
 * are at a look, 4 kB each, makes little of the heap.
 */
const REMEMBERED = 120
/** At least 20 samples; the first fifth of them is of a process that is still warming up, and is not judged. */
const SAMPLES = 20
const MOST_BETWEEN_MS = 30_000
const WARM = 0.2

const SPEC = `
rollout: soak
stable: "1"
canary:
  release: "2"
  traffic_percentage: 5
  observation_period: "4h"
  acceptance_criteria:
    error_rate_delta_max: 0.5
    deny_rate_delta_max: 0.5
    latency_p99_delta_max: "5s"
    scan_flag_rate_delta_max: 0.9
    alert_rate_delta_max: 0.9
  on_failure: hold
`

interface Sample {
  readonly at: number
  /** But for compiled code. */
  readonly heap: number
  /** What V8 has made of functions so far; it goes on for as long as some become hot. */
  readonly code: number
  readonly arrays: number
  readonly rss: number
  readonly handles: number
}

/** What must be flat, and by how much it may grow a second: less than a byte for each call, and than a handle a minute. */
const JUDGED = { heap: RATE, arrays: RATE, handles: 1 / 60 } as const

/**
 * Have everything happen at once in one process, and tell whether its memory grows: both releases judge each call, a log takes each, two readers
 * collect, a leader judges and writes, sessions come and go, and people start, promote, pause, roll back, contain, kill and retry. Answers 1 unless
 * it is shown to be flat. Needs --expose-gc.
 */
export async function soak(minutes: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "serin-soak-"))
  const file = join(folder, "rollout.yaml")
  await writeFile(file, SPEC)
  const log = await decisionLogFile({ path: join(folder, "decisions.jsonl"), maxBytes: 4 * 2 ** 20, keep: 2 })
  const readers = [
    [AggregationTemporality.DELTA, 1_000],
    [AggregationTemporality.CUMULATIVE, 5_000],
  ] as const
  const metrics = metricProducer()
  const meterProvider = new MeterProvider({
    readers: readers.map(
      ([temporality, exportIntervalMillis]) =>
        new PeriodicExportingMetricReader({
          exporter: nowhere(temporality),
          exportIntervalMillis,
          metricProducers: [metrics],
        }),
    ),
  })
  let events = 0
  const made = () =>
    ({
      rollout: file,
      releases: new Map((["1", "2"] as const).map((version) => [version, release(version)])),
      judgeEveryMs: 1_000,
      sessionMemory: REMEMBERED,
      onEvent: () => void events++,
    }) as const
  // The first leads; the other stands for a second process on its store, and has its metrics and its evidence read.
  const guards = [
    await embed({ ...made(), meterProvider, decisionLog: log }),
    await embed({ ...made(), metrics, evidenceMetrics: true }),
  ] as const
  const traffic = trafficOf(guards)
  const course = courseOf(guards[0], parseSpec(SPEC, { path: file }))
  const everyMs = Math.min(MOST_BETWEEN_MS, (minutes * 60_000) / SAMPLES)
  const samples: Sample[] = []
  const [begun, cpu] = [performance.now(), process.cpuUsage()]
  try {
    console.log(`${RATE} calls a second for ${minutes} minutes, looked at every ${everyMs / 1000} s`)
    console.log("minutes       heap       code     arrays        RSS  handles       calls   sessions  changes of state")
    const calling = paced("everything at once", RATE, minutes * 60, traffic.call)
    for (let i = 0; i < Math.round((minutes * 60_000) / everyMs); i++) {
      await course.round(begun + i * everyMs, everyMs)
      // Always after the last step: what a stage takes is the same each time.
      const sample = look((performance.now() - begun) / 1000)
      samples.push(sample)
      const sizes = [sample.heap, sample.code, sample.arrays, sample.rss].map((bytes) => megabytes(bytes).padStart(10))
      const counts = [sample.handles, traffic.calls(), traffic.sessions(), course.steps()]
      const [handles = "", ...more] = counts.map(count)
      const rest = more.map((text) => text.padStart(11)).join("")
      console.log(`${(sample.at / 60).toFixed(2).padStart(7)} ${sizes.join(" ")} ${handles.padStart(8)} ${rest}`)
    }
    const { p50, p99, max, rate } = await calling
    const share = cpuNsSince(cpu) / 1e6 / (performance.now() - begun)
    console.log(
      `${rate} calls a second were made, with ${(share * 100).toFixed(0)} % of a core; the event loop was late by ${p50} ms (p50), ${p99} ms (p99), ${max} ms (max, of a collection that the looking asks for)`,
    )
    console.log(
      `${course.failed()} changes of state failed; at least ${(course.compared() * 100).toFixed(1)} % of a step's calls were compared; ${count(events)} events, ${guards[0].status().report?.problem ?? "the leader has no problem"}`,
    )
    return verdictOf(samples)
  } finally {
    for (const guard of guards) await guard.close()
    await meterProvider.shutdown()
    await log.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function look(at: number): Sample {
  const collect = (globalThis as { gc?: () => void }).gc
  if (collect === undefined) throw new Error("run node with --expose-gc")
  collect()
  // What was kept alive by something that the first one took.
  collect()
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage()
  const { code_and_metadata_size, bytecode_and_metadata_size } = getHeapCodeStatistics()
  const code = code_and_metadata_size + bytecode_and_metadata_size
  return {
    at,
    heap: heapUsed - code,
    code,
    arrays: arrayBuffers,
    rss,
    handles: process.getActiveResourcesInfo().length,
  }
}

const WORDS: Readonly<Record<Growth, string>> = { flat: "flat", grows: "GROWS", open: "NOT SHOWN TO BE FLAT" }

function verdictOf(samples: readonly Sample[]): number {
  const judged = samples.slice(Math.round(samples.length * WARM))
  let isFlat = true
  for (const [name, limit] of Object.entries(JUDGED) as [keyof typeof JUDGED, number][]) {
    const trend = trendOf(judged.map((sample) => ({ at: sample.at, value: sample[name] })))
    const growth = growthOf(trend, limit)
    isFlat &&= growth === "flat"
    const [slope, low, high] = [trend.slope, trend.low, trend.high].map((value) =>
      name === "handles" ? (value * 60).toFixed(2) : (value / RATE).toFixed(3),
    )
    const unit = name === "handles" ? "a minute" : "bytes a call"
    console.log(`${WORDS[growth]}: ${name} grew by ${slope} ${unit} (95 %: ${low} to ${high}; flat is less than 1)`)
  }
  const told = { code: "functions become hot for minutes yet", rss: "an allocator keeps what it once had" }
  for (const [name, why] of Object.entries(told) as [keyof typeof told, string][]) {
    const { slope, low, high } = trendOf(judged.map((sample) => ({ at: sample.at, value: sample[name] })))
    const [by, from, to] = [slope, low, high].map((value) => (value / RATE).toFixed(3))
    console.log(`not judged, for ${why}: ${name} grew by ${by} bytes a call (${from} to ${to})`)
  }
  return isFlat ? 0 : 1
}
