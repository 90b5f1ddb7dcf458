import { SerinError } from "../errors.js"
import type { Clock } from "../model/clock.js"
import { MAX_HOLDER, MAX_TAKEOVER_MS, serializeBeat } from "../rollout/beat.js"
import type { Beat } from "../rollout/beat.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { DEADLINE_MS, withDeadlines } from "./deadline.js"
import { leaderKey } from "./keys.js"
import { messageOf } from "./message.js"
import { refusedBy, seenAs } from "./seen-beat.js"
import type { SeenBeat } from "./seen-beat.js"

/** A leader rewrites its document this often, ms. */
export const BEAT_EVERY_MS = 1000
/** Another may lead when the document has not changed for this long, ms. */
export const TAKEOVER_AFTER_MS = 3000
/** The newest, and the one that a writer which slept compares with. */
const KEPT_BEATS = 2
/** How much sooner a leader stops than another may begin, as a share: clocks do not all run at one rate. */
const MARGIN = 0.1
/** How much further the wall clock has gone than the monotonic one when the machine slept, ms; less is two readings' difference. */
const SLEPT_MS = 1000

/** One candidate for the lead of a rollout. */
export interface Elector {
  /** Resolves when the store has answered once, or has failed to. */
  readonly seated: Promise<void>
  /** The epoch under which this controller leads at this very instant; null when it may not count on it. */
  leading(): number | null
  /** Another one that leads, as far as is known; null: none, or the store does not tell. */
  rival(): string | null
  /** Throw `NOT_LEADING` unless this controller leads and no later one has written to this state. */
  fence(stored: RolloutState): void
  /** Look at the document now, and beat or take over where that is due. Never rejects. */
  look(): Promise<void>
  /** Why the last look failed. */
  problem(): string | undefined
  /** Stop, and let the next one lead at once. Never rejects. */
  close(): Promise<void>
}

export interface ElectorOptions {
  readonly store: StateStore
  readonly rollout: string
  /** This controller's alone, and new with each start. */
  readonly id: string
  readonly clock: Clock
  /** The state in force here: its revision is told with each beat, and a new epoch is above its own. */
  readonly state: () => Pick<RolloutState, "revision" | "epoch"> | null
  readonly beatEveryMs?: number | undefined
  readonly takeoverAfterMs?: number | undefined
  /** A new epoch began. */
  readonly onLead?: (() => void) | undefined
}

/**
 * Elect one leader by compare-and-set of one document. A candidate leads when it has seen no change for as long as the holder asks for, on
 * its own monotonic clock; a holder counts on its lead until a little less than that has passed since it *began* to write its last beat. So
 * no two count on it at once, whatever their wall clocks say and however long a write is under way. What a holder began to write before it
 * was replaced is up to the fence.
 */
export function createElector(options: ElectorOptions): Elector {
  const { rollout, clock, beatEveryMs = BEAT_EVERY_MS, takeoverAfterMs = TAKEOVER_AFTER_MS } = options
  if (!(beatEveryMs > 0) || !(takeoverAfterMs > beatEveryMs) || !(takeoverAfterMs <= MAX_TAKEOVER_MS)) {
    const rule = `0 < beatEveryMs < takeoverAfterMs <= ${MAX_TAKEOVER_MS}`
    throw new RangeError(
      `an elector needs ${rule}, got ${beatEveryMs} and ${takeoverAfterMs}; 1000 and 3000 are the defaults`,
    )
  }
  // Its end is what makes it unique.
  const id = options.id.slice(-MAX_HOLDER)
  // A beat that stalls must leave time for the next.
  const store = withDeadlines(options.store, clock, Math.min(DEADLINE_MS, beatEveryMs))
  const key = leaderKey(rollout)
  const lifetime = new AbortController()
  /** The document as it was read or written last. */
  let seen: SeenBeat | null = null
  let beat: Beat | null = null
  /** When it was first seen as it is, on the monotonic clock. */
  let since = clock.monotonic()
  /** Whether there ever was one, and the store ever answered. */
  let known = false
  let answered = false
  let highest = { epoch: 0, beat: 0 }
  /** Up to when this one leads, on the monotonic clock. */
  let until = Number.NEGATIVE_INFINITY
  /** Of this one's last lead. */
  let led = 0
  /** How long it has lasted, ms, and when that was. */
  let lasted = { ms: 0, monotonic: 0, wall: 0 }
  let problem: string | undefined
  /** Since its last write this one has seen another's document. */
  let displaced = false
  /** A write may have happened, or somebody else's: what is known may be old. */
  let unsure = true
  let looking: Promise<void> | null = null
  let cancel = (): void => {}
  let closing: Promise<void> | undefined

  /** One of this one's own that was brought back, after another's was there, is as anybody's: others may lead by what they wrote. */
  const isOurs = (): boolean => beat?.holder === id && beat.epoch === highest.epoch && !displaced
  const waitMs = (): number => beat?.takeoverAfterMs ?? takeoverAfterMs
  const silentMs = (): number => clock.monotonic() - since
  const isFree = (): boolean => answered && (!known || (beat !== null && beat.holder === null))

  function leading(): number | null {
    const isLed = isOurs() && led === highest.epoch && clock.monotonic() < until
    return isLed && !lifetime.signal.aborted ? led : null
  }

  function observe(found: SeenBeat | null): void {
    problem = found === null ? undefined : found.refused
    const isSame = found?.revision === seen?.revision && found?.envelope === seen?.envelope
    answered = true
    unsure = false
    if (isSame) return
    seen = found
    since = clock.monotonic()
    known = true
    beat = found === null ? null : found.beat
    displaced ||= beat?.holder !== id
    if (beat === null) return
    // Also when the store went back: what comes next is above all that was ever seen here.
    highest = { epoch: Math.max(highest.epoch, beat.epoch), beat: Math.max(highest.beat, beat.beat) }
  }

  /** Once more where what is in the way is this one's own: written by a call whose answer was lost. */
  async function write(holder: string | null): Promise<void> {
    if (!(await put(holder)) && isOurs()) await put(holder)
  }

  /** A machine that slept may have stopped its monotonic clock: then the wall clock says how long. */
  function lastedMs(isNew: boolean): number {
    const [monotonic, wall] = [clock.monotonic(), clock.now()]
    const [passed, wallPassed] = [monotonic - lasted.monotonic, wall - lasted.wall]
    const ms = isNew ? 0 : lasted.ms + (wallPassed > passed + SLEPT_MS ? wallPassed : passed)
    lasted = { ms, monotonic, wall }
    return Math.round(ms)
  }

  /** Beat, take over or leave: all by the same write. */
  async function put(holder: string | null): Promise<boolean> {
    const begun = clock.monotonic()
    const { revision = 0, epoch = 0 } = options.state() ?? {}
    const next: Beat = {
      format: "serin/leader/1",
      rollout,
      epoch: isOurs() ? highest.epoch : Math.max(highest.epoch, epoch) + 1,
      beat: highest.beat + 1,
      holder,
      revision,
      takeoverAfterMs: Math.ceil(takeoverAfterMs),
      ledMs: lastedMs(!isOurs()),
    }
    const envelope = serializeBeat(next)
    const at = seen?.revision ?? 0
    unsure = true
    const written = await store
      .compareAndSet(key, at, envelope, { keep: KEPT_BEATS })
      .catch((error: unknown) => ({ ok: false as const, current: refusedBy(error) }))
    observe(written.ok ? { revision: at + 1, envelope, beat: next } : seenAs(written.current, rollout))
    if (written.ok) displaced = false
    if (!written.ok || holder === null) return written.ok
    until = begun + takeoverAfterMs * (1 - MARGIN)
    if (led !== next.epoch) {
      led = next.epoch
      options.onLead?.()
    }
    return true
  }

  async function step(): Promise<void> {
    try {
      if (unsure || !isOurs()) observe(seenAs(await store.get(key).catch(refusedBy), rollout))
      if (lifetime.signal.aborted) return
      if (isOurs() || isFree() || silentMs() >= waitMs()) await write(id)
    } catch (error) {
      problem = messageOf(error)
    }
  }

  function look(): Promise<void> {
    if (lifetime.signal.aborted) return Promise.resolve()
    if (looking === null) {
      cancel()
      const begun = clock.monotonic()
      looking = step().finally(() => {
        looking = null
        if (!lifetime.signal.aborted) cancel = clock.schedule(() => void look(), pauseMs(begun))
      })
    }
    return looking
  }

  /** Until the next look: a holder beats, a candidate sees changes in time and is there when the wait is over. */
  function pauseMs(begun: number): number {
    if (isOurs() && !unsure) return Math.max(0, begun + beatEveryMs - clock.monotonic())
    if (isOurs() || problem !== undefined) return beatEveryMs / 4
    const restMs = waitMs() - silentMs()
    return Math.min(beatEveryMs / 2, restMs > 0 ? restMs : beatEveryMs / 4)
  }

  // A hint of a candidate's is worth a look; a holder hears of its own beats.
  store.watch(key, () => void (isOurs() || look()), { signal: lifetime.signal })

  return {
    seated: look(),
    leading,
    rival: () => (beat !== null && beat.holder !== id && silentMs() < waitMs() ? beat.holder : null),
    fence(stored) {
      const epoch = leading()
      if (epoch === null) {
        const why = problem === undefined ? "" : `: ${problem}`
        throw new SerinError("NOT_LEADING", `${id} does not lead ${rollout}${why}`)
      }
      if (stored.epoch <= epoch) return
      // The document went back, or was removed: others know better. As any candidate, this one waits, and then goes above.
      highest = { ...highest, epoch: stored.epoch }
      until = Number.NEGATIVE_INFINITY
      since = clock.monotonic()
      throw new SerinError(
        "NOT_LEADING",
        `a leader of epoch ${stored.epoch} has written to ${rollout}; ${id} has ${epoch}`,
      )
    },
    look,
    problem: () => problem,
    close: () => (closing ??= close()),
  }

  async function close(): Promise<void> {
    // It leads no more from here on: the next one may begin as soon as it reads so.
    lifetime.abort()
    cancel()
    await looking
    if (isOurs()) await write(null).catch(() => {})
  }
}
