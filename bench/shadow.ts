import type { Guard } from "serin"
import { cpuNsSince, quantile } from "./measure.js"
import type { Row } from "./measure.js"

/** Calls of one session that inference pairs: later ones are not judged twice. */
const CALLS = 20
const SESSIONS = 100
/** Rounds before those that count. */
const WARM = 10

export interface ShadowCost extends Row {
  /** What is aimed at: 1.2 times both policies, and 1 µs. */
  readonly aimNs: number
}

/**
 * All that one call costs the process when both releases judge it, from the question to the end of the comparison, against calling both
 * policies by hand. CPU time of the whole process, collections included. `open` makes a guard that compares everything, without a limit; `judge` is one policy.
 */
export async function shadowCost(
  name: string,
  open: () => Guard,
  judge: () => unknown,
  rounds: number,
): Promise<ShadowCost> {
  const guard = open()
  const call = { action: "refund", input: { amount: 5 } }
  const ours: number[] = []
  const theirs: number[] = []
  let seen = 0

  async function guarded(): Promise<number> {
    // New sessions each time, made beforehand: what is timed is calls.
    const sessions = Array.from({ length: SESSIONS }, () => guard.session(`s${seen++}`))
    const before = process.cpuUsage()
    for (let i = 0; i < CALLS; i++) for (const session of sessions) session.evaluate(call)
    await guard.idle()
    return cpuNsSince(before) / (CALLS * SESSIONS)
  }

  function direct(): number {
    const before = process.cpuUsage()
    for (let i = 0; i < 2 * CALLS * SESSIONS; i++) judge()
    return cpuNsSince(before) / (CALLS * SESSIONS)
  }

  for (let i = 0; i < rounds + WARM; i++) {
    const b = i % 2 === 0 ? direct() : 0
    const a = await guarded()
    const both = i % 2 === 0 ? b : direct()
    if (i < WARM) continue
    ours.push(a)
    theirs.push(both)
  }
  guard.close()
  const ratios = ours.map((value, i) => value / theirs[i]!)
  const theirsNs = quantile(theirs, 0.5)
  return {
    name,
    ratio: quantile(ratios, 0.5),
    low: quantile(ratios, 0.1),
    high: quantile(ratios, 0.9),
    oursNs: quantile(ours, 0.5),
    theirsNs,
    aimNs: 1.2 * theirsNs + 1000,
  }
}

/** A policy that works for about so long on this machine: text and arithmetic, no clock. */
export function workOf(microseconds: number): () => "allow" {
  let sum = 0
  let times = 1000
  const work = (): "allow" => {
    for (let i = 0; i < times; i++) sum = (Math.imul(sum, 31) + i) | 0
    return "allow"
  }
  // A few rounds: the first are slower than what comes.
  for (let round = 0; round < 5; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < 2000; i++) work()
    times = Math.max(1, Math.round((times * microseconds * 1000) / (cpuNsSince(before) / 2000)))
  }
  return work
}
