import type { Line } from "./event.js"

/** A time in which nothing from the store reached a process; common time, ms. */
export interface Isolation {
  readonly process: string
  readonly from: number
  readonly to: number
}

export interface Violation {
  readonly rule: string
  readonly process: string
  readonly t: number
  readonly what: string
}

export interface Told {
  /** What each process wrote, in its order, by its name. */
  readonly lines: ReadonlyMap<string, readonly Line[]>
  readonly isolations: readonly Isolation[]
  /** Longest time that a canary may be served after the last sign of the leader, common ms. */
  readonly leaseMs: number
}

export const RULES = {
  lease: "no decision by the canary later than lease + 1 s after a process was cut off",
  kill: "no decision by the canary after a kill was seen",
  arm: "a session that stable served is never served by the canary",
  floor: "the revision in force never goes back in the life of a process",
  evidence:
    "what is published is never more than what was decided, and in the calm at the end, under a leader, exactly that",
  merged: "the leader's evidence is what all processes published last, of each life once",
  epoch: "no two lead in one epoch",
  ends: "every process ends by itself when it is asked to",
} as const

/** Hold what the processes wrote to the promises. The rules know nothing of the library: only what a process did. */
export function violationsOf({ lines, isolations, leaseMs }: Told): readonly Violation[] {
  const each = [...lines].flatMap(([process, told]) => [
    ...lateCanaries(
      process,
      told,
      isolations.filter((one) => one.process === process),
      leaseMs,
    ),
    ...afterKill(process, told),
    ...changedArms(process, told),
    ...goneBack(process, told),
    ...miscounted(process, told),
  ])
  return [...each, ...wronglyMerged(lines), ...twoLeaders(lines)]
}

const servedByCanary = (line: Line): line is Extract<Line, { is: "decision" }> =>
  line.is === "decision" && line.arm === "canary" && line.source === "policy"

function lateCanaries(
  process: string,
  told: readonly Line[],
  isolations: readonly Isolation[],
  leaseMs: number,
): readonly Violation[] {
  return told.filter(servedByCanary).flatMap((line) => {
    const cut = isolations.find(({ from, to }) => line.t > from + leaseMs && line.t < to)
    if (cut === undefined) return []
    const what = `${line.session} by the canary ${Math.round(line.t - cut.from)} ms after the cut`
    return [{ rule: RULES.lease, process, t: line.t, what }]
  })
}

function afterKill(process: string, told: readonly Line[]): readonly Violation[] {
  let killed: Extract<Line, { is: "state" }> | null = null
  const found: Violation[] = []
  for (const line of told) {
    if (line.is === "born") killed = null
    if (line.is === "state") killed = line.kill === "off" ? null : line
    if (killed !== null && servedByCanary(line)) {
      found.push({ rule: RULES.kill, process, t: line.t, what: `${line.session} after revision ${killed.revision}` })
    }
  }
  return found
}

function changedArms(process: string, told: readonly Line[]): readonly Violation[] {
  const byStable = new Set<string>()
  const found: Violation[] = []
  for (const line of told) {
    if (line.is !== "decision") continue
    if (line.arm === "stable" && line.source === "policy") byStable.add(line.session)
    else if (servedByCanary(line) && byStable.has(line.session)) {
      found.push({ rule: RULES.arm, process, t: line.t, what: line.session })
    }
  }
  return found
}

function goneBack(process: string, told: readonly Line[]): readonly Violation[] {
  let highest = 0
  const found: Violation[] = []
  for (const line of told) {
    // One that was killed begins with what it had written down, which may be the revision before.
    if (line.is === "born") highest = 0
    if (line.is !== "state") continue
    if (line.revision < highest) {
      found.push({ rule: RULES.floor, process, t: line.t, what: `${highest} → ${line.revision}` })
    }
    highest = Math.max(highest, line.revision)
  }
  return found
}

/**
 * Every decision is written before it can be published, so at no time can more be published than was written. In the generation that the
 * calm began, when nothing is lost any more, the last publication has all of them.
 */
function miscounted(process: string, told: readonly Line[]): readonly Violation[] {
  const last = Math.max(0, ...told.flatMap((line) => (line.is === "state" ? [line.generation] : [])))
  const decided = new Map<number, number>()
  const found: Violation[] = []
  let final: Extract<Line, { is: "published" }> | undefined
  let leaderless = false
  for (const line of told) {
    if (line.is === "born") decided.clear()
    // Sessions that were called meanwhile are in nobody's evidence.
    if (line.is === "decision" && line.generation === last) leaderless ||= line.leaderless
    if (line.is === "decision") decided.set(line.generation, (decided.get(line.generation) ?? 0) + 1)
    if (line.is !== "published") continue
    final = line
    const most = decided.get(line.generation) ?? 0
    if (line.evaluations > most) {
      const what = `${line.evaluations} published of ${most} decided in generation ${line.generation}`
      found.push({ rule: RULES.evidence, process, t: line.t, what })
    }
  }
  const all = decided.get(last) ?? 0
  if (!leaderless && final?.generation === last && final.evaluations !== all) {
    const what = `${final.evaluations} published in the end of ${all} decided in generation ${last}`
    found.push({ rule: RULES.evidence, process, t: final.t, what })
  }
  return found
}

function wronglyMerged(lines: ReadonlyMap<string, readonly Line[]>): readonly Violation[] {
  return [...lines].flatMap(([process, told]) => {
    const merged = told.findLast((line) => line.is === "merged")
    if (merged === undefined) return []
    const lives = new Map<string, number>()
    for (const [name, said] of lines) {
      for (const line of said) {
        if (line.is !== "published") continue
        // What a life says of a later generation takes the place of what it said of this one.
        lives.set(`${name} ${line.life}`, line.generation === merged.generation ? line.evaluations : 0)
      }
    }
    const published = [...lives.values()].reduce((sum, count) => sum + count, 0)
    if (merged.evaluations === published) return []
    const what = `${merged.evaluations} merged of ${published} published in generation ${merged.generation}`
    return [{ rule: RULES.merged, process, t: merged.t, what }]
  })
}

function twoLeaders(lines: ReadonlyMap<string, readonly Line[]>): readonly Violation[] {
  const holders = new Map<number, string>()
  const found: Violation[] = []
  for (const [process, told] of lines) {
    for (const line of told) {
      if (line.is !== "leads") continue
      const other = holders.get(line.epoch) ?? process
      holders.set(line.epoch, process)
      if (other !== process)
        found.push({ rule: RULES.epoch, process, t: line.t, what: `${other} too in ${line.epoch}` })
    }
  }
  return found
}
