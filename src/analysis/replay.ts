import { isRecord, own } from "../model/record.js"
import type { Criterion, Verdict } from "../model/verdict.js"
import { compactEvidence, expandEvidence, type CompactEvidence } from "./compact.js"
import { judge, type JudgeInput } from "./judge.js"
import { advanceTrip, type TripState } from "./trip.js"

/** What computed a verdict. The same inputs give the same bits in the same version on the same runtime. */
export interface Computer {
  /** Version of serin. */
  readonly serin: string
  readonly runtime: { readonly node: string; readonly v8: string; readonly arch: string }
}

/** Everything that a verdict is a function of. */
export interface VerdictInputs {
  readonly criteria: readonly Criterion[]
  readonly falseAlarmRate: number
  readonly shadow: boolean
  /** `at` (ms since the epoch) is for people: no number depends on it. */
  readonly ramp: readonly { readonly at: number; readonly weightBp: number }[]
  /** What the looks before this one had made of the trip; null at the first. */
  readonly trip: TripState | null
  readonly evidence: CompactEvidence
}

/** A verdict with all that it was made of, so that anybody can make it again. */
export interface VerdictRecord extends Computer {
  readonly format: "serin/verdict/2"
  readonly rollout: string
  /** Versions that were compared. */
  readonly stable: string
  readonly canary: string | null
  /** Revision of the state that was judged. */
  readonly revision: number
  /** Ms since the epoch. */
  readonly at: number
  readonly generation: number
  readonly inputs: VerdictInputs
  /** What the trip had become at this look. */
  readonly trip: unknown
  /** A `Verdict` in which numbers that JSON does not have are texts: `"-0"`, `"Infinity"`, `"-Infinity"`, `"NaN"`. */
  readonly verdict: unknown
}

/** A place where a replay differs from what was recorded; undefined: it is not there. */
export interface Difference {
  /** `verdict.criteria[2].lower`. */
  readonly where: string
  readonly recorded: unknown
  readonly replayed: unknown
}

export interface Replay {
  readonly verdict: Verdict
  /** The first {@link SHOWN_DIFFERENCES}. */
  readonly differences: readonly Difference[]
  /** How many there are. */
  readonly count: number
  /** Largest relative difference of two numbers; Infinity when something else than two finite numbers differs. 0: none. */
  readonly largest: number
}

export const SHOWN_DIFFERENCES = 20

export type Judged = Omit<JudgeInput, "trip" | "ramp"> & {
  readonly ramp: VerdictInputs["ramp"]
  readonly tripBefore: TripState | undefined
}

export interface Look {
  readonly verdict: Verdict
  readonly trip: TripState
}

/** Look at evidence: what the leader does at each tick, and what a replay does again. */
export function lookAgain({ tripBefore, ...input }: Judged): Look {
  const trip = advanceTrip(tripBefore, input)
  return { verdict: judge({ ...input, trip }), trip }
}

/** Write a look down with what it was made of. Takes a few ms for each stratum. */
export function recordVerdict(
  { criteria, falseAlarmRate, shadow, ramp, tripBefore, evidence, at }: Judged,
  { verdict, trip }: Look,
  about: Computer & Pick<VerdictRecord, "rollout" | "stable" | "canary" | "revision">,
): VerdictRecord {
  return {
    format: "serin/verdict/2",
    ...about,
    at,
    generation: evidence.generation,
    inputs: {
      criteria,
      falseAlarmRate,
      shadow,
      ramp: ramp.map(({ at, weightBp }) => ({ at, weightBp })),
      trip: tripBefore ?? null,
      evidence: compactEvidence(evidence),
    },
    trip: plainOf(trip),
    verdict: plainOf(verdict),
  }
}

/** Make a recorded verdict again and compare it number by number, to the bit. Throws a RangeError for inputs that nothing can be judged by. */
export function replay({ inputs, at, verdict, trip }: VerdictRecord): Replay {
  const { trip: before, evidence, ...rest } = inputs
  const again = lookAgain({ ...rest, at, tripBefore: before ?? undefined, evidence: expandEvidence(evidence) })
  const found: Difference[] = []
  compare(trip, plainOf(again.trip), "trip", found)
  compare(verdict, plainOf(again.verdict), "verdict", found)
  return {
    verdict: again.verdict,
    differences: found.slice(0, SHOWN_DIFFERENCES),
    count: found.length,
    largest: found.reduce((most, { recorded, replayed }) => Math.max(most, distance(recorded, replayed)), 0),
  }
}

/** As JSON has it, with a text for each number that it has no sign for. */
function plainOf(value: unknown): unknown {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0) ? value : numberName(value)
  if (Array.isArray(value)) return value.map(plainOf)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plainOf(entry)]))
}

const numberName = (value: number): string => (value === 0 ? "-0" : String(value))

/** Walks along the replayed value, whose depth is known, whatever was recorded. */
function compare(recorded: unknown, replayed: unknown, where: string, found: Difference[]): void {
  if (Array.isArray(replayed) && Array.isArray(recorded)) {
    const length = Math.max(replayed.length, recorded.length)
    for (let i = 0; i < length; i++) compare(recorded[i], replayed[i], `${where}[${i}]`, found)
  } else if (isRecord(replayed) && isRecord(recorded)) {
    for (const key of new Set([...Object.keys(replayed), ...Object.keys(recorded)])) {
      compare(own(recorded, key), own(replayed, key), `${where}.${key}`, found)
    }
  } else if (!Object.is(recorded, replayed)) {
    found.push({ where, recorded, replayed })
  }
}

function distance(a: unknown, b: unknown): number {
  if (typeof a !== "number" || typeof b !== "number") return Infinity
  return Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b))
}
