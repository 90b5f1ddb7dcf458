import type { DecisionLogEntry } from "../model/decision-entry.js"
import { exampleOf, groupOf, judgedCalls, type Example } from "./example.js"
import type { Group } from "./group.js"

/** What of a decision log is about one generation of one rollout. */
export interface LogExamples {
  /** By the group's id. */
  readonly groups: ReadonlyMap<string, LoggedGroup>
  /** One of each session and group: what is drawn from. */
  readonly population: readonly Drawable[]
  /** What else must be known to read it. */
  readonly notes: readonly string[]
}

export interface LoggedGroup extends Group {
  readonly id: string
  readonly calls: number
  /** The first ones, of different sessions. */
  readonly examples: readonly Example[]
}

/** A disagreement that may be drawn: the first of its session in its group. */
export interface Drawable {
  readonly id: string
  readonly session: string
  readonly group: string
}

/** As a process keeps: what is beyond has no examples. */
const MOST_GROUPS = 200
const SHOWN_EXAMPLES = 3
/** What is drawn from is kept in memory: some 300 bytes each. */
const MOST_DRAWABLE = 100_000

/** Read the disagreements of a log, once through. Memory is bounded. Rejects as reading the log does. */
export async function examplesIn(
  entries: AsyncIterable<DecisionLogEntry> | Iterable<DecisionLogEntry>,
  { rollout, generation }: { readonly rollout: string; readonly generation: number },
): Promise<LogExamples> {
  const groups = new Map<string, { group: Group; calls: number; examples: Example[] }>()
  const population = new Map<string, Drawable>()
  let [lost, left] = [0, 0]
  const own = onlyOf(entries, rollout, generation)
  for await (const judged of judgedCalls(own, () => (lost += 1))) {
    const group = groupOf(judged)
    if (group === null) continue
    const { id, ...named } = group
    let known = groups.get(id)
    if (known === undefined) {
      if (groups.size >= MOST_GROUPS) {
        left += 1
        continue
      }
      groups.set(id, (known = { group: named, calls: 0, examples: [] }))
    }
    known.calls += 1
    const session = judged.pair.sessionId!
    const place = JSON.stringify([session, id])
    if (population.has(place)) continue
    if (population.size < MOST_DRAWABLE) population.set(place, { id: judged.decision.id, session, group: id })
    else if (!known.examples.some((one) => one.session === session)) left += 1
    if (known.examples.length < SHOWN_EXAMPLES && !known.examples.some((one) => one.session === session)) {
      known.examples.push(exampleOf(judged, group))
    }
  }
  const notes = [
    ...(lost > 0 ? [`the decisions of ${lost} pairs are not in the log, so it is not known what they were about`] : []),
    ...(left > 0 ? [`${left} calls of the log are beyond what is kept: they are not drawn from`] : []),
  ]
  return {
    groups: new Map([...groups].map(([id, { group, ...rest }]) => [id, { id, ...group, ...rest }])),
    population: [...population.values()],
    notes,
  }
}

async function* onlyOf(
  entries: AsyncIterable<DecisionLogEntry> | Iterable<DecisionLogEntry>,
  rollout: string,
  generation: number,
): AsyncGenerator<DecisionLogEntry, void, void> {
  for await (const entry of entries) {
    if (entry.rollout === rollout && entry.generation === generation) yield entry
  }
}
