import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createInterface } from "node:readline"
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import { MeterProvider } from "@opentelemetry/sdk-metrics"
import { packEvidence } from "../../src/evidence/packed.js"
import { createGuard } from "../../src/guard.js"
import type { Call } from "../../src/model/call.js"
import { metricProducer } from "../../src/telemetry/producer.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { fakeState, release, T0 } from "../guard/harness.js"
import { scrapedState } from "./scraped-state.js"

/**
 * A process that serves sessions and is scraped: the same sessions for the same seed. Each line on its input is a number of sessions to
 * play; for each it writes the evidence that it has then.
 */
const { seed, port, exportBy } = JSON.parse(process.argv[2]!) as {
  seed: number
  port: number
  exportBy: "producer" | "meter"
}

const clock = fakeClock(T0)
const random = sfc32(seed)
let slow = 0

/** What a policy answers is in the call; how long it takes, too. */
const judge = (arm: "stable" | "canary") => (call: Call) => {
  const { stable, canary, ms } = call.input as { stable: "allow" | "deny"; canary: "allow" | "deny"; ms: number }
  clock.advance(ms)
  return arm === "stable" ? stable : canary
}

/** No criterion is about scans: no verdict depends on them. */
const scanners = [{ name: "letters", scan: () => ({ result: "clean" as const }) }]

const producer = metricProducer()
const exporter = new PrometheusExporter({
  preventServerStart: true,
  ...(exportBy === "producer" && { metricProducers: [producer] }),
})
const meterProvider = new MeterProvider({
  readers: [exporter],
  views: [{ instrumentName: "serin.evidence.*", aggregationCardinalityLimit: 100_000 }],
})
const guard = createGuard({
  rollout: "demo",
  state: fakeState(scrapedState()),
  clock,
  releases: new Map([
    ["1.0.0", { ...release("1.0.0", judge("stable")), scanners }],
    ["2.0.0", { ...release("2.0.0", judge("canary")), scanners }],
  ]),
  shadow: { cpuShare: 1, queue: 10_000 },
  evidenceMetrics: true,
  ...(exportBy === "producer" ? { metrics: producer } : { meterProvider }),
})

const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response))
server.listen(port, "127.0.0.1", () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }))
})

async function play(sessions: number): Promise<void> {
  for (let n = 0; n < sessions; n++) {
    const session = guard.session(`${seed}-${Math.floor(random() * 1e9)}`)
    session.scan("text", { direction: "input" })
    for (let call = 0; call < 6; call++) {
      const stable = random() < 0.05 ? "deny" : "allow"
      const canary = random() < 0.1 ? "deny" : stable
      session.evaluate({ action: "refund", input: { stable, canary, ms: 1 + (slow++ % 50) } })
    }
  }
  const shadow = { idle: false }
  void guard.idle().then(() => (shadow.idle = true))
  while (!shadow.idle) {
    clock.advance(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

createInterface({ input: process.stdin }).on("line", (line) => {
  void play(Number(line)).then(() => {
    console.log(JSON.stringify({ packed: Buffer.from(packEvidence(guard.evidence()).bytes).toString("base64") }))
  })
})
process.stdin.on("end", () => process.exit(0))
