import { createHash } from "node:crypto"
import { labelsKey } from "../controller/keys.js"
import { SerinError } from "../errors.js"
import type { ReadStore, StateStore } from "../rollout/store.js"
import type { Drawable } from "./from-log.js"
import {
  checkLabel,
  MOST_DRAWS,
  MOST_LABELS,
  noLabels,
  parseLabels,
  type Draw,
  type Label,
  type Labels,
} from "./labels.js"

/** Whose labels, and of which generation: what was said of an earlier one is in the history of the document. */
export interface LabelsOf {
  readonly rollout: string
  readonly generation: number
}

const MAX_ATTEMPTS = 20
const KEPT_LABELS = 20

/** Read what people said of a generation; nothing where the document is of an earlier one. Throws `LABELS_INVALID` and what the store throws. */
export async function readLabels(store: Pick<ReadStore, "get">, of: LabelsOf): Promise<Labels> {
  return (await stored(store, of)).labels
}

/** Keep what a person says, in the place of what they said of it before. Throws as {@link readLabels}, and `STORE_CONFLICT`. */
export async function keepLabel(store: StateStore, of: LabelsOf, label: Label): Promise<Labels> {
  const checked = checkLabel(label)
  const isSame = ({ group, example, by }: Label): boolean =>
    group === checked.group && example === checked.example && by === checked.by
  return change(store, of, (before) => {
    const labels = [...before.labels.filter((one) => !isSame(one)), checked]
    return labels.length > MOST_LABELS ? full("labels", MOST_LABELS) : { ...before, labels }
  })
}

/**
 * Draw a disagreement at random and write down that it was drawn; one that this person has drawn before and nobody has labelled comes first.
 * Null: all sessions of the scope were drawn. Which one comes next depends on the rollout, the generation and the sessions' ids alone, and on no outcome.
 */
export async function drawNext(
  store: StateStore,
  of: LabelsOf,
  population: readonly Drawable[],
  { scope, by, at }: Pick<Draw, "scope" | "by" | "at">,
): Promise<Draw | null> {
  const places = placesIn(of, scope, population)
  let drawn: Draw | null = null
  await change(store, of, (before) => {
    const own = before.draws.find((draw) => draw.scope === scope && draw.by === by && !isLabelled(before, draw))
    if (own !== undefined) {
      drawn = own
      return before
    }
    const taken = new Set(before.draws.filter((draw) => draw.scope === scope).map(({ place }) => place))
    const next = places.find(({ place }) => !taken.has(place))
    drawn = next === undefined ? null : { scope, place: next.place, example: next.id, group: next.group, by, at }
    if (drawn === null) return before
    return before.draws.length >= MOST_DRAWS
      ? full("draws", MOST_DRAWS)
      : { ...before, draws: [...before.draws, drawn] }
  })
  return drawn
}

export const isLabelled = ({ labels }: Labels, { example }: Draw): boolean =>
  labels.some((label) => label.example === example)

/** One disagreement of each session, in the order in which they are drawn. */
function placesIn({ rollout, generation }: LabelsOf, scope: string, population: readonly Drawable[]) {
  const hash = (...parts: readonly string[]): string =>
    createHash("sha256")
      .update(JSON.stringify([rollout, generation, scope, ...parts]))
      .digest("hex")
      .slice(0, 16)
  const sessions = new Map<string, { place: string; order: string; id: string; group: string }>()
  for (const { id, session, group } of population) {
    if (scope !== "all" && scope !== group) continue
    const order = hash(session, group)
    const known = sessions.get(session)
    if (known === undefined || order < known.order) sessions.set(session, { place: hash(session), order, id, group })
  }
  return [...sessions.values()].toSorted((a, b) => (a.place < b.place ? -1 : 1))
}

async function stored(store: Pick<ReadStore, "get">, { rollout, generation }: LabelsOf) {
  const found = await store.get(labelsKey(rollout))
  if (found === null) return { revision: 0, labels: noLabels(rollout, generation) }
  const labels = parseLabels(found.envelope)
  if (labels.rollout !== rollout) {
    throw new SerinError("LABELS_INVALID", `expected the labels of ${rollout}, got those of ${labels.rollout}`)
  }
  if (labels.generation > generation) {
    throw new SerinError(
      "LABELS_INVALID",
      `the labels are of generation ${labels.generation} already, and not of ${generation}; look again`,
    )
  }
  const isOld = labels.generation < generation
  return { revision: found.revision, labels: isOld ? noLabels(rollout, generation) : labels }
}

/** By compare-and-set, on what others have said meanwhile. A step that answers the same writes nothing. */
async function change(store: StateStore, of: LabelsOf, step: (before: Labels) => Labels): Promise<Labels> {
  const key = labelsKey(of.rollout)
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { revision, labels } = await stored(store, of)
    const after = step(labels)
    if (after === labels) return labels
    const written = await store.compareAndSet(key, revision, JSON.stringify(after), { keep: KEPT_LABELS })
    if (written.ok) return after
  }
  throw new SerinError("STORE_CONFLICT", `${key} was changed by others ${MAX_ATTEMPTS} times in a row; try again`)
}

function full(what: string, most: number): never {
  throw new SerinError("LABELS_INVALID", `there are ${most} ${what} of this generation, and no more are kept`)
}
