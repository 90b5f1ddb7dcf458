import type { Clock } from "../model/clock.js"
import type { ReadProblem } from "../model/follower-problem.js"
import { isLater, parseBeat } from "../rollout/beat.js"
import type { Beat } from "../rollout/beat.js"
import { isUnderWay, phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { Versioned } from "../rollout/store.js"
import { createLooks } from "./looks.js"
import type { Looks, LookResult } from "./looks.js"
import { messageOf } from "./message.js"

/** How often the beat is looked at before the lease has begun, ms: a process that starts should serve its canary soon. */
const BEFORE_MS = 1000
/** Looks in one lease: a few may fail. */
const LOOKS_PER_LEASE = 5
/** How much faster than the leader's this process's clock may run, as a share: what NTP slews by, at the most. */
const DRIFT = 0.0005

/** How long the canary may still serve while nothing is heard of a leader. */
export interface LeaseStatus {
  /** Whether the state in force has a canary that serves only while somebody leads. */
  readonly needed: boolean
  /** How long the canary still serves without another beat, ms; 0: it does not. Null where none is needed. */
  readonly leftMs: number | null
  /** The latest beat that was seen. */
  readonly beat: Pick<Beat, "epoch" | "beat" | "holder" | "revision"> | null
  /** Why the last look did not make it longer. */
  readonly message?: string | undefined
  readonly problem?: ReadProblem | undefined
}

/** A dead man's switch: the canary serves only while the leader's beats advance. */
export interface CanaryLease {
  /** The state in force has changed. */
  follow(state: RolloutState | null): void
  /** Whether the canary must not serve. Cheap: asked on calls. */
  over(): boolean
  problem(): ReadProblem | undefined
  status(): LeaseStatus
  close(): void
}

export interface CanaryLeaseOptions {
  readonly rollout: string
  readonly clock: Clock
  readonly leaseMs: number
  readonly pollEveryMs: number
  /** In [0, 1). */
  readonly random: () => number
  /** Read the leader's document, once and in time. */
  ask(take: (found: Versioned | null) => void, failed: (error: unknown) => void): Promise<LookResult>
  /** Of the state that the store confirmed last. */
  revision(): number
  /** Told of the revision that the leader has in force. */
  heard(revision: number): void
  /** The lease has begun or is over. */
  changed(): void
  problem(problem: ReadProblem): void
}

/** A moment on both clocks. Monotonic time may stand still while the machine sleeps, and wall time may jump. */
interface Moment {
  readonly monotonic: number
  readonly wall: number
}
const NEVER: Moment = { monotonic: Number.NEGATIVE_INFINITY, wall: Number.NEGATIVE_INFINITY }

/** Where the canary may serve, and be taken back by the leader. In shadow it serves those who are pinned to it; what is promoted is proven. */
const needsLease = (state: RolloutState | null): boolean => state !== null && isUnderWay(phaseOf(state))

export function createCanaryLease(options: CanaryLeaseOptions): CanaryLease {
  const { rollout, clock, leaseMs, pollEveryMs, random, revision } = options
  let needed = false
  let held = false
  let until = NEVER
  let seen: Beat | null = null
  /** How late it came, ms. */
  let lateMs = 0
  /** When the lead of this epoch began at the latest, on the monotonic clock, by the beat that was least late; and when that was seen. */
  let begun = { epoch: 0, at: 0, seenAt: 0 }
  /** When the last look began that was answered: what it did not show was written after that. */
  let lookedAt: Moment | null = null
  let message: string | undefined
  let problem: ReadProblem | undefined
  let looks: Looks | null = null
  let cancelEnd = (): void => {}

  const now = (): Moment => ({ monotonic: clock.monotonic(), wall: clock.now() })
  /** Whichever clock has gone further counts: it is over too early rather than too late. */
  const isCurrent = (): boolean => clock.monotonic() < until.monotonic && clock.now() < until.wall
  const everyMs = (): number => Math.min(held ? pollEveryMs : BEFORE_MS, leaseMs / LOOKS_PER_LEASE)

  function look(): Promise<LookResult> {
    const begunAt = now()
    return options.ask(
      (found) => {
        const before = lookedAt
        lookedAt = begunAt
        take(found, before)
      },
      (error) => void (message = messageOf(error)),
    )
  }

  /** `before`: when the look began that did not show this yet. */
  function take(found: Versioned | null, before: Moment | null): void {
    if (!needed) return
    let beat: Beat
    try {
      if (found === null) throw new Error("nobody has led yet")
      beat = parseBeat(found.envelope)
      if (beat.rollout !== rollout) throw new Error(`expected the beat of ${rollout}, got that of ${beat.rollout}`)
      if (seen !== null && !isLater(beat, seen))
        throw new Error(`beat ${beat.beat} of epoch ${beat.epoch} is not later${lateWords()}`)
    } catch (error) {
      message = messageOf(error)
      return
    }
    const isFirst = seen === null
    seen = beat
    lateMs = lateness(beat)
    options.heard(beat.revision)
    if (beat.revision > revision()) {
      message = `the leader has revision ${beat.revision} in force, this process has ${revision()}`
    } else if (isFirst || before === null) {
      // It may be a copy from long ago: only the next one shows that somebody lives.
      message = "the first beat that was seen shows nothing yet"
    } else {
      // Both are the latest moment at which it may have been written: the earlier one holds.
      const heldMs = Math.max(0, before.monotonic - (clock.monotonic() - lateMs))
      const at = { monotonic: before.monotonic - heldMs, wall: before.wall - heldMs }
      const isNews = at.monotonic + leaseMs > Math.max(until.monotonic, clock.monotonic())
      message = isNews ? undefined : `beat ${beat.beat} of epoch ${beat.epoch} shows nothing new${lateWords()}`
      if (isNews) renew(at)
    }
  }

  /**
   * Tell how much later than the timeliest beat of its lead this one is shown, ms. Attack: whoever controls the store lets some beats through,
   * and shows those that it held back one by one when the leader is gone, or has written a kill that it withholds.
   */
  function lateness({ epoch, ledMs }: Beat): number {
    const now = clock.monotonic()
    const latest = begun.at + (now - begun.seenAt) * DRIFT
    const at = now - ledMs
    if (epoch === begun.epoch && at > latest) return at - latest
    begun = { epoch, at, seenAt: now }
    return 0
  }

  const lateWords = (): string => (lateMs < 1000 ? "" : `; it came ${Math.round(lateMs / 1000)} s late`)

  /** The leader lived at `at` or later. Counted from then, the canary is off within one lease of the leader's end, however seldom it is looked at. */
  function renew(at: Moment): void {
    until = { monotonic: at.monotonic + leaseMs, wall: at.wall + leaseMs }
    if (!isCurrent()) return
    problem = undefined
    endAt(until.monotonic)
    if (held) return
    held = true
    options.changed()
  }

  function endAt(monotonic: number): void {
    cancelEnd()
    cancelEnd = clock.schedule(end, monotonic - clock.monotonic())
  }

  function end(): void {
    // Timers may be early.
    if (held && isCurrent()) return endAt(until.monotonic)
    const was = held
    stop()
    if (was) options.changed()
  }

  function stop(): void {
    held = false
    cancelEnd()
    const why = message ?? "the leader is silent"
    problem = { code: "canary_lease_expired", since: clock.now(), message: `no beat for ${leaseMs} ms: ${why}` }
    options.problem(problem)
  }

  function begin(): void {
    looks = createLooks({ look, clock, everyMs, random })
    // A process that has just begun has lost nothing yet.
    endAt(clock.monotonic() + leaseMs)
    void looks.now()
  }

  function rest(): void {
    looks?.close()
    looks = null
    held = false
    problem = undefined
    message = undefined
    cancelEnd()
  }

  return {
    follow(state) {
      const before = needed
      needed = needsLease(state)
      if (needed && !before) begin()
      else if (before && !needed) rest()
    },
    over() {
      if (!needed) return false
      // One clock is enough here, the one that goes on in every sleep: the timer looks at both.
      if (held && clock.now() >= until.wall) {
        // Found before its timer: this process, or the whole machine, has slept. Whoever asks is in the middle of a call.
        queueMicrotask(options.changed)
        stop()
      }
      return !held
    },
    problem: () => problem,
    status: () => ({
      needed,
      leftMs: needed ? (held ? Math.max(0, until.monotonic - clock.monotonic()) : 0) : null,
      beat: seen && { epoch: seen.epoch, beat: seen.beat, holder: seen.holder, revision: seen.revision },
      message,
      problem,
    }),
    close: rest,
  }
}
