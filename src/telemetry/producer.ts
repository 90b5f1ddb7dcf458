import type { Attributes, HrTime } from "@opentelemetry/api"
import type { CollectionResult, MetricData, MetricProducer } from "@opentelemetry/sdk-metrics"
import type { HistogramPoint, MetricReading, MetricSink, MetricsReading, NumberPoint } from "./reading.js"

/** Give it to a metric reader (`metricProducers: [producer]`) and to guards (`metrics: producer`). */
export interface MetricsProducer extends MetricProducer, MetricSink {}

/**
 * Make a producer: metrics are read from the guards' own counts when a reader collects, so a decision calls no instrument.
 * Needs `@opentelemetry/sdk-metrics` for its types alone. Sums are cumulative, whatever the reader prefers.
 */
export function metricProducer(): MetricsProducer {
  const sources = new Set<() => MetricsReading>()
  /** What closed guards counted. A counter that disappears would look like a reset. */
  let closed: Sums = { counters: [], histograms: [] }
  const startTime = hrTime()

  return {
    register(read) {
      const source = (): MetricsReading => read()
      sources.add(source)
      return () => {
        if (!sources.has(source)) return
        closed = sumsOf([closed, source()])
        sources.delete(source)
      }
    },
    collect() {
      const endTime = hrTime()
      const errors: unknown[] = []
      const readings = [...sources].flatMap((read) => {
        try {
          return [read()]
        } catch (error) {
          errors.push(error)
          return []
        }
      })
      const { counters, histograms } = sumsOf([closed, ...readings])
      const gauges = merged(
        readings.flatMap((reading) => reading.gauges),
        (_, later) => later,
      )
      const metrics = [
        ...counters.map((metric) => sumOf(metric, startTime, endTime)),
        ...histograms.map((metric) => histogramOf(metric, startTime, endTime)),
        ...gauges.map((metric) => gaugeOf(metric, endTime)),
      ].filter((metric) => metric.dataPoints.length > 0)
      // A reader takes the scopes and keeps its own resource.
      const resourceMetrics = { scopeMetrics: [{ scope: { name: "serin" }, metrics }] }
      return Promise.resolve({ resourceMetrics, errors } as unknown as CollectionResult)
    },
  }
}

/** What adds up; gauges do not. */
type Sums = Pick<MetricsReading, "counters" | "histograms">

const sumsOf = (readings: readonly Sums[]): Sums => ({
  counters: merged(
    readings.flatMap((reading) => reading.counters),
    addNumbers,
  ),
  histograms: merged(
    readings.flatMap((reading) => reading.histograms),
    addHistograms,
  ),
})

/** Values of the SDK's enums, so that it is not needed at run time. */
const CUMULATIVE = 1
const DATA_POINT = { histogram: 0, gauge: 2, sum: 3 } as const
const INT = 0
const DOUBLE = 1

function sumOf(metric: MetricReading<NumberPoint>, startTime: HrTime, endTime: HrTime): MetricData {
  return {
    descriptor: describe(metric, INT),
    aggregationTemporality: CUMULATIVE,
    dataPointType: DATA_POINT.sum,
    isMonotonic: true,
    dataPoints: metric.points.map((point) => ({ ...point, startTime, endTime })),
  }
}

function histogramOf(metric: MetricReading<HistogramPoint>, startTime: HrTime, endTime: HrTime): MetricData {
  return {
    descriptor: describe(metric, DOUBLE),
    aggregationTemporality: CUMULATIVE,
    dataPointType: DATA_POINT.histogram,
    dataPoints: metric.points.map(({ attributes, boundaries, counts, sum, min, max }) => ({
      startTime,
      endTime,
      attributes,
      value: {
        buckets: { boundaries: [...boundaries], counts: [...counts] },
        count: counts.reduce((total, count) => total + count, 0),
        sum,
        min,
        max,
      },
    })),
  }
}

function gaugeOf(metric: MetricReading<NumberPoint>, endTime: HrTime): MetricData {
  return {
    descriptor: describe(metric, DOUBLE),
    aggregationTemporality: CUMULATIVE,
    dataPointType: DATA_POINT.gauge,
    dataPoints: metric.points.map((point) => ({ ...point, startTime: endTime, endTime })),
  }
}

/** One metric a name and one point a label set, for guards that share a rollout: a reader takes each but once. */
function merged<P extends { readonly attributes: Attributes }>(
  metrics: readonly MetricReading<P>[],
  add: (a: P, b: P) => P,
): MetricReading<P>[] {
  const byName = new Map<string, { about: MetricReading<P>; points: Map<string, P> }>()
  for (const metric of metrics) {
    const { points } = byName.get(metric.name) ?? { points: new Map<string, P>() }
    byName.set(metric.name, { about: metric, points })
    for (const point of metric.points) {
      const key = JSON.stringify(point.attributes)
      const before = points.get(key)
      points.set(key, before === undefined ? point : add(before, point))
    }
  }
  return [...byName.values()].map(({ about, points }) => ({ ...about, points: [...points.values()] }))
}

const addNumbers = (a: NumberPoint, b: NumberPoint): NumberPoint => ({ ...a, value: a.value + b.value })

const addHistograms = (a: HistogramPoint, b: HistogramPoint): HistogramPoint => ({
  ...a,
  counts: a.counts.map((count, i) => count + b.counts[i]!),
  sum: a.sum + b.sum,
  min: Math.min(a.min, b.min),
  max: Math.max(a.max, b.max),
})

const describe = ({ name, unit, description }: MetricReading<unknown>, valueType: 0 | 1) => ({
  name,
  unit,
  description,
  valueType,
})

function hrTime(): HrTime {
  const ms = performance.timeOrigin + performance.now()
  return [Math.trunc(ms / 1000), Math.round((ms % 1000) * 1e6)]
}
