import type { Attributes, BatchObservableResult, Meter, Observable } from "@opentelemetry/api"
import { rangesFor } from "../evidence/ranges.js"
import { COUNTED, LABELS, SERIES, SERIES_PREFIX, eachSeries, type SeriesFamily } from "../evidence/series.js"
import type { BinRange, Evidence } from "../model/evidence.js"
import type { Criterion, CriterionName } from "../model/verdict.js"
import type { Complain } from "./complaint.js"
import type { MetricReading, NumberPoint } from "./reading.js"

/** Evidence of a canary that is under way, and what it is judged by. */
export interface CountedEvidence {
  readonly evidence: Evidence
  readonly criteria: readonly Criterion[]
}

/** Evidence as metrics, for a leader that reads them elsewhere. */
export interface EvidenceMetrics {
  /** All counts as they are now, cumulative. Never throws. */
  read(): MetricReading<NumberPoint>[]
  /**
   * Make the instruments on a meter; the answer observes all of them. Observable counters, other than for what is counted for people: their
   * sums are exact whoever collects how often, and no attribute may be dropped from them anyway.
   */
  on(meter: Meter): { readonly all: readonly Observable[]; observe(result: BatchObservableResult): void }
}

/** Families by the names of their metrics. */
const FAMILIES: readonly (readonly [name: string, family: SeriesFamily])[] = Object.entries(SERIES).map(
  ([name, family]) => [SERIES_PREFIX + name, family],
)
const NAMES = [...FAMILIES.map(([name, { unit, description }]) => ({ name, unit, description })), COUNTED]

/** Read the evidence that `show` answers; null: there is none to be judged. `base` is on every point. */
export function createEvidenceMetrics(
  show: () => CountedEvidence | null,
  base: Attributes,
  complain: Complain,
): EvidenceMetrics {
  // One life of one guard: counts of a process that starts again are other series, which begin at 0, and never these.
  const life = { ...base, [LABELS.process]: globalThis.crypto.randomUUID().replaceAll("-", "").slice(0, 12) }

  function read(): MetricReading<NumberPoint>[] {
    try {
      const shown = show()
      return shown === null ? [] : readingsOf(shown, life)
    } catch (error) {
      complain("cannot read the evidence for its metrics", error)
      return []
    }
  }

  return {
    read,
    on(meter) {
      const counters = new Map(NAMES.map(({ name, ...about }) => [name, meter.createObservableCounter(name, about)]))
      return {
        all: [...counters.values()],
        observe(result) {
          for (const { name, points } of read()) {
            for (const { value, attributes } of points) result.observe(counters.get(name)!, value, attributes)
          }
        },
      }
    },
  }
}

function readingsOf({ evidence, criteria }: CountedEvidence, life: Attributes): MetricReading<NumberPoint>[] {
  const limit = (name: CriterionName): number | undefined => criteria.find((criterion) => criterion.name === name)?.max
  const [latency, scanLatency] = [limit("latency_p99_delta_max"), limit("scan_latency_p99_delta_max")]
  const needed: Readonly<Record<SeriesFamily["needs"], boolean>> = {
    calls: true,
    pairs: true,
    latency: latency !== undefined,
    scanLatency: scanLatency !== undefined,
    scans: scanLatency !== undefined || limit("scan_flag_rate_delta_max") !== undefined,
    observations: limit("alert_rate_delta_max") !== undefined,
  }
  const ranges: Readonly<Record<string, readonly BinRange[]>> = {
    latency: rangesFor(latency ?? 0),
    scanLatency: rangesFor(scanLatency ?? 0),
  }
  const common = { ...life, [LABELS.generation]: String(evidence.generation) }
  let counted = 0
  const readings = FAMILIES.filter(([, { needs }]) => needed[needs]).map(([name, family]) => {
    const points: NumberPoint[] = []
    evidence.strata.forEach((stratum, i) => {
      eachSeries(stratum, family, ranges[family.ranged ?? ""] ?? [], (labels, value) => {
        counted += value
        points.push({ attributes: { ...common, [LABELS.stratum]: String(i), ...labels }, value })
      })
    })
    return { name, unit: family.unit, description: family.description, points }
  })
  // Last: it is the sum of what has just been read, and nothing is counted in between.
  return [...readings, { ...COUNTED, points: [{ attributes: common, value: counted }] }]
}
