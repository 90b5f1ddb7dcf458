import type { Attributes, Counter, Meter } from "@opentelemetry/api"
import type { Complain } from "./complaint.js"
import type { MetricReading, NumberPoint } from "./reading.js"

/** Counters kept in an array by the hot path and handed to OpenTelemetry as deltas when metrics are collected. */
export interface Counters {
  /** Name a series once; the answer is what {@link Counters.add} takes. */
  slot(instrument: string, attributes: Attributes): number
  /** One array write. An amount that is not a finite number above 0 is left out. */
  add(slot: number, amount?: number): void
  /** Make the instruments on a meter; what was counted and not yet flushed belongs to it. Throws what the meter throws. */
  bind(meter: Meter): void
  /** Keep what is counted from now on for the next meter. */
  unbind(): void
  /** Give every series its growth since the last flush. Does nothing while unbound; never throws. */
  flush(): void
  /** Totals of all series that have counted anything. */
  read(): MetricReading<NumberPoint>[]
}

export interface CounterDescription {
  readonly unit: string
  readonly description: string
}

/** Keep counters for a closed set of instruments. Series are named at set-up; label values must be bounded by the caller. */
export function createCounters(
  instruments: Readonly<Record<string, CounterDescription>>,
  complain: Complain,
): Counters {
  const series: { readonly instrument: string; readonly attributes: Attributes }[] = []
  let bound: ReadonlyMap<string, Counter> | null = null
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
      // One NaN would make the sum one for ever.
      if (amount > 0 && amount < Infinity) totals[slot]! += amount
    },
    bind(meter) {
      bound = new Map(Object.entries(instruments).map(([name, about]) => [name, meter.createCounter(name, about)]))
    },
    unbind() {
      bound = null
    },
    flush() {
      if (bound === null) return
      for (let slot = 0; slot < series.length; slot++) {
        const delta = totals[slot]! - flushed[slot]!
        if (delta <= 0) continue
        const { instrument, attributes } = series[slot]!
        try {
          bound.get(instrument)!.add(delta, attributes)
          flushed[slot]! += delta
        } catch (error) {
          // It stays for the next flush, or the next provider: to count late is better than never.
          complain("the meter takes no counts", error)
        }
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
