import type { Clock } from "../model/clock.js"

/** Judges one captured call with the arm that did not serve it. A promise when the policy is async. */
export type ShadowJob = () => Promise<void> | void

/** Work for after the answer: bounded, in order, in slices that leave the event loop free. */
export interface ShadowQueue {
  /** False when the queue is full and the job was dropped. */
  push(job: ShadowJob): boolean
  /** Resolve when everything that was pushed has been judged. */
  idle(): Promise<void>
  /** Forget what waits. */
  clear(): void
  /** Forget what waits, and take nothing any more. */
  close(): void
}

/** Longest run of shadow work before the event loop gets its turn, ms. */
const SLICE_MS = 2
/** Room of jobs that are done is given back when this many are. */
const COMPACT_AT = 1024

/**
 * Make the queue. Jobs run one after the other, so the pairs of a session are judged in the order of its calls.
 * A job that throws or rejects is reported to `onFailure` and stops neither the queue nor the host.
 */
export function createShadowQueue(limit: number, clock: Pick<Clock, "monotonic">, onFailure: () => void): ShadowQueue {
  let jobs: (ShadowJob | undefined)[] = []
  let head = 0
  let scheduled = false
  let waiting: (() => void)[] = []
  let closed = false

  function drain(): void {
    const until = clock.monotonic() + SLICE_MS
    while (head < jobs.length) {
      const pending = run(take())
      if (pending !== undefined) {
        void pending.then(next, next)
        return
      }
      if (clock.monotonic() > until) return next()
    }
    scheduled = false
    for (const resolve of waiting.splice(0)) resolve()
  }

  const next = (): void => void setImmediate(drain)

  function take(): ShadowJob {
    const job = jobs[head]!
    jobs[head++] = undefined
    if (head === jobs.length) clear()
    else if (head >= COMPACT_AT) {
      jobs = jobs.slice(head)
      head = 0
    }
    return job
  }

  function run(job: ShadowJob): Promise<void> | undefined {
    try {
      return job()?.catch(onFailure)
    } catch {
      onFailure()
      return undefined
    }
  }

  function clear(): void {
    jobs = []
    head = 0
  }

  return {
    push(job) {
      if (closed || jobs.length - head >= limit) return false
      jobs.push(job)
      if (!scheduled) {
        scheduled = true
        next()
      }
      return true
    },
    idle: () => (scheduled ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()),
    clear,
    close() {
      closed = true
      clear()
    },
  }
}
