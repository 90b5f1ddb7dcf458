import { lookAgain } from "../src/analysis/replay.js"
import type { TripState } from "../src/analysis/trip.js"
import { mergePacked, packEvidence, readPacked } from "../src/evidence/packed.js"
import { ARRAYS, type Evidence } from "../src/model/evidence.js"
import { RAMP, emptyEvidence, serve, serveMore } from "./evidence.js"
import { cpuNsSince, quantile } from "./measure.js"
import { CRITERIA } from "./verdicts/points.js"

/** CPU time of one piece of work, ms, and what it should be at most. */
export interface Cost {
  readonly name: string
  readonly best: number
  readonly p50: number
  readonly aim?: number
}

const PROCESSES = 1000
const JUDGE_AIM_MS = 2
const MERGE_AIM_MS = 50

/** What a look at full evidence costs, and merging that of 1,000 processes, which have `sizes` evaluations together. */
export function analysisCosts(sizes: readonly number[], rounds: number): Cost[] {
  return sizes.flatMap((size, i) => {
    const of = `of ${size.toLocaleString("en-US")} evaluations in ${RAMP.length + 1} strata`
    const { parts, packMs } = processes(size)
    const { look, more } = looking(mergePacked(1, parts))
    return [
      ...(i === 0 ? [first(`the first look of a process, at evidence ${of}`, look)] : []),
      cost(`judge evidence ${of}`, look, rounds * 10, JUDGE_AIM_MS, more),
      cost(`merge ${PROCESSES} processes ${of}`, () => mergePacked(1, parts), rounds, MERGE_AIM_MS),
      cost(
        `read what they sent (${kilobytes(parts)} KB each)`,
        () => parts.map(({ bytes }) => readPacked(bytes)),
        rounds,
      ),
      { name: "pack the evidence of one of them", best: Math.min(...packMs), p50: quantile(packMs, 0.5) },
    ]
  })
}

/** Looks as the leader has them every 5 s: the trip and the verdict, three criteria, both arms judging. Between two of them come `more` sessions. */
function looking(evidence: Evidence) {
  const input = { criteria: CRITERIA, evidence, ramp: RAMP, shadow: true, falseAlarmRate: 0.05, at: 0 }
  let tripBefore: TripState | undefined
  let seed = 0
  return {
    look: () => (tripBefore = lookAgain({ ...input, tripBefore }).trip),
    more: () => serveMore(evidence, ++seed),
  }
}

function processes(evaluations: number) {
  const evidence = emptyEvidence()
  const packMs: number[] = []
  const parts = Array.from({ length: PROCESSES }, (_, i) => {
    for (const stratum of evidence.strata) for (const name of ARRAYS) stratum[name].fill(0)
    serve(evidence, evaluations / PROCESSES, i + 1)
    const before = process.cpuUsage()
    const packed = packEvidence(evidence)
    packMs.push(cpuNsSince(before) / 1e6)
    return packed
  })
  return { parts, packMs }
}

/** Of work that has never run in this process: most of it is compiling. */
function first(name: string, work: () => unknown): Cost {
  const ms = cpuMs(work)
  return { name, best: ms, p50: ms }
}

/** `before` is not timed. */
function cost(name: string, work: () => unknown, rounds: number, aim?: number, before = () => {}): Cost {
  const times: number[] = []
  // The first rounds warm it up.
  for (let i = -Math.ceil(rounds / 4); i < rounds; i++) {
    before()
    const ms = cpuMs(work)
    if (i >= 0) times.push(ms)
  }
  return { name, best: Math.min(...times), p50: quantile(times, 0.5), ...(aim === undefined ? {} : { aim }) }
}

/**
 * CPU time of this thread, from above: it is at most the time that passed, and at most the CPU time of the process, which has threads that
 * compile and collect as well.
 */
function cpuMs(work: () => unknown): number {
  const before = process.cpuUsage()
  const startedAt = performance.now()
  work()
  return Math.min(performance.now() - startedAt, cpuNsSince(before) / 1e6)
}

const kilobytes = (parts: readonly { readonly bytes: Uint8Array }[]): string =>
  (parts.reduce((sum, { bytes }) => sum + bytes.length, 0) / parts.length / 1000).toFixed(1)
