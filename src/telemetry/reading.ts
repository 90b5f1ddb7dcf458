import type { Attributes } from "@opentelemetry/api"

/** A metric with the points of all its series. */
export interface MetricReading<P> {
  readonly name: string
  readonly unit: string
  readonly description: string
  readonly points: readonly P[]
}

/** One series of a counter or a gauge, as it is now. */
export interface NumberPoint {
  readonly attributes: Attributes
  readonly value: number
}

/** `counts[i]` is how many values were above `boundaries[i - 1]` and at most `boundaries[i]`. */
export interface HistogramPoint {
  readonly attributes: Attributes
  readonly boundaries: readonly number[]
  readonly counts: readonly number[]
  readonly sum: number
  readonly min: number
  readonly max: number
}

/** All metrics of one guard since it was made. */
export interface MetricsReading {
  readonly counters: readonly MetricReading<NumberPoint>[]
  readonly histograms: readonly MetricReading<HistogramPoint>[]
  readonly gauges: readonly MetricReading<NumberPoint>[]
}

/** Takes metrics by reading them when they are collected, in place of a meter; `serin/metric-producer` makes one. */
export interface MetricSink {
  /** Read from now on; the answer stops it, keeping what was counted. */
  register(read: () => MetricsReading): () => void
}
