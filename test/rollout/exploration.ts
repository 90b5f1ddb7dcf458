import { isSerinError } from "../../src/errors.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { MINUTE, NOW } from "./states.js"

export type Transition = (state: RolloutState, event: RolloutEvent, now: number) => RolloutState

/** One event that met one state. `after` is `before` itself where the event changed nothing. */
export interface Edge {
  readonly before: RolloutState
  readonly event: RolloutEvent
  readonly now: number
  readonly after: RolloutState
  readonly refused: boolean
}

/** A rule that every edge must keep; answers what is wrong, or null. */
export type Invariant = (edge: Edge) => string | null

/** What may happen next. Verdicts belong to the generation of the state that they meet. */
export interface Letter {
  readonly name: string
  readonly make: (state: RolloutState) => RolloutEvent
}

export interface Exploration {
  readonly states: number
  readonly edges: number
  /** The farthest state is this many events from the first, with any waits between them. */
  readonly depth: number
  /** Nothing lies beyond: every state that can be reached was. */
  readonly complete: boolean
  /** Phases, holds and ends that were met. */
  readonly met: ReadonlySet<string>
}

interface Place {
  readonly state: RolloutState
  readonly now: number
  readonly from: Place | null
  readonly by: string
}

/** The grid of time: periods are two units, the longest stage three, the delay one. */
export const UNIT = 5 * MINUTE
const WAITS = [UNIT, -UNIT]
const LONGEST = 3 * UNIT

/**
 * Walk from a state over every event after every wait, breadth first, and hold each edge to the invariants. Throws at the first that
 * is broken, with the way there. States count as one that differ only in what no rule reads: absolute times, numbers of
 * revisions and generations, who asked and why.
 */
export function explore(
  transition: Transition,
  start: RolloutState,
  alphabet: readonly Letter[],
  invariants: Readonly<Record<string, Invariant>>,
  limits: { readonly depth: number },
): Exploration {
  const rules = Object.entries(invariants)
  const first: Place = { state: deepFreeze(start), now: NOW, from: null, by: "" }
  const seen = new Set([keyOf(first.state, first.now)])
  const met = new Set<string>()
  let border: Place[] = waitFrom(first)
  let edges = 0
  let depth = 0

  function arrive(place: Place): readonly Place[] {
    const key = keyOf(place.state, place.now)
    if (seen.has(key)) return []
    seen.add(key)
    deepFreeze(place.state)
    return waitFrom(place)
  }

  /** The place, and all that come of it when nothing happens. */
  function waitFrom(place: Place): Place[] {
    const places = [place]
    for (const from of places) {
      for (const wait of WAITS) {
        const now = from.now + wait
        const key = keyOf(from.state, now)
        if (seen.has(key)) continue
        seen.add(key)
        places.push({ state: from.state, now, from, by: wait > 0 ? "wait" : "the clock goes back" })
      }
    }
    return places
  }

  function step(from: Place, letter: Letter): Edge {
    const { state: before, now } = from
    const event = letter.make(before)
    try {
      return { before, event, now, after: transition(before, event, now), refused: false }
    } catch (error) {
      if (!isSerinError(error) || error.code !== "TRANSITION_REFUSED")
        throw new Error(wayTo(from, letter.name), { cause: error })
      return { before, event, now, after: before, refused: true }
    }
  }

  const limit = Error.stackTraceLimit
  // Nobody reads where a refusal was made, and most of the time goes into that.
  Error.stackTraceLimit = 0
  try {
    while (border.length > 0 && depth < limits.depth) {
      const next: Place[] = []
      for (const place of border) {
        for (const letter of alphabet) {
          const edge = step(place, letter)
          edges += 1
          for (const [name, broken] of rules) {
            const what = broken(edge)
            if (what !== null) throw new Error(`${name}: ${what}, after ${wayTo(place, letter.name)}`)
          }
          if (edge.after === edge.before) continue
          met.add(edge.after.kill === "off" ? (edge.after.ended?.kind ?? edge.after.last.event) : "killed")
          for (const { reason } of edge.after.holds) met.add(reason)
          next.push(...arrive({ state: edge.after, now: place.now, from: place, by: letter.name }))
        }
      }
      border = next
      if (next.length > 0) depth += 1
    }
  } finally {
    Error.stackTraceLimit = limit
  }
  return { states: seen.size, edges, depth, complete: border.length === 0, met }
}

function wayTo(place: Place, last: string): string {
  const names = [last]
  for (let at: Place | null = place; at !== null && at.from !== null; at = at.from) names.unshift(at.by)
  return names.join(" → ")
}

/** All that a rule reads. Ages are cut where nothing changes any more. */
function keyOf({ kill, ended, stable, canary, ramp, holds, approvals, epoch }: RolloutState, now: number): string {
  const entry = ramp.at(-1)
  const age = entry === undefined ? "" : `${entry.stage}@${clip(now - entry.at, -UNIT, LONGEST)}`
  const held = holds.map(({ reason, since }) =>
    reason === "no_data" ? `${reason}@${clip(now - since, 0, 2 * UNIT)}` : reason,
  )
  const approved = approvals.map(({ stage }) => stage)
  return `${kill} ${ended?.kind ?? ""} ${stable} ${canary ?? ""} ${age} ${held.sort().join()} ${approved.join()} ${epoch ?? 0}`
}

const clip = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value)) / UNIT

/** What is frozen cannot be changed behind anybody's back: a transition that tried would throw. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) deepFreeze(member)
  return Object.freeze(value)
}
