import { createGuard } from "serin"
import { metricProducer } from "serin/metric-producer"
import { call, IDS, keep, provider, releases, standing } from "./guards.js"
import { compare, type Batch, type Row } from "./measure.js"

/** Decisions of 1,024 sessions, dealt out to as many guards of one process, which share what takes their metrics. */
function acrossRollouts(many: number, path: "api" | "producer"): Batch {
  const metrics = path === "producer" ? { metrics: metricProducer() } : { meterProvider: provider() }
  const guards = Array.from({ length: many }, (_, i) =>
    createGuard({ rollout: `bench-${i}`, state: standing(0), releases, ...metrics }),
  )
  const sessions = IDS.map((id, i) => guards[i % many]!.session(id))
  return (n) => {
    for (let i = 0; i < n; i++) keep(sessions[i & 1023]!.evaluate(call).outcome)
  }
}

/** A decision where this many rollouts are under way in one process, as a multiple of the same with one. */
export const rolloutRows = (numbers: readonly number[], rounds: number): Row[] =>
  (["api", "producer"] as const).flatMap((path) =>
    numbers.map((many) => {
      const name = `decision among ${many} rollouts vs 1, ${path === "api" ? "histogram" : "metric-producer"}`
      return compare(name, acrossRollouts(many, path), acrossRollouts(1, path), rounds)
    }),
  )
