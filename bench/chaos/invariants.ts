import { FORGOT } from "./event.js"
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
  /** When the store's documents became others than they were: what was written before may be forgotten since. Common ms. */
  readonly losses: readonly number[]
  /** Longest time that a canary may be served after the last sign of the leader, common ms. */
  readonly leaseMs: number
}

export const RULES = {
  lease: "no decision by the canary later than lease + 1 s after a process was cut off",
  kill: "no decision by the canary after a kill was seen",
  arm: "a session that stable served is never served by the canary",
  floor: "the revision in force never goes back in the life of a process, nor below what its life before has kept",
  evidence: "what is counted is what was decided under a leader, each call once, at every look",
  complete: "in the calm at the end every process has published all that it counted",
  merged: "the leader's evidence is what all processes published last, of each life once",
  lead: "no two lead at a time",
  epoch: "no two lead in one epoch, unless the store has forgotten it in between",
  ends: "every process ends by itself when it is asked to",
} as const

/** Hold what the processes wrote to the promises. The rules know nothing of the library: only what a process did. */
export function violationsOf({ lines, isolations, losses, leaseMs }: Told): readonly Violation[] {
  const last = lastDraw(lines)
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
    ...miscounted(process, told, last),
  ])
  return [...each, ...wronglyMerged(lines), ...togetherLeading(lines), ...inOneEpoch(lines, losses)]
}

const servedByCanary = (line: Line): line is Extract<Line, { is: "decision" }> =>
  line.is === "decision" && line.arm === "canary" && line.source === "policy"

function lateCanaries(
  process: string,
  told: readonly Line[],
  isolations: readonly Isolation[],
  leaseMs: number,
): readonly Violation[] {
  let phase = ""
  const found: Violation[] = []
  for (const line of told) {
    if (line.is === "born") phase = ""
    if (line.is === "state") phase = line.phase
    // What is promoted is proven: nobody needs to take it back, and it serves without a sign of a leader.
    if (!servedByCanary(line) || phase === "promoted") continue
    const cut = isolations.find(({ from, to }) => line.t > from + leaseMs && line.t < to)
    if (cut === undefined) continue
    const what = `${line.session} by the canary ${Math.round(line.t - cut.from)} ms after the cut`
    found.push({ rule: RULES.lease, process, t: line.t, what })
  }
  return found
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

/** A state that a process has had for so long, and decided so often by, is written down: common ms, decisions. */
const KEPT_AFTER = { ms: 1000, decisions: 100 }

function goneBack(process: string, told: readonly Line[]): readonly Violation[] {
  const found: Violation[] = []
  /** Revision that nothing may go below, and the highest that was seen. */
  let floor = 0
  let highest = 0
  let since = 0
  let decisions = 0
  for (const line of told) {
    // One that was killed begins with what it had written down, which may be the revision before.
    if (line.is === "born" || (line.is === "problem" && line.code === FORGOT)) {
      const isKept = line.is === "born" && decisions >= KEPT_AFTER.decisions
      floor = line.is === "born" ? Math.max(floor, isKept ? highest : 0) : 0
      highest = floor
      decisions = 0
    }
    if (line.is === "decision" && line.t >= since + KEPT_AFTER.ms) decisions++
    if (line.is !== "state" || line.refused) continue
    if (line.revision < highest) {
      found.push({ rule: RULES.floor, process, t: line.t, what: `${highest} → ${line.revision}` })
    }
    if (line.revision <= highest) continue
    if (decisions >= KEPT_AFTER.decisions) floor = highest
    highest = line.revision
    since = line.t
    decisions = 0
  }
  return found
}

/** After these a generation counts for nothing any more, and who was drawn for its canary is served by stable. */
const OVER = new Set(["rolled_back", "contained", "killed"])

/**
 * At each look as many evaluations are counted as were decided, less those of sessions that were called while nobody led and the canary was
 * exposed: these are in nobody's evidence from then on. `last` is the generation that the calm began: of that one everything is published.
 */
function miscounted(process: string, told: readonly Line[], last: string | undefined): readonly Violation[] {
  const found: Violation[] = []
  let decided = new Map<string, number>()
  let aside = new Set<string>()
  let over = new Set<string>()
  let phase = ""
  let final: Extract<Line, { is: "published" }> | undefined
  for (const line of told) {
    switch (line.is) {
      case "born":
        decided = new Map()
        aside = new Set()
        over = new Set()
        phase = ""
        break
      case "state":
        phase = line.phase
        if (OVER.has(phase)) over.add(line.draw)
        break
      case "decision": {
        const session = `${line.draw} ${line.session}`
        if (line.leaderless && phase !== "shadow") aside.add(session)
        if (!aside.has(session)) decided.set(line.draw, (decided.get(line.draw) ?? 0) + 1)
        break
      }
      case "counted": {
        const all = decided.get(line.draw) ?? 0
        if (line.evaluations === all || (line.evaluations < all && over.has(line.draw))) break
        const what = `${line.evaluations} counted of ${all} decided in ${nameOf(line.draw)}`
        found.push({ rule: RULES.evidence, process, t: line.t, what })
        break
      }
      case "published":
        final = line
    }
  }
  if (final === undefined || last === undefined) return found
  const all = decided.get(last) ?? 0
  const published = final.draw === last ? final.evaluations : 0
  if (published !== all || final.draw !== last) {
    const what = `${published} published in the end of ${all} decided in ${nameOf(last)}, the last was of ${nameOf(final.draw)}`
    found.push({ rule: RULES.complete, process, t: final.t, what })
  }
  return found
}

const nameOf = (draw: string): string => (draw === "" ? "no generation" : `generation ${draw.slice(0, 8)}`)

/** The generation of the state that was told of last, by whomever. */
function lastDraw(lines: ReadonlyMap<string, readonly Line[]>): string | undefined {
  const states = [...lines.values()].flatMap((told) => told.findLast((line) => line.is === "state") ?? [])
  return states.toSorted((a, b) => a.t - b.t).at(-1)?.draw
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
        lives.set(`${name} ${line.life}`, line.draw === merged.draw ? line.evaluations : 0)
      }
    }
    const published = [...lives.values()].reduce((sum, count) => sum + count, 0)
    if (merged.evaluations === published) return []
    const what = `${merged.evaluations} merged of ${published} published in ${nameOf(merged.draw)}`
    return [{ rule: RULES.merged, process, t: merged.t, what }]
  })
}

type Lead = Extract<Line, { is: "leads" }> & { readonly process: string }

/** Signs of a lead that are this much apart are of one that went on in between, common ms. */
const LEAD_GAP_MS = 100

/** Every sign of a lead, of all processes in the order of time. */
const leadsOf = (lines: ReadonlyMap<string, readonly Line[]>): readonly Lead[] =>
  [...lines]
    .flatMap(([process, told]) => told.flatMap((line) => (line.is === "leads" ? [{ ...line, process }] : [])))
    .toSorted((a, b) => a.t - b.t)

/** A sign of another's lead between two signs of one lead: nobody needs to know how epochs are given. */
function togetherLeading(lines: ReadonlyMap<string, readonly Line[]>): readonly Violation[] {
  const signs = leadsOf(lines)
  return signs.flatMap((sign, i) => {
    const other = signs[i - 1]
    if (other === undefined || other.process === sign.process || other.t === sign.t) return []
    const before = signs.findLast(({ t, process }) => t < other.t && process === sign.process)
    if (before === undefined || before.epoch !== sign.epoch || sign.t - before.t > LEAD_GAP_MS) return []
    const what = `in epoch ${sign.epoch}, while ${other.process} did in ${other.epoch}`
    return [{ rule: RULES.lead, process: sign.process, t: sign.t, what }]
  })
}

function inOneEpoch(lines: ReadonlyMap<string, readonly Line[]>, losses: readonly number[]): readonly Violation[] {
  /** The first sign of whoever led last, by the epoch. */
  const held = new Map<number, Lead>()
  return leadsOf(lines).flatMap((sign) => {
    const other = held.get(sign.epoch)
    if (other?.process === sign.process) return []
    held.set(sign.epoch, sign)
    if (other === undefined || losses.some((t) => t >= other.t && t <= sign.t)) return []
    return [{ rule: RULES.epoch, process: sign.process, t: sign.t, what: `${other.process} too in ${sign.epoch}` }]
  })
}
