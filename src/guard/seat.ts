import type { Call } from "../model/call.js"
import type { Arm } from "../model/decision.js"
import type { Stratum } from "../model/evidence.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { AttributeValue } from "../rollout/spec.js"
import { armAt, rampIndexAt } from "../session/arm.js"
import { bucketOf, cohortOf, shadowBucketOf } from "../session/bucket.js"
import type { Book, Core } from "./core.js"
import type { View } from "./view.js"

export const STABLE = 0
export const CANARY = 1

/** What the host tells of a session: a tier, a region, a language. */
export type Attributes = Readonly<Record<string, AttributeValue>>

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
}

/** The place of one session in the rollout: which arm it has, and whether it takes part. */
export interface Seat<C extends Call> {
  /** The turn as it would be now. */
  look(): Turn<C>
  /** Take a turn: from the first that stable serves on, the session never enters the canary. */
  take(): Turn<C>
  /** Go to stable for good, because the canary could not serve it. */
  leaveCanary(): Turn<C>
}

export interface SeatOptions {
  readonly sessionId: string
  readonly startedAt: number
  readonly attributes?: Attributes | undefined
  /** Pinned to an arm; `none` stands for calls without a session, always stable. Neither is evidence. */
  readonly pin?: Arm | "none" | undefined
}

/** Give a session its seat. */
export function createSeat<C extends Call>(core: Core<C>, options: SeatOptions): Seat<C> {
  const { sessionId, startedAt, attributes = {}, pin } = options
  let turn: Turn<C> | null = null
  let salt: string | null = null
  let bucket = 0
  let shadowBucket = 0
  let cohort = 0
  let begun = false
  /** Stable served it once. */
  let latched = false
  /** Began when the canary had all the sessions that it may have. */
  let full = false

  function draw(view: View<C>): void {
    if (salt === view.salt) return
    salt = view.salt
    bucket = bucketOf(salt, sessionId)
    shadowBucket = shadowBucketOf(salt, sessionId)
    cohort = cohortOf(salt, sessionId)
    full = false
  }

  function seat(view: View<C>): Turn<C> {
    const { book } = core
    const apart = { view, book, stratum: book.strata[0]!, cohort: 0, inferable: false, sampled: false }
    if (pin !== undefined) {
      return { ...apart, arm: pin === "canary" && view.canaryServes && !latched ? CANARY : STABLE }
    }
    draw(view)
    // Past the cap neither arm takes new sessions into the comparison, or stable would be compared with nobody.
    full ||= !begun && isFull(view, book)
    if (full || !isEligible(view, attributes)) return { ...apart, arm: STABLE }
    const drawn = view.canaryServes && armAt(view.ramp, bucket, startedAt) === "canary" ? CANARY : STABLE
    const arm = latched ? STABLE : drawn
    return {
      view,
      arm,
      book,
      stratum: book.strata[rampIndexAt(view.ramp, startedAt) + 1] ?? book.strata[0]!,
      cohort,
      inferable: arm === drawn,
      sampled: shadowBucket < view.sampleBp,
    }
  }

  function look(): Turn<C> {
    const { view } = core
    if (turn === null || turn.view !== view) turn = seat(view)
    return turn
  }

  return {
    look,
    take() {
      const now = look()
      begun = true
      if (now.arm === STABLE) latched = true
      return now
    },
    leaveCanary() {
      latched = true
      turn = { ...look(), arm: STABLE, inferable: false }
      return turn
    },
  }
}

function isEligible({ state }: View<never>, attributes: Attributes): boolean {
  const eligible = state?.spec.eligible ?? null
  if (eligible === null) return true
  return Object.entries(eligible).every(
    ([name, values]) => Object.hasOwn(attributes, name) && values.includes(attributes[name]!),
  )
}

/** At 100 % the cap is over: what serves everybody has no limit. */
function isFull({ state, ramp }: View<never>, book: Book): boolean {
  const max = state?.spec.maxSessions ?? null
  return max !== null && book.canarySessions >= max && ramp.at(-1)?.weightBp !== 10_000
}
