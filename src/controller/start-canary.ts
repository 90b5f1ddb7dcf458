import { isSerinError } from "../errors.js"
import type { Actor, RolloutState } from "../rollout/state.js"
import type { Digests } from "../rollout/digests.js"
import type { GateReport } from "../rollout/gate.js"
import type { RolloutSpec } from "../rollout/spec.js"
import type { StateStore } from "../rollout/store.js"
import type { StartEvent } from "../rollout/event.js"
import { transition } from "../rollout/transition.js"
import { errorText } from "../model/error-text.js"
import { newSalt, pastStates, readStored } from "./verbs.js"
import { writeState } from "./write-state.js"

/** Revisions that are looked at before a controller starts a canary: as many as the file store keeps by default. */
const MAX_PAST = 1000

/**
 * Start the spec's canary as a controller may, unless it is the canary of the state. Not one that was rolled back, contained or killed
 * when it was last under way, as far as the newest 1,000 revisions that the store keeps tell: that takes a human. Answers why it was not
 * started; null when it was, or is under way or promoted already. `replay` makes the replay that a gate asks for, once nothing else is in the way; `digests`
 * those of the releases that are meant. Throws `STATE_INVALID` and what the store throws.
 */
export async function startCanary(
  store: StateStore,
  spec: RolloutSpec,
  actor: Actor,
  now: () => number,
  replay: () => Promise<GateReport>,
  digests?: () => Promise<Digests>,
): Promise<string | null> {
  const found = await readStored(store, spec.rollout)
  if (found === null) throw new RangeError(`rollout must have a state, got none for ${spec.rollout}`)
  const { state, envelope: content } = found
  if (state.canary === spec.canary && !wasStopped(state)) return null
  const reason = `the rollout file names ${spec.canary}`
  const event = { type: "start", spec, salt: newSalt(), actor, reason } as const
  const allowed = next(state, { ...event, spec: { ...spec, gate: undefined } }, now())
  if (typeof allowed === "string") return allowed
  const stopped = await lastStop(store, spec)
  if (stopped !== null) {
    const { revision, last } = stopped
    return `${spec.canary} is not started again: it was stopped in revision ${revision} (${last.reason}); \`serin start\` starts it`
  }
  let gate: GateReport | undefined
  try {
    gate = spec.gate && (await replay())
  } catch (error) {
    // What is wrong with the recording or with the canary is told: it is no reason not to serve by stable.
    return `${spec.canary} is not started: its replay failed: ${errorText(error)}`
  }
  const started = next(state, { ...event, gate, digests: await digests?.() }, now())
  if (typeof started === "string") return started
  const written = await writeState(store, { revision: state.revision, content }, started)
  return written !== null ? null : startCanary(store, spec, actor, now, replay, digests)
}

/** The state after a start, or why it is refused. */
function next(state: RolloutState, event: StartEvent, now: number): RolloutState | string {
  try {
    return transition(state, event, now)
  } catch (error) {
    if (isSerinError(error) && error.code === "TRANSITION_REFUSED") return error.message
    throw error
  }
}

const wasStopped = ({ kill, ended }: RolloutState): boolean =>
  kill !== "off" || ended?.kind === "rolled_back" || ended?.kind === "contained"

/** The newest revision with the spec's canary, if it was stopped there: a human may have retried it before. */
async function lastStop(store: StateStore, { rollout, canary }: RolloutSpec): Promise<RolloutState | null> {
  let looked = 0
  for await (const past of pastStates(store, rollout)) {
    if (past.canary === canary) return wasStopped(past) ? past : null
    if (++looked >= MAX_PAST) break
  }
  return null
}
