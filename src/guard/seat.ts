import type { Call } from "../model/call.js"
import type { Arm } from "../model/decision.js"
import type { Stratum } from "../model/evidence.js"
import type { ArmIndex } from "../evidence/cells.js"
import { armIn, rampIndexAt } from "../session/arm.js"
import { bucketOf, cohortOf, shadowBucketOf } from "../session/bucket.js"
import type { Book, Core } from "./core.js"
import { isEligible, mayServePinned, pinIn } from "./participation.js"
import type { Attributes } from "./participation.js"
import type { View } from "./view.js"

export const STABLE = 0
export const CANARY = 1

/** Who serves a call of the session, and where it is counted. Does not change while the call runs. */
export interface Turn<C extends Call> {
  readonly view: View<C>
  readonly arm: ArmIndex
  readonly book: Book
  readonly stratum: Stratum
  readonly cohort: number
  /** The session is in the comparison, on the arm that it was drawn for. */
  readonly inferable: boolean
  /** Both releases judge its calls. */
  readonly sampled: boolean
  /**
   * What both judged may be inferred from: stable serves it, or nobody is served by stable. Beside sessions of stable, those of the
   * canary would count until they first disagree, so less the more they do: a canary would look better the higher its share.
   */
  readonly comparable: boolean
}

export interface SeatOptions {
  readonly sessionId: string
  readonly startedAt: number
  readonly attributes?: Attributes | undefined
  /** Pinned to an arm; `none` stands for calls without a session, always stable. Neither is evidence. */
  readonly pin?: Arm | "none" | undefined
}

/**
 * The place of one session in the rollout: which arm it has, and whether it takes part.
 * A class, like everything of which there is one a session: closures would cost a kilobyte each time.
 */
export class Seat<C extends Call> {
  private turn: Turn<C> | null = null
  private salt: string | null = null
  private bucket = 0
  private shadowBucket = 0
  private cohort = 0
  /** Salt of the generation in which it was called first; null: it was not called yet. */
  private begunIn: string | null = null
  /** Entry of the ramp that it began in, as its first call had it. */
  private entry = -1
  /** Stable served it once. */
  private latched = false
  /** Began when the canary had all the sessions that it may have. */
  private full = false
  /** Called while the fuse was blown or nobody led. Those of the canary are displaced, and stable's must not be compared with nobody. */
  private aside = false

  constructor(
    private readonly core: Core<C>,
    private readonly options: SeatOptions,
  ) {}

  /** The turn as it would be now. */
  look(): Turn<C> {
    const { core } = this
    if (this.turn === null || this.turn.view !== core.view) this.turn = this.seat(core.view)
    // Asked for each call: a process that has slept wakes up in the middle of one, before any of its timers.
    if (this.turn.arm === CANARY && core.leaseOver !== null && core.leaseOver()) {
      core.suspend()
      this.turn = this.seat(core.view)
    }
    return this.turn
  }

  /** Hold on to no view, and so to no release, of before: it comes anew with the next call. */
  forget(): void {
    this.turn = null
  }

  /** Take a turn: from the first that stable serves on, the session never enters the canary. */
  take(): Turn<C> {
    const turn = this.look()
    if (this.begunIn === null) {
      this.entry = this.entryIn(turn.view)
      this.begunIn = turn.view.salt
    }
    if (turn.arm === STABLE) this.latched = true
    if (turn.view.displaced) this.aside = true
    return turn
  }

  /** Go to stable for good, because the canary could not serve it. */
  leaveCanary(): void {
    this.latched = true
    this.turn = { ...this.look(), arm: STABLE, inferable: false, comparable: true }
  }

  private seat(view: View<C>): Turn<C> {
    const { core, options, latched } = this
    const { book } = core
    const { sessionId, attributes } = options
    const apart = {
      view,
      book,
      stratum: book.strata[0]!,
      cohort: 0,
      inferable: false,
      sampled: false,
      comparable: false,
    }
    const entry = this.entryIn(view)
    const pinned = pinIn(view, sessionId, attributes)
    const pin = pinned === "stable" ? pinned : (options.pin ?? pinned)
    if (pin !== undefined) {
      return { ...apart, arm: pin === "canary" && mayServePinned(view, entry) && !latched ? CANARY : STABLE }
    }
    this.draw(view.salt)
    // Past the cap neither arm takes new sessions into the comparison, or stable would be compared with nobody.
    this.full ||= this.begunIn === null && isFull(view, book)
    if (this.full || !isEligible(view, entry, attributes)) return { ...apart, arm: STABLE }
    const drawn = armIn(view.ramp, entry, this.bucket) === "canary" ? CANARY : STABLE
    const arm = latched || !view.canaryServes ? STABLE : drawn
    return {
      view,
      arm,
      book,
      stratum: book.strata[entry + 1] ?? book.strata[0]!,
      cohort: this.cohort,
      inferable: arm === drawn && !view.displaced && !this.aside,
      sampled: this.shadowBucket < view.sampleBp,
      comparable: arm === STABLE || view.ramp[entry]?.weightBp === 10_000,
    }
  }

  /**
   * The entry of the ramp in which the session began; -1: before the ramp. Its first call settles it. An entry that is written or heard of after
   * that call is not for it, even where its start says so: the clock that gave it may be ahead, or the news late. Else it would be counted in
   * two strata, and where it was drawn for the canary anew, not at all, so that the second one had calls of stable alone.
   */
  private entryIn({ salt, ramp }: View<C>): number {
    if (this.begunIn === null) return rampIndexAt(ramp, this.options.startedAt)
    return this.begunIn === salt ? this.entry : -1
  }

  private draw(salt: string): void {
    if (this.salt === salt) return
    const { sessionId } = this.options
    this.salt = salt
    this.bucket = bucketOf(salt, sessionId)
    this.shadowBucket = shadowBucketOf(salt, sessionId)
    this.cohort = cohortOf(salt, sessionId)
    this.full = false
    this.aside = false
  }
}

/** At 100 % the cap is over: what serves everybody has no limit. */
function isFull({ state, ramp }: View<never>, book: Book): boolean {
  const max = state?.spec.maxSessions ?? null
  return max !== null && book.canarySessions >= max && ramp.at(-1)?.weightBp !== 10_000
}
