import type { StateStore } from "../rollout/store.js"
import { notifiedKey } from "./keys.js"
import { messageOf } from "./message.js"
import { joinNotified, parseNotified, remember, serializeNotified, untold } from "./notified.js"
import type { Gap, Notified, Told } from "./notified.js"
import { getReplaceable } from "./replaceable.js"
import type { Replaceable } from "./replaceable.js"

/** What people were told, here and in the store. What is noted here is never forgotten by a store that fails. */
export interface ToldBook {
  /** Read what others have written. Rejects with what the store throws; a document that cannot be read counts as none. */
  open(): Promise<void>
  told(channel: string): Told
  gaps(): readonly Gap[]
  /** Take it down, and write it. Resolves when it is written, or could not be: then the next note writes it. */
  note(told: Told): Promise<boolean>
  noteGap(gap: Gap): Promise<boolean>
  /** Write what is not written yet. Never rejects. */
  settle(): Promise<boolean>
  /** Why the last write failed, or what was written over. */
  problem(): string | undefined
}

const MAX_ATTEMPTS = 5
/** The newest, and the one that a writer which slept compares with. */
const KEPT = 2

export function createToldBook(store: StateStore, rollout: string): ToldBook {
  const key = notifiedKey(rollout)
  let known: Notified = { format: "serin/notified/1", rollout, channels: [], gaps: [] }
  let revision = 0
  let dirty = false
  let problem: string | undefined
  let writing: Promise<boolean> = Promise.resolve(true)

  function take(found: Replaceable | null): void {
    revision = found?.revision ?? 0
    if (found === null) return
    try {
      const theirs = parseNotified(found.envelope)
      if (theirs.rollout !== rollout)
        throw new Error(`expected the record of ${rollout}, got that of ${theirs.rollout}`)
      known = joinNotified(known, theirs)
    } catch (error) {
      // Nobody is told less for it: who is not known is told where the rollout stands.
      problem = `what was told is not known, and begins anew: ${messageOf(error)}`
    }
  }

  async function write(): Promise<boolean> {
    try {
      for (let attempt = 0; dirty && attempt < MAX_ATTEMPTS; attempt++) {
        dirty = false
        const written = await store.compareAndSet(key, revision, serializeNotified(known), { keep: KEPT })
        if (written.ok) revision++
        else {
          dirty = true
          take(written.current)
        }
      }
      if (dirty) throw new Error("others write there all the time")
      problem = undefined
      return true
    } catch (error) {
      dirty = true
      problem = `what was told is not written, and may be told again: ${messageOf(error)}`
      // It may have been written: its revision is read before the next.
      await getReplaceable(store, key).then(take, () => {})
      return false
    }
  }

  function settle(): Promise<boolean> {
    writing = writing.then(() => (dirty ? write() : true))
    return writing
  }

  return {
    async open() {
      await writing
      take(await getReplaceable(store, key))
    },
    told: (name) => known.channels.find((told) => told.name === name) ?? untold(name),
    gaps: () => known.gaps,
    note(told) {
      known = remember(known, told)
      dirty = true
      return settle()
    },
    noteGap(gap) {
      known = joinNotified({ ...known, gaps: [gap] }, known)
      dirty = true
      return settle()
    },
    settle,
    problem: () => problem,
  }
}
