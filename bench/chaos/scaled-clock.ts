import type { Clock } from "serin"

export interface ScaledClock extends Clock {
  /** Set the wall clock this far from what it is, ms, as an operator or NTP would. */
  jump(ms: number): void
}

/** A clock that runs `speed` times as fast as the machine's, in every process the same: an hour passes in some minutes. */
export function scaledClock(speed: number, origin: number): ScaledClock {
  let offset = 0
  return {
    now: () => origin + (Date.now() - origin) * speed + offset,
    monotonic: () => performance.now() * speed,
    schedule(fn, delayMs, options) {
      const timer = setTimeout(fn, delayMs / speed)
      if (options?.keepAlive !== true) timer.unref()
      return () => clearTimeout(timer)
    },
    jump: (ms) => void (offset += ms),
  }
}

/** Time that all processes of this machine agree on, whatever is done to their wall clocks, ms. */
export const commonMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000
