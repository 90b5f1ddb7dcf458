import { CALLS } from "./app.js"
import type { OpenSide } from "./sides.js"

const IDS = 10_000

/** What a side was found to do, before it is measured. */
export interface Checked {
  /** Share of the sessions that are the canary's. */
  readonly share: number
  readonly decisions: number
}

/**
 * Throw where a side does not do what it is compared for: some 5 % of 10,000 sessions are the canary's, each is asked twice and has the same arm,
 * and what is exported has every decision, by arm.
 */
export async function check({ side, metrics }: OpenSide, name: string, ids = IDS): Promise<Checked> {
  const sessions = Array.from({ length: ids }, (_, i) => `checked-${i}`)
  const arms = []
  for (const id of sessions) arms.push(await side.armOf(id))
  for (let i = ids - 1; i >= 0; i--) {
    if ((await side.armOf(sessions[i]!)) !== arms[i]) throw new Error(`${name}: session ${i} is not sticky`)
  }
  const canaries = arms.filter((arm) => arm === "canary").length
  const share = canaries / ids
  // Four standard errors of 5 %.
  const off = 4 * Math.sqrt((0.05 * 0.95) / ids)
  if (!(Math.abs(share - 0.05) <= off)) throw new Error(`${name}: ${canaries} of ${ids} sessions are the canary's`)

  // Where evaluations of flags are counted, so were these.
  await metrics.export()
  for (let i = 0; i < ids; i++) await side.session(sessions[i]!)(CALLS[i & 7]!)
  await side.settle?.()
  const sumsOf = await metrics.export()
  const counted = sumsOf(side.counted.metric, side.counted.arm)
  const [stable, canary] = [counted.get("stable") ?? 0, counted.get("canary") ?? 0]
  if (stable !== ids - canaries || canary !== canaries) {
    throw new Error(`${name}: exported ${stable} + ${canary} decisions of ${ids - canaries} + ${canaries}`)
  }
  if (side.alsoCounted !== undefined) {
    const total = [...sumsOf(side.alsoCounted).values()].reduce((sum, value) => sum + value, 0)
    if (total !== ids) throw new Error(`${name}: ${side.alsoCounted} was exported as ${total}, of ${ids}`)
  }
  return { share, decisions: stable + canary }
}
