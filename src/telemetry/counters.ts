import type { Attributes, Counter, Meter } from "@opentelemetry/api"
import type { MetricReading, NumberPoint } from "./reading.js"

/** Counters kept in an array by the hot path and handed to OpenTelemetry as deltas when metrics are collected. */
export interface Counters {
  /** Name a series once; the answer is what {@link Counters.add} takes. */
  slot(instrument: string, attributes: Attributes): number
  /** One array write. */
  add(slot: number, amount?: number): void
  /** Make the instruments on a meter; what was counted before belongs to it. */
  bind(meter: Meter): void
  /** Give every series its growth since the last flush. */
  flush(): void
  /** Totals of all series that have counted anything. */
  read(): MetricReading<NumberPoint>[]
}

export interface CounterDescription {
  readonly unit: string
  readonly description: string
}

/** Keep counters for a closed set of instruments. Series are named at set-up; label values must be bounded by the caller. */
export function createCounters(instruments: Readonly<Record<string, CounterDescription>>): Counters {
  const series: { readonly instrument: string; readonly attributes: Attributes }[] = []
  let bound = new Map<string, Counter>()
  let totals = new Float64Array(64)
  let flushed = new Float64Array(64)

  return {
    slot(instrument, attributes) {
      if (!(instrument in instruments)) throw new RangeError(`no counter is named ${instrument}`)
      if (series.length === totals.length) {
        totals = grown(totals)
        flushed = grown(flushed)
      }
      return series.push({ instrument, attributes }) - 1
    },
    add(slot, amount = 1) {
      totals[slot]! += amount
    },
    bind(meter) {
      bound = new Map(Object.entries(instruments).map(([name, about]) => [name, meter.createCounter(name, about)]))
    },
    flush() {
      for (let slot = 0; slot < series.length; slot++) {
        const delta = totals[slot]! - flushed[slot]!
        if (delta <= 0) continue
        flushed[slot] = totals[slot]!
        const { instrument, attributes } = series[slot]!
        bound.get(instrument)?.add(delta, attributes)
      }
    },
    read: () =>
      Object.entries(instruments).map(([name, about]) => ({
        name,
        ...about,
        points: series.flatMap(({ instrument, attributes }, slot) =>
          instrument === name && totals[slot]! > 0 ? [{ attributes, value: totals[slot]! }] : [],
        ),
      })),
  }
}

function grown(array: Float64Array): Float64Array<ArrayBuffer> {
  const next = new Float64Array(array.length * 2)
  next.set(array)
  return next
}
