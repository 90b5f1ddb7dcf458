import type { Traffic } from "../analysis/workload.js"
import type { RecordedCall } from "../testing/calls.js"

/** Evaluations of a session that count. */
const COUNTED = 20

/** Say how large the recorded sessions are: calls that count on average, and in the session of the average call. */
export function sizesOfCalls(calls: readonly RecordedCall[]): Required<Pick<Traffic, "callsPerSession" | "kish">> {
  const sizes = new Map<string, number>()
  for (const { session } of calls) sizes.set(session, Math.min(COUNTED, (sizes.get(session) ?? 0) + 1))
  const counts = [...sizes.values()]
  const sum = counts.reduce((all, size) => all + size, 0)
  const squares = counts.reduce((all, size) => all + size * size, 0)
  return { callsPerSession: sum / counts.length, kish: squares / sum }
}
