import { evidenceKey } from "../src/evidence/publication.js"
import { lookAgain } from "../src/analysis/replay.js"
import type { TripState } from "../src/analysis/trip.js"
import { sharedSource } from "../src/sources/fleet.js"
import { fakeClock } from "../src/testing/fake-clock.js"
import { memoryStore } from "../src/stores/memory.js"
import type { Evidence } from "../src/model/evidence.js"
import { documentOf, packed } from "./documents.js"
import { emptyEvidence, RAMP, serve } from "./evidence.js"
import { cpuNsSince, quantile } from "./measure.js"
import { CRITERIA } from "./verdicts/points.js"

const ROLLOUT = "bench"
/** How often a leader looks, and how often a process publishes, ms. */
const LOOK_EVERY_MS = 5_000
const PUBLISH_EVERY_MS = 10_000

/** What leading a fleet costs its leader. */
export interface LeadCost {
  readonly processes: number
  /** CPU time of a look at what all have published, and the judgement, ms. */
  readonly lookMs: number
  /** Share of one processor. */
  readonly share: number
  /** What one process publishes at a time, kB. */
  readonly kilobytes: number
}

/**
 * Let a leader look `looks` times at a fleet in which each process publishes every 10 s, so that half of the documents are new each
 * time. Documents are handed over in memory: what a store takes for 200 reads a second comes on top.
 */
export async function leadCost(processes: number, evaluations: number, looks: number): Promise<LeadCost> {
  const store = memoryStore()
  // A clock that stands still: what is timed is processor time, and no look is cut short where the machine has other things to do.
  const source = sharedSource({ store, rollout: ROLLOUT, clock: fakeClock(0) })
  const said = Array.from({ length: processes }, (_, i) => packed(counted(evaluations / processes, i + 1)))
  const sequences = said.map(() => 0)
  let bytes = 0

  async function publish(i: number): Promise<void> {
    const publisher = `process-${i}`
    const text = documentOf({ rollout: ROLLOUT, publisher, sequence: ++sequences[i]!, evidence: said[i]! })
    const key = `${evidenceKey(ROLLOUT)}/${publisher}`
    bytes = text.length
    await store.compareAndSet(key, sequences[i]! - 1, text, { keep: 2 })
  }

  let tripBefore: TripState | undefined
  const times: number[] = []
  for (let look = -3; look < looks; look++) {
    const half = LOOK_EVERY_MS / PUBLISH_EVERY_MS
    for (let i = 0; i < processes; i++) if (look === -3 || (i + look) % Math.round(1 / half) === 0) await publish(i)
    const before = process.cpuUsage()
    const evidence = await source.read({ generation: 1 })
    if (evidence === null || evidence.gap !== undefined) throw new Error("the fleet's evidence was not read whole")
    const judged = { criteria: CRITERIA, evidence, ramp: RAMP, shadow: true, falseAlarmRate: 0.05, at: 0, tripBefore }
    tripBefore = lookAgain(judged).trip
    source.diffs()
    source.processes()
    if (look >= 0) times.push(cpuNsSince(before) / 1e6)
  }
  const lookMs = quantile(times, 0.5)
  return { processes, lookMs, share: lookMs / LOOK_EVERY_MS, kilobytes: bytes / 1000 }
}

function counted(evaluations: number, seed: number): Evidence {
  const evidence = emptyEvidence()
  serve(evidence, evaluations, seed)
  return evidence
}
