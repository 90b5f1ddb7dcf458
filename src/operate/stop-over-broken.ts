import { stateKey } from "../controller/keys.js"
import { writeState, type Stored } from "../controller/write-state.js"
import { isSerinError } from "../errors.js"
import type { RolloutEvent } from "../rollout/event.js"
import { revise } from "../rollout/revise.js"
import { parseState, type RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import { contentOf } from "../stores/witnessed.js"

/**
 * Stop a rollout whose newest revision cannot be read: apply the event to the newest one that can, and write it after the
 * broken one. A kill must not wait until somebody has mended a file. Null: no revision can be read, or another writer was first.
 */
export async function stopOverBroken(
  { store, raw }: { readonly store: StateStore; readonly raw: StateStore },
  rollout: string,
  event: Extract<RolloutEvent, { readonly type: "kill" | "contain" | "rollback" | "pause" }>,
  at: number,
): Promise<RolloutState | null> {
  const key = stateKey(rollout)
  const newest = await raw.get(key)
  const good = newest === null ? null : await newestReadable(store, key, rollout)
  if (newest === null || good === null) return null
  // The broken revision keeps its number, or processes that follow would take what comes now for a replay.
  const base = { ...good.state, revision: newest.revision }
  const next = transition(base, event, at)
  const { type, actor, reason } = event
  const cause = { event: type, actor, reason }
  const written = next === base ? revise(base, at, cause, {}) : next
  // Chained to both: what is broken vouches for nothing before it.
  const before = { revision: newest.revision, content: contentOf(newest.envelope), base: good.envelope }
  return (await writeState(store, before, written))?.state ?? null
}

/** Older ones are not looked at: they are many, and one of them may be broken as well. */
async function newestReadable(store: StateStore, key: string, rollout: string): Promise<Stored | null> {
  for await (const { revision, envelope } of store.history(key)) {
    try {
      const state = parseState(envelope)
      // Attack: another state, be it well signed, put in the place of this one.
      if (state.rollout === rollout && state.revision === revision) return { state, envelope }
    } catch (error) {
      if (!isSerinError(error)) throw error
    }
  }
  return null
}
