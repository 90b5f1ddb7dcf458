import type { Sample } from "./answer.js"
import { countsOf, sumOf, type Count } from "./counts.js"
import { COUNTED_NAME, PART, PROCESS } from "./promql.js"
import { unavailable } from "./unavailable.js"

/** What an answer says of the processes behind it. */
export interface Processes {
  /** What each has counted in all. */
  readonly counted: ReadonlyMap<string, number>
  /** When each was last seen, seconds by the server's clock. */
  readonly seen: ReadonlyMap<string, number>
}

/** Most processes of one generation, those that have ended included. */
export const MAX_PROCESSES = 1000

/** Take out of an answer what it says of processes. Throws `EVIDENCE_UNAVAILABLE` for more than there may be. */
export function processesIn(samples: readonly Sample[]): Processes {
  const valuesOf = (wanted: (labels: Sample["labels"]) => boolean): ReadonlyMap<string, number> =>
    new Map(
      samples.filter(({ labels }) => wanted(labels)).map(({ labels, value }) => [labels.get(PROCESS) ?? "", value]),
    )
  const counted = valuesOf((labels) => labels.get("__name__") === COUNTED_NAME)
  if (counted.size > MAX_PROCESSES) throw unavailable(`has evidence of more than ${MAX_PROCESSES} processes`)
  return { counted, seen: valuesOf((labels) => labels.get(PART) === "seen") }
}

/**
 * Read the counts of an answer. They have to add up to what the processes have counted: a relabelling, a limit on label sets or a view of
 * the host's that drops some would make a verdict on the rest. Throws `EVIDENCE_UNAVAILABLE`.
 */
export function wholeCounts(samples: readonly Sample[], { counted }: Processes): readonly Count[] {
  const counts = countsOf(samples.filter(({ labels }) => !labels.has(PART) && labels.get("__name__") !== COUNTED_NAME))
  const [found, all] = [sumOf(counts), [...counted.values()].reduce((sum, value) => sum + value, 0)]
  if (found !== all) {
    throw unavailable(
      `has ${found} of ${all} counts of ${counted.size} processes: series of the set are dropped on their way ` +
        "(by a relabelling, a view, or a limit on label sets)",
    )
  }
  return counts
}
