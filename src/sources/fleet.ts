import { setMaxListeners } from "node:events"
import { SerinError } from "../errors.js"
import type { Diff } from "../evidence/diffs.js"
import { mergePacked } from "../evidence/packed.js"
import { evidenceKey, parsePublication } from "../evidence/publication.js"
import type { ReadPublication } from "../evidence/publication.js"
import type { Processes } from "../evidence/processes.js"
import type { EvidenceSource } from "../evidence/source.js"
import type { Clock } from "../model/clock.js"
import { systemClock } from "../model/clock.js"
import type { Evidence } from "../model/evidence.js"
import { refuseUnknown } from "../model/options.js"
import type { StateStore } from "../rollout/store.js"
import { mergeDiffs } from "./merge-diffs.js"

export interface SharedSourceOptions {
  readonly store: StateStore
  readonly rollout: string
  readonly clock?: Clock | undefined
  /** A process that has said nothing for this long is no longer alive, ms. Default 90,000: three of the slowest publications. */
  readonly staleAfterMs?: number | undefined
}

/** The evidence of a fleet, through the store: of each process what it said last, also when it is dead. */
export interface SharedSource extends EvidenceSource {
  /** What they said besides, as of the last read. */
  processes(): Processes
  /** Most frequent first. */
  diffs(): readonly Diff[]
}

/** How much of a read may pass before what is left waits for the next, ms: a look waits 2 s for its evidence. */
const BUDGET_MS = 1500
/** Documents that are asked for at once. */
const AT_ONCE = 32
/** Less than this share of a fleet may have hosts of its own kind. */
const FUSE_SHARE = 0.05
/** Evidence of an earlier generation counts for nothing; its process may yet come back within this, ms. */
const PRUNE_AFTER_MS = 3_600_000
/** Documents that one read removes at the most. */
const PRUNED_AT_ONCE = 10

/** What is known of one process in one of its runs. */
interface Publisher {
  token: string | null
  /** The one with the highest sequence; null: none could be read. */
  said: ReadPublication | null
  /** When its sequence was seen to grow, on the reader's monotonic clock: no clocks need to agree. */
  heardAt: number
  readAt: number
  unreadable: boolean
}

/**
 * Read and merge what processes publish below `<rollout>/evidence`. A process counts once in each of its runs, by its highest sequence:
 * late and duplicate publications change nothing, and the last one of a dead process stays. Where `salt` is asked for as well, nothing counts that
 * was counted before a store went back to an earlier generation. Rejects with `EVIDENCE_STALE` when none of those that have
 * evidence has said anything for `staleAfterMs`, and with what the store throws. Not for two readers that judge by different generations.
 */
export function sharedSource(options: SharedSourceOptions): SharedSource {
  refuseUnknown("sharedSource", options, { store: true, rollout: true, clock: true, staleAfterMs: true })
  const { store, rollout, clock = systemClock, staleAfterMs = 90_000 } = options
  const under = evidenceKey(rollout)
  const publishers = new Map<string, Publisher>()
  let merged: Evidence | null = null
  let diffs: readonly Diff[] | null = null
  let generation = 0
  let salt: string | undefined

  /** Of the generation that is judged, and of no other of its number: a store that went back gives numbers twice. */
  const isOfNow = (said: ReadPublication | null): said is ReadPublication =>
    said?.generation === generation && (salt ?? said.salt) === said.salt
  const isLive = (one: Publisher): boolean => clock.monotonic() - one.heardAt < staleAfterMs
  const ofNow = (): ReadPublication[] => [...publishers.values()].flatMap(({ said }) => (isOfNow(said) ? [said] : []))

  /** Ask for all documents, the one that was read longest ago first, as far as time allows. Throws when none can be read. */
  async function refresh(signal: AbortSignal | undefined): Promise<void> {
    const begun = clock.monotonic()
    // Each document that is asked for listens to it; the default warns of more than ten.
    if (signal !== undefined) setMaxListeners(2 * AT_ONCE, signal)
    for (const key of await store.list(under, { signal })) {
      const fresh = { token: null, said: null, heardAt: begun, readAt: Number.NEGATIVE_INFINITY, unreadable: false }
      if (!publishers.has(key)) publishers.set(key, fresh)
    }
    const queue = [...publishers].toSorted(([, a], [, b]) => a.readAt - b.readAt)
    let read = 0
    let failure: unknown
    const isDue = (): boolean => clock.monotonic() - begun < BUDGET_MS && signal?.aborted !== true
    async function work(): Promise<void> {
      for (let next = queue.shift(); next !== undefined && isDue(); next = queue.shift()) {
        const [key, one] = next
        try {
          const found = await store.get(key, { signal })
          one.readAt = clock.monotonic()
          if (found === null) forget(key, one)
          else if (found.token !== one.token) hear(key, one, found.token, found.envelope)
          read++
        } catch (error) {
          failure = error
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    if (read === 0 && failure !== undefined) throw failure
  }

  function hear(key: string, one: Publisher, token: string, text: string): void {
    one.token = token
    try {
      const said = parsePublication(text)
      if (said.rollout !== rollout || `${under}/${said.publisher}` !== key) throw new Error("it is another's")
      one.unreadable = false
      // Late, or the store went back: what was known of this process stays.
      if (said.sequence <= (one.said?.sequence ?? 0)) return
      one.said = said
      one.heardAt = clock.monotonic()
      merged = null
      diffs = null
    } catch {
      one.unreadable = true
    }
  }

  /** A document is gone. What its process has counted stays; what could not be read was nothing. */
  function forget(key: string, one: Publisher): void {
    one.token = null
    one.unreadable = false
    if (one.said === null) publishers.delete(key)
  }

  /** Not waited for: what stays is tried again. */
  function prune(): void {
    const silent = [...publishers].filter(
      ([, { said, heardAt }]) =>
        said !== null &&
        said.generation <= generation &&
        !isOfNow(said) &&
        clock.monotonic() - heardAt > PRUNE_AFTER_MS,
    )
    for (const [key] of silent.slice(0, PRUNED_AT_ONCE)) {
      publishers.delete(key)
      void store.remove(key).catch(() => {})
    }
  }

  function merge(): Evidence {
    const unread = [...publishers.values()].filter(({ readAt }) => readAt === Number.NEGATIVE_INFINITY).length
    merged ??= mergePacked(
      generation,
      ofNow().map(({ packed }) => packed),
    )
    if (unread === 0) return merged
    return {
      ...merged,
      gap: { noData: "errored", detail: `${unread} of ${publishers.size} publications not read yet` },
    }
  }

  return {
    lasting: true,
    async read(query = {}) {
      const asked =
        query.generation ?? Math.max(0, ...[...publishers.values()].map(({ said }) => said?.generation ?? 0))
      if (asked !== generation || query.salt !== salt) {
        generation = asked
        salt = query.salt
        merged = null
        diffs = null
      }
      await refresh(query.signal)
      prune()
      const all = [...publishers.values()].filter(({ said }) => isOfNow(said))
      if (all.length === 0) return null
      if (!all.some(isLive)) {
        throw new SerinError("EVIDENCE_STALE", `none of ${all.length} processes has published for ${staleAfterMs} ms`)
      }
      return merge()
    },
    processes() {
      const live = [...publishers.values()].filter(isLive).flatMap(({ said }) => (said === null ? [] : [said]))
      const now = live.filter(isOfNow)
      const blown = now.flatMap(({ fuse }) => (fuse === null ? [] : [fuse]))
      const isMissing = now.some(({ releases }) => releases === "missing")
      const unreadable = [...publishers.values()].filter((one) => one.unreadable).length
      const isBlown = blown.length > 0 && blown.length >= FUSE_SHARE * now.length
      return {
        releases: isMissing ? "missing" : "ready",
        fuse: isBlown ? `of ${now.length} processes ${blown.length}, one of them: ${blown[0]}` : null,
        problem: unreadable > 0 ? `${unreadable} of ${publishers.size} publications cannot be read` : undefined,
      }
    },
    diffs: () => (diffs ??= mergeDiffs(ofNow().map((said) => said.diffs))),
  }
}
