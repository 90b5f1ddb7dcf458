import { createNoopMeter } from "@opentelemetry/api"
import type { BatchObservableResult, Meter, MeterProvider, Observable } from "@opentelemetry/api"
import type { Complain } from "./complaint.js"
import type { Counters } from "./counters.js"
import type { Histograms } from "./histograms.js"

/** Which provider the instruments of one guard are on. Nothing here throws, whatever the provider does. */
export interface Binding {
  /**
   * Move to a provider; what was counted until now goes to the one before it. False when it failed: then counts are kept, and
   * one may ask again.
   */
  move(provider: MeterProvider): boolean
  /** Hand over what was counted, and leave. */
  close(): void
}

export interface Bindable {
  readonly counters: Counters
  readonly histograms: Histograms
  /** What is read when metrics are collected. */
  readonly observed: readonly Observed[]
  readonly complain: Complain
}

export interface Observed {
  /** Make the instruments on a meter; the answer observes all of them. */
  on(meter: Meter): { readonly all: readonly Observable[]; observe(result: BatchObservableResult): void }
}

export function createBinding({ counters, histograms, observed, complain }: Bindable): Binding {
  let current: MeterProvider | undefined
  let handOver = (): void => {}

  /** Put every instrument on a meter. The answer hands over what was counted there. */
  function join(meter: Meter): () => void {
    histograms.bind(meter)
    // Nobody listens: counts stay for the provider that comes.
    if (meter === createNoopMeter()) return () => {}
    counters.bind(meter)
    const readers = observed.map((one) => one.on(meter))
    const all = readers.flatMap((reader) => reader.all)
    let left = false
    const callback = (result: BatchObservableResult): void => {
      // A meter that could not remove it calls it for ever.
      if (left) return
      counters.flush()
      for (const reader of readers) {
        try {
          reader.observe(result)
        } catch (error) {
          complain("the meter takes no gauge", error)
        }
      }
    }
    meter.addBatchObservableCallback(callback, all)
    return () => {
      left = true
      counters.flush()
      meter.removeBatchObservableCallback(callback, all)
    }
  }

  function leave(): void {
    const last = handOver
    handOver = () => {}
    current = undefined
    try {
      last()
    } catch (error) {
      complain("the meter does not let go of its callback", error)
    }
    counters.unbind()
    histograms.unbind()
  }

  return {
    move(provider) {
      if (provider === current) return true
      leave()
      try {
        handOver = join(provider.getMeter("serin"))
        current = provider
        return true
      } catch (error) {
        complain("the meter provider makes no instruments; it is asked again", error)
        counters.unbind()
        histograms.unbind()
        return false
      }
    },
    close: leave,
  }
}
