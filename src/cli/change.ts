import { apply, type VerbEvent } from "../operate/apply.js"
import type { RolloutEvent } from "../rollout/event.js"
import { phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { ACTOR_FLAGS, Invocation, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import type { AnswerOf, CHANGE } from "./answer.js"
import { usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import { nextSteps, phaseWords } from "../operate/next-step.js"
import { placeOf, requireWritable, rolloutName, type Place } from "./place.js"
import { isUnderWay } from "../rollout/phase.js"

type ChangeInvocation = Pick<
  Invocation<typeof PLACE_FLAGS & typeof JSON_FLAG & typeof ACTOR_FLAGS, AnswerOf<typeof CHANGE>>,
  "values" | "io" | "out"
>

/** What a verb did, in words. */
export interface Told {
  /** What it means for those who are served; by default what the phase says comes next. */
  readonly next?: string | undefined
  /** The verb that takes it back. */
  readonly undo: string
  /** What that leads to, where it is not what was before. */
  readonly undone?: string | undefined
  readonly warning?: string | undefined
}

interface Change {
  readonly before: RolloutState | null
  readonly after: RolloutState
  /** The event, as revisions name it. */
  readonly asked: RolloutEvent["type"]
  readonly told: Told
}

/** The rollout that a verb is about. */
export interface Target {
  readonly place: Place
  readonly name: string
}

export async function targetOf(verb: string, { values, io, out }: ChangeInvocation): Promise<Target> {
  const place = await placeOf(values, io)
  requireWritable(place, verb)
  return { place, name: await rolloutName(place, out) }
}

/** Apply an event to a rollout and tell what it did. */
export async function change(
  { values, io, out }: ChangeInvocation,
  { place, name }: Target,
  event: VerbEvent,
  tell: (after: RolloutState) => Told,
): Promise<number> {
  const { before, after, overBroken } = await apply(place, name, event, () => io.clock.now())
  if (overBroken) {
    out.note(
      "note: the newest revision cannot be read, or not be trusted; this was applied to the newest one that can, and written after it",
    )
  }
  printChange({ values, io, out }, place, { before, after, asked: event.type, told: tell(after) })
  return EXIT.ok
}

/** Tell what changed, what happens next, and how to take it back. */
export function printChange({ values, io, out }: ChangeInvocation, place: Place, result: Change): void {
  const { before, after, asked, told } = result
  // A revision that another writer made in between is not this one's doing.
  const changed = before?.revision !== after.revision && after.last.event === asked
  const phase = phaseOf(after)
  const undo = place.command(told.undo)
  if (told.warning !== undefined) out.note(`warning: ${told.warning}`)
  if (values.json) {
    const { rollout, revision } = after
    return out.json({ changed, rollout, revision, phase, state: after, undo: changed ? undo : null })
  }
  const was = before === null || !changed ? "" : ` (was ${phaseWords(phaseOf(before))})`
  const holds = isUnderWay(phase) ? after.holds.map(({ reason }) => reason).join(", ") : ""
  const held = holds === "" ? "" : `, held by ${holds}`
  const revision = changed ? `revision ${after.revision}` : `nothing to change, still revision ${after.revision}`
  out.line({ text: after.rollout, style: "bold" }, `: ${phaseWords(phase)}${was}${held}; ${revision}`)
  const next = told.next === undefined ? nextSteps(after, io.clock.now(), place.command) : [told.next]
  for (const step of next) out.line(`  next: ${step}`)
  if (changed) out.line(`  undo: ${undo}${told.undone === undefined ? "" : ` (${told.undone})`}`)
}

/** Read a reason that must be given: what raises exposure, or takes the service away, is answered for. */
export function requiredReason(verb: string, reason: string | undefined): string {
  if (reason === undefined || reason.trim() === "") {
    throw usage(`serin ${verb} needs --reason "…": it is kept in the history`)
  }
  return reason
}

export const reasonOr = (reason: string | undefined, otherwise: string): string =>
  reason === undefined || reason.trim() === "" ? otherwise : reason
