import type { Clock } from "../model/clock.js"
import { createCpuBudget } from "./cpu-budget.js"

/** What judging calls with the arm that did not serve them may cost. */
export interface ShadowOptions {
  /** Calls that may wait to be judged, 1 or more, or `Infinity`; more are dropped and counted. Default 10,000. */
  readonly queue?: number | undefined
  /**
   * Share of one core that judging may take, above 0 up to 1; when it is spent, calls wait. Default 0.25: 12,500 calls a second of a
   * policy that takes 20 µs, and three quarters of the core left to the host when a policy is slow. Only what runs before a job's
   * first `await` is measured. 1 is no limit.
   */
  readonly cpuShare?: number | undefined
  /** Sessions of which an asynchronous policy judges a call at once, 1 or more. Default 8. */
  readonly concurrency?: number | undefined
}

/** How much of the comparison is done, and what it costs. */
export interface ShadowStatus {
  /** Share of the sampled calls of this generation that both arms have judged, [0, 1]; null: none was sampled. */
  readonly coverage: number | null
  /** Share of one core that judging took lately. */
  readonly cpuShare: number
  /** Calls that wait to be judged. */
  readonly waiting: number
  /** Calls of this generation that found the queue full. */
  readonly dropped: number
}

/** Judges one captured call with the arm that did not serve it. A promise when the policy is async. */
export type ShadowJob = () => Promise<void> | void

/** Work for after the answer: bounded, within a budget, in slices that leave the event loop free. */
export interface ShadowQueue {
  /** False when the queue is full and the job was dropped. Jobs of one key run one after the other, in the order pushed. */
  push(key: object, job: ShadowJob): boolean
  /** Jobs that have not begun. */
  waiting(): number
  /** Share of one core that jobs took lately. */
  cpuShare(): number
  /** Resolve when everything that was pushed has been judged. */
  idle(): Promise<void>
  /** Forget what waits. */
  clear(): void
  /** Forget what waits, and take nothing any more. */
  close(): void
}

interface Entry {
  readonly key: object
  readonly job: ShadowJob
}

/** Longest run of shadow work before the event loop gets its turn, ms. */
const SLICE_MS = 2
/** Room of jobs that are done is given back when this many are. */
const COMPACT_AT = 1024

/**
 * Make the queue. A job that throws or rejects is reported to `onFailure` and stops neither the queue nor the host.
 * Throws `RangeError` for options out of range.
 */
export function createShadowQueue(options: ShadowOptions, clock: Clock, onFailure: () => void): ShadowQueue {
  const { queue: limit, cpuShare, concurrency } = resolve(options)
  const budget = createCpuBudget(cpuShare, () => clock.monotonic())
  let jobs: (Entry | undefined)[] = []
  let head = 0
  /** By key, for keys of which a job is under way or ready: what came meanwhile. */
  const lanes = new Map<object, ShadowJob[]>()
  let parked = 0
  /** The next of their lanes: they have waited for one of their own, and go first. */
  let ready: Entry[] = []
  let running = 0
  let resting: (() => void)[] = []
  let closed = false
  /** `soon`: a drain comes in the next turn of the event loop; `paused`: it comes when there is something to spend. */
  let mode: "idle" | "soon" | "paused" = "idle"
  let cancelPause = (): void => {}

  const waiting = (): number => jobs.length - head + parked + ready.length
  const canRun = (): boolean => running < concurrency && (ready.length > 0 || head < jobs.length)

  function drain(): void {
    // Until the end it is still `soon`: what a job pushes needs no drain of its own.
    if (canRun()) {
      const wait = budget.waitMs()
      if (wait > 0) return pause(wait)
      const startedAt = clock.monotonic()
      let spent = 0
      while (canRun() && spent <= SLICE_MS) {
        step()
        spent = clock.monotonic() - startedAt
      }
      budget.spend(spent)
      if (canRun()) return wake()
    }
    mode = "idle"
    if (waiting() === 0 && running === 0) for (const done of resting.splice(0)) done()
  }

  function wake(): void {
    cancelPause()
    mode = "soon"
    setImmediate(drain)
  }

  /** Whoever waits for `idle()` must not lose the process meanwhile. */
  function pause(ms: number): void {
    mode = "paused"
    cancelPause = clock.schedule(wake, ms, { keepAlive: resting.length > 0 })
  }

  function step(): void {
    const next = ready.shift()
    if (next !== undefined) return run(next)
    const entry = take()
    const lane = lanes.get(entry.key)
    if (lane === undefined) return run(entry)
    lane.push(entry.job)
    parked++
  }

  function run({ key, job }: Entry): void {
    let pending: Promise<void> | void = undefined
    try {
      pending = job()
    } catch {
      onFailure()
    }
    if (pending === undefined) return follow(key)
    running++
    if (!lanes.has(key)) lanes.set(key, [])
    void pending.catch(onFailure).then(() => {
      running--
      follow(key)
      if (mode === "idle") wake()
    })
  }

  /** Let the next of a key go. */
  function follow(key: object): void {
    const lane = lanes.get(key)
    const job = lane?.shift()
    if (job === undefined) return void lanes.delete(key)
    parked--
    ready.push({ key, job })
  }

  function take(): Entry {
    const entry = jobs[head]!
    jobs[head++] = undefined
    if (head === jobs.length) empty()
    else if (head >= COMPACT_AT) {
      jobs = jobs.slice(head)
      head = 0
    }
    return entry
  }

  function empty(): void {
    jobs = []
    head = 0
  }

  function clear(): void {
    empty()
    for (const { key } of ready) lanes.delete(key)
    ready = []
    for (const lane of lanes.values()) lane.length = 0
    parked = 0
    // Nothing is left to wait for.
    if (mode === "paused") wake()
  }

  return {
    push(key, job) {
      if (closed || waiting() >= limit) return false
      jobs.push({ key, job })
      if (mode === "idle") wake()
      return true
    },
    waiting,
    cpuShare: () => budget.share(),
    idle() {
      if (mode === "idle" && waiting() === 0 && running === 0) return Promise.resolve()
      return new Promise((done) => {
        resting.push(done)
        if (mode !== "paused") return
        cancelPause()
        pause(budget.waitMs())
      })
    },
    clear,
    close() {
      closed = true
      clear()
    },
  }
}

interface Limits {
  readonly queue: number
  readonly cpuShare: number
  readonly concurrency: number
}

function resolve({ queue = 10_000, cpuShare = 0.25, concurrency = 8 }: ShadowOptions): Limits {
  const check = (name: string, value: number, ok: boolean, rule: string): void => {
    if (!ok) throw new RangeError(`shadow.${name} must be ${rule}, got ${value}`)
  }
  check("queue", queue, queue >= 1, "1 or more")
  check("cpuShare", cpuShare, cpuShare > 0 && cpuShare <= 1, "above 0 and at most 1, as a share of one core")
  check("concurrency", concurrency, concurrency >= 1, "1 or more")
  return { queue, cpuShare, concurrency }
}
