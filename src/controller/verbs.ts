import { SerinError } from "../errors.js"
import { initialState, parseState } from "../rollout/state.js"
import type { Actor, RolloutState } from "../rollout/state.js"
import type { RolloutSpec } from "../rollout/spec.js"
import type { ReadStore, StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import type { RolloutEvent } from "../rollout/transition.js"
import { stateKey } from "./keys.js"
import { NOTHING, writeState } from "./write-state.js"
import type { Stored } from "./write-state.js"

export type { Stored } from "./write-state.js"

/** Writers that meet take turns; more losses in a row than this is not a coincidence. */
const MAX_ATTEMPTS = 20

/** Read the state as it is in the store; null when there is none. Throws `STATE_INVALID` or what the store throws. */
export async function readState(store: Pick<ReadStore, "get">, rollout: string): Promise<RolloutState | null> {
  return (await readStored(store, rollout))?.state ?? null
}

/** As {@link readState}, with the text: what is written over it is chained to that. */
export async function readStored(store: Pick<ReadStore, "get">, rollout: string): Promise<Stored | null> {
  const found = await store.get(stateKey(rollout))
  if (found === null) return null
  const state = parseState(found.envelope)
  if (state.rollout !== rollout) {
    throw new SerinError("STATE_INVALID", `expected the state of ${rollout}, got that of ${state.rollout}`)
  }
  // Attack: an old state, well signed, put in the place of the newest. What is written over it would bring it back.
  if (state.revision !== found.revision) {
    const message = `revision ${found.revision} of the store has revision ${state.revision} of the state: another was put in its place`
    throw new SerinError("STATE_INVALID", message)
  }
  return { state, envelope: found.envelope }
}

/** States of the revisions that are kept, newest first. Those that cannot be read are left out. */
export async function* pastStates(store: Pick<StateStore, "history">, rollout: string): AsyncGenerator<RolloutState> {
  for await (const { envelope } of store.history(stateKey(rollout))) {
    const state = stateOrNull(envelope)
    if (state !== null) yield state
  }
}

function stateOrNull(envelope: string): RolloutState | null {
  try {
    return parseState(envelope)
  } catch {
    return null
  }
}

/** Write the state of a rollout that has none: idle, everybody on stable. Answers what is there already otherwise. */
export async function ensureState(
  store: StateStore,
  spec: RolloutSpec,
  actor: Actor,
  now: number,
): Promise<RolloutState> {
  const found = await readState(store, spec.rollout)
  if (found !== null) return found
  const written = await writeState(store, NOTHING, initialState(spec, now, newSalt(), actor))
  return written?.state ?? ensureState(store, spec, actor, now)
}

/**
 * Apply one event to the stored state by compare-and-set, reading it again when another writer was first.
 * Answers the state that is in force afterwards. Throws `TRANSITION_REFUSED` when the event does not fit it.
 */
export async function act(
  store: StateStore,
  rollout: string,
  event: RolloutEvent,
  now: () => number,
): Promise<RolloutState> {
  return (await change(store, rollout, (state) => transition(state, event, now()))).state
}

/** As {@link act}, for any step; one that answers the same state writes nothing. `record` names the recorded verdict that made it. */
export async function change(
  store: StateStore,
  rollout: string,
  step: (state: RolloutState) => RolloutState,
  record?: () => string | undefined,
): Promise<Stored & { readonly written: boolean }> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const found = await readStored(store, rollout)
    if (found === null) {
      throw new SerinError("TRANSITION_REFUSED", `rollout ${rollout} has no state yet; run \`serin start\` first`)
    }
    const state = step(found.state)
    if (state === found.state) return { ...found, written: false }
    const before = { revision: found.state.revision, content: found.envelope }
    const stored = await writeState(store, before, state, record?.())
    if (stored !== null) return { ...stored, written: true }
  }
  throw new SerinError(
    "STORE_CONFLICT",
    `rollout ${rollout} was changed by others ${MAX_ATTEMPTS} times in a row; try again`,
  )
}

/** Salt of a generation: 96 random bits, so that two rollouts never share their canary sessions. */
export function newSalt(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(12))).toString("base64url")
}
