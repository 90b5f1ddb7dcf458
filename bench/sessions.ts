import { setImmediate as turn } from "node:timers/promises"
import { createGuard } from "serin"
import type { StateReader } from "serin"
import { metricProducer } from "serin/metric-producer"
import { call, guardFor, IDS, keep, releases, standing } from "./guards.js"
import { compare, cpuNsSince, quantile, type Batch, type Row } from "./measure.js"

/** Decisions that look their session up by id, after `seen` other sessions. */
export function afterSessions(seen: number): Batch {
  const guard = guardFor(0)
  for (let i = 0; i < seen; i++) guard.session(`old-${i}`).evaluate(call)
  return (n) => {
    for (let i = 0; i < n; i++) keep(guard.session(IDS[i & 1023]!).evaluate(call).outcome)
  }
}

/** Far apart, so that neighbours in time are none in memory; a prime, so that all come by. */
const STRIDE = 611_953

/** Decisions of as many sessions that are all remembered and take turns, looked up by id. */
export function amongSessions(live: number): Batch {
  const guard = guardFor(0, "producer", { sessionMemory: live })
  const ids = Array.from({ length: live }, (_, i) => `session-${i}`)
  for (const id of ids) guard.session(id).evaluate(call)
  let at = 0
  return (n) => {
    for (let i = 0; i < n; i++) keep(guard.session(ids[(at = (at + STRIDE) % live)]!).evaluate(call).outcome)
  }
}

/** The least that this can take: a `Map` from the same ids to objects of as many, and a number of each. */
function amongObjects(live: number): Batch {
  const ids = Array.from({ length: live }, (_, i) => `session-${i}`)
  const objects = new Map(ids.map((id) => [id, { calls: 0, outcome: "allow" }]))
  let at = 0
  return (n) => {
    for (let i = 0; i < n; i++) {
      const object = objects.get(ids[(at = (at + STRIDE) % live)]!)!
      object.calls++
      keep(object.outcome)
    }
  }
}

/** A decision at each number of sessions, as a multiple of the same with one. */
export function sessionRows(numbers: readonly number[], rounds: number): Row[] {
  return numbers.flatMap((n) => {
    const many = n.toLocaleString("en-US")
    return [
      compare(`decision after ${many} sessions vs after 1`, afterSessions(n), afterSessions(1), rounds),
      compare(`decision among ${many} live sessions vs among 1`, amongSessions(n), amongSessions(1), rounds),
      compare(`object found among ${many} in a Map vs among 1`, amongObjects(n), amongObjects(1), rounds),
    ]
  })
}

export interface Change {
  readonly live: number
  /** How long the change of releases itself holds the event loop, CPU time, ms. */
  readonly ms: number
  /** The first decision of a session after it, ns. */
  readonly nextNs: number
}

/** What a change of who serves costs where sessions are remembered. */
export async function changeCost(live: number, rounds: number): Promise<Change> {
  const here = standing(0).current()!
  let state = here
  let heard = (): void => {}
  const reader: StateReader = { current: () => state, onChange: (listener) => ((heard = () => listener()), () => {}) }
  const both = new Map([...releases, ["3", { ...releases.get("2")!, version: "3" }]])
  const guard = createGuard({
    rollout: "bench",
    state: reader,
    releases: both,
    metrics: metricProducer(),
    sessionMemory: live,
  })
  const sessions = Array.from({ length: live }, (_, i) => guard.session(`session-${i}`))
  for (const session of sessions) session.evaluate(call)
  const [changes, nexts]: [number[], number[]] = [[], []]
  for (let i = 0; i < rounds; i++) {
    // Another canary each time: sessions let go of the one before.
    state = { ...here, revision: here.revision + i + 1, canary: i % 2 === 0 ? "3" : "2" }
    const before = process.cpuUsage()
    heard()
    changes.push(cpuNsSince(before) / 1e6)
    const next = process.cpuUsage()
    for (const session of sessions) keep(session.evaluate(call).outcome)
    nexts.push(cpuNsSince(next) / live)
    await turn()
  }
  await guard.close()
  return { live, ms: quantile(changes, 0.5), nextNs: quantile(nexts, 0.5) }
}
