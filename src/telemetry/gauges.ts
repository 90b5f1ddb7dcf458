import type { Attributes, BatchObservableResult, Meter, ObservableGauge } from "@opentelemetry/api"
import type { Complain } from "./complaint.js"
import type { MetricReading, NumberPoint } from "./reading.js"

/** What the gauges show about the rollout when metrics are collected. */
export interface Gauges {
  /** Share of new sessions on the canary, 0–10 000. */
  readonly weightBp: number
  readonly phase: string
  /** Of the state in force; null: there is none. */
  readonly revision: number | null
  /** Position of the kill switch. */
  readonly kill: string
  /** Ms since the state in force was last confirmed. */
  readonly stateAgeMs: number
  /** Share of the calls sampled for the other arm that it has judged; null: none was sampled. */
  readonly shadowCoverage: number | null
  readonly fuseBlown: boolean
  /** What is wrong with following the store, by code. */
  readonly problems: readonly string[]
}

export interface GaugeReader {
  /** Values as they are now; those that cannot be told have no points. */
  read(): MetricReading<NumberPoint>[]
  /** Make the instruments on a meter; the answer observes all of them. */
  on(meter: Meter): { readonly all: readonly ObservableGauge[]; observe(result: BatchObservableResult): void }
}

const GAUGES = {
  "serin.rollout.weight": { unit: "1", description: "Share of new sessions on the canary" },
  "serin.rollout.phase": { unit: "1", description: "1 for the phase in force" },
  "serin.rollout.revision": { unit: "1", description: "Revision of the rollout state in force in this process" },
  "serin.rollout.kill": { unit: "1", description: "1 for the position of the kill switch" },
  "serin.rollout.state.age": { unit: "s", description: "Time since the rollout state was last confirmed" },
  "serin.shadow.coverage": { unit: "1", description: "Share of the sampled calls that both arms have judged" },
  "serin.fuse": { unit: "1", description: "1 while this process keeps every session on stable by its fuse" },
  "serin.rollout.problem": { unit: "1", description: "1 for each thing that is wrong with following the store" },
} as const

/** Read the gauges of one rollout; `base` is on every point. */
export function createGauges(show: () => Gauges, base: Attributes, complain: Complain): GaugeReader {
  function values(): Record<keyof typeof GAUGES, readonly NumberPoint[]> {
    const { weightBp, phase, revision, kill, stateAgeMs, shadowCoverage, fuseBlown, problems } = show()
    const age = { value: Math.max(0, stateAgeMs / 1000), attributes: base }
    return {
      "serin.rollout.weight": [{ value: weightBp / 10_000, attributes: base }],
      "serin.rollout.phase": [{ value: 1, attributes: { ...base, "serin.phase": phase } }],
      "serin.rollout.revision": revision === null ? [] : [{ value: revision, attributes: base }],
      "serin.rollout.kill": [{ value: 1, attributes: { ...base, "serin.kill": kill } }],
      "serin.rollout.state.age": [age],
      "serin.shadow.coverage": shadowCoverage === null ? [] : [{ value: shadowCoverage, attributes: base }],
      "serin.fuse": [{ value: fuseBlown ? 1 : 0, attributes: base }],
      "serin.rollout.problem": problems.map((problem) => ({
        value: 1,
        attributes: { ...base, "serin.problem": problem },
      })),
    }
  }

  function read(): MetricReading<NumberPoint>[] {
    try {
      const now = values()
      // A clock or a state may give what is no number.
      const points = (name: keyof typeof GAUGES) => now[name].filter(({ value }) => Number.isFinite(value))
      return NAMES.map((name) => ({ name, ...GAUGES[name], points: points(name) }))
    } catch (error) {
      complain("cannot read the state of the rollout for its gauges", error)
      return []
    }
  }

  return {
    read,
    on(meter) {
      const gauges = new Map<string, ObservableGauge>(
        NAMES.map((name) => [name, meter.createObservableGauge(name, GAUGES[name])]),
      )
      return {
        all: [...gauges.values()],
        observe(result) {
          for (const { name, points } of read()) {
            for (const { value, attributes } of points) result.observe(gauges.get(name)!, value, attributes)
          }
        },
      }
    },
  }
}

const NAMES = Object.keys(GAUGES) as (keyof typeof GAUGES)[]
