import { monitorEventLoopDelay } from "node:perf_hooks"

/** How late the event loop came to its timers while something ran, ms. */
export interface Delay {
  readonly name: string
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** Calls a second that were made. */
  readonly rate: number
}

/** Make `rate` calls a second for `seconds`, as evenly as timers of 1 ms allow, and watch the event loop meanwhile. */
export async function paced(name: string, rate: number, seconds: number, call: () => void): Promise<Delay> {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  const start = performance.now()
  let done = 0
  histogram.enable()
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const elapsed = performance.now() - start
      for (const due = Math.floor((elapsed * rate) / 1000); done < due; done++) call()
      if (elapsed >= seconds * 1000) resolve()
      else setTimeout(tick, 1)
    }
    tick()
  })
  histogram.disable()
  const ms = (ns: number): number => Math.round(ns / 1e4) / 100
  return {
    name,
    p50: ms(histogram.percentile(50)),
    p99: ms(histogram.percentile(99)),
    max: ms(histogram.max),
    rate: Math.round((done * 1000) / (performance.now() - start)),
  }
}
