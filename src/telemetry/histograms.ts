import type { Attributes, Histogram, Meter } from "@opentelemetry/api"
import type { Complain } from "./complaint.js"
import type { HistogramPoint, MetricReading } from "./reading.js"

/** Histograms that either go to OpenTelemetry value by value, or are kept here to be read. */
export interface Histograms {
  slot(instrument: string, attributes: Attributes): number
  /** A value that is not a finite number of at least 0 is left out, and so is one that the meter refuses. Never throws. */
  record(slot: number, value: number): void
  /** Record on a meter's instruments from now on. Throws what the meter throws. */
  bind(meter: Meter): void
  /** Keep values here from now on. */
  unbind(): void
  read(): MetricReading<HistogramPoint>[]
}

interface Series {
  readonly instrument: string
  readonly attributes: Attributes
  readonly counts: Float64Array
  /** Where values go instead of `counts`. */
  onMeter: Histogram | null
  sum: number
  min: number
  max: number
}

/** Keep histograms over `2^(k/2)`, k = `low`…`high`; a value's bin is found by its logarithm. */
export function createHistograms(
  instruments: Readonly<Record<string, { readonly unit: string; readonly description: string }>>,
  boundaries: readonly number[],
  complain: Complain,
): Histograms {
  const series: Series[] = []
  const low = Math.round(2 * Math.log2(boundaries[0]!))
  let bound: Map<string, Histogram> | null = null

  function binOf(value: number): number {
    if (value <= boundaries[0]!) return 0
    const bin = Math.min(boundaries.length, Math.ceil(2 * Math.log2(value)) - low)
    // The logarithm of a boundary may round to either side of it.
    if (bin > 0 && value <= boundaries[bin - 1]!) return bin - 1
    return bin < boundaries.length && value > boundaries[bin]! ? bin + 1 : bin
  }

  return {
    slot(instrument, attributes) {
      if (!(instrument in instruments)) throw new RangeError(`no histogram is named ${instrument}`)
      const counts = new Float64Array(boundaries.length + 1)
      return (
        series.push({
          instrument,
          attributes,
          counts,
          onMeter: bound?.get(instrument) ?? null,
          sum: 0,
          min: Infinity,
          max: -Infinity,
        }) - 1
      )
    },
    record(slot, value) {
      if (!(value >= 0 && value < Infinity)) return
      const one = series[slot]!
      if (one.onMeter !== null) {
        try {
          one.onMeter.record(value, one.attributes)
        } catch (error) {
          complain("the meter takes no durations", error)
        }
        return
      }
      one.counts[binOf(value)]! += 1
      one.sum += value
      if (value < one.min) one.min = value
      if (value > one.max) one.max = value
    },
    bind(meter) {
      bound = new Map(
        Object.entries(instruments).map(([name, about]) => [
          name,
          meter.createHistogram(name, { ...about, advice: { explicitBucketBoundaries: [...boundaries] } }),
        ]),
      )
      for (const one of series) one.onMeter = bound.get(one.instrument)!
    },
    unbind() {
      bound = null
      for (const one of series) one.onMeter = null
    },
    read: () =>
      Object.entries(instruments).map(([name, about]) => ({
        name,
        ...about,
        points: series
          .filter((one) => one.instrument === name && one.max >= one.min)
          .map(({ attributes, counts, sum, min, max }) => ({
            attributes,
            boundaries,
            counts: [...counts],
            sum,
            min,
            max,
          })),
      })),
  }
}
