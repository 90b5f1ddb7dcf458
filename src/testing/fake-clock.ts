import type { Clock } from "../model/clock.js"

/** A clock that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /** Move both clocks forward and run what falls due, in order of time. */
  advance(ms: number): void
  /** Set the wall clock alone, as an operator or NTP would; may go backwards. */
  setWall(ms: number): void
  /** How many timers wait: 0 when nothing was left behind. */
  pending(): number
  /** Let everything that is already resolved run: drains microtasks and immediates. */
  settle(): Promise<void>
}

/** Make a clock that moves only when told. `now` starts at `startMs` (ms since the epoch), `monotonic` at 0. */
export function fakeClock(startMs = Date.UTC(2026, 0, 1)): FakeClock {
  let monotonic = 0
  let wallOffset = startMs
  let nextId = 0
  const timers = new Map<number, { due: number; fn: () => void }>()

  function nextDue(limit: number): number | undefined {
    let found: number | undefined
    let due = limit
    for (const [id, timer] of timers) {
      if (timer.due < due || (timer.due === due && found === undefined)) {
        found = id
        due = timer.due
      }
    }
    return found
  }

  return {
    now: () => wallOffset + monotonic,
    monotonic: () => monotonic,
    schedule(fn, delayMs) {
      const id = nextId++
      timers.set(id, { due: monotonic + Math.max(0, delayMs), fn })
      return () => void timers.delete(id)
    },
    advance(ms) {
      const target = monotonic + ms
      for (let id = nextDue(target); id !== undefined; id = nextDue(target)) {
        const timer = timers.get(id)
        timers.delete(id)
        if (timer === undefined) break
        monotonic = Math.max(monotonic, timer.due)
        timer.fn()
      }
      monotonic = target
    },
    setWall(ms) {
      wallOffset = ms - monotonic
    },
    pending: () => timers.size,
    async settle() {
      for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}
