/** How much of one core background work takes, and whether it may go on. */
export interface CpuBudget {
  /** Take `ms` of work that was done. */
  spend(ms: number): void
  /** How long to wait until there is something to spend, ms; 0: go on. */
  waitMs(): number
  /** Share of one core taken lately: an exponential average over {@link AVERAGE_MS}. */
  share(): number
}

/** What was not spent is kept for a burst, up to this much time's worth. */
const BURST_MS = 1000
/** Least wait, so that a budget that is spent is not looked at all the time. */
const PAUSE_MS = 5
/** Time constant of the average, ms. */
const AVERAGE_MS = 10_000

/**
 * Keep work to a share of one core, (0, 1]: a token bucket in which a millisecond of time gives `share` milliseconds of work.
 * Work is measured after it is done, so one long piece makes a debt that is waited for.
 * A whole core is no limit.
 */
export function createCpuBudget(share: number, monotonic: () => number): CpuBudget {
  const most = share * BURST_MS
  let credit = most
  let average = 0
  let last = monotonic()

  function look(): void {
    const now = monotonic()
    const passed = Math.max(0, now - last)
    last = now
    credit = Math.min(most, credit + share * passed)
    average *= Math.exp(-passed / AVERAGE_MS)
  }

  return {
    spend(ms) {
      look()
      credit -= ms
      average += ms / AVERAGE_MS
    },
    waitMs() {
      look()
      return credit > 0 || share === 1 ? 0 : Math.max(PAUSE_MS, -credit / share)
    },
    share() {
      look()
      return average
    },
  }
}
