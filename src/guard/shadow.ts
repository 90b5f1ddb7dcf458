import type { Clock } from "../model/clock.js"

/** Judges one captured call with the arm that did not serve it. A promise when the policy is async. Must not throw. */
export type ShadowJob = () => Promise<void> | void

/** Work for after the answer: bounded, in order, in slices that leave the event loop free. */
export interface ShadowQueue {
  /** False when the queue is full and the job was dropped. */
  push(job: ShadowJob): boolean
  /** Resolve when everything that was pushed has been judged. */
  idle(): Promise<void>
  /** Forget what waits. */
  close(): void
}

/** Longest run of shadow work before the event loop gets its turn, ms. */
const SLICE_MS = 2

/** Make the queue. Jobs run one after the other, so the pairs of a session are judged in the order of its calls. */
export function createShadowQueue(limit: number, clock: Pick<Clock, "monotonic">): ShadowQueue {
  let jobs: ShadowJob[] = []
  let head = 0
  let scheduled = false
  let waiting: (() => void)[] = []
  let closed = false

  function schedule(): void {
    if (scheduled || closed) return
    scheduled = true
    setImmediate(drain)
  }

  function drain(): void {
    const until = clock.monotonic() + SLICE_MS
    while (head < jobs.length) {
      const pending = jobs[head++]!()
      if (pending !== undefined) {
        void pending.finally(() => setImmediate(drain))
        return
      }
      if (clock.monotonic() > until) {
        setImmediate(drain)
        return
      }
    }
    scheduled = false
    jobs = []
    head = 0
    for (const resolve of waiting.splice(0)) resolve()
  }

  return {
    push(job) {
      if (closed || jobs.length - head >= limit) return false
      jobs.push(job)
      schedule()
      return true
    },
    idle: () => (scheduled ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()),
    close() {
      closed = true
      jobs = []
      head = 0
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}
