import type { CriterionName, Verdict } from "../model/verdict.js"

/** Looks that are kept: a chart of more has more points than it has pixels. */
const MOST = 120

/** Estimate and bounds of a criterion at one look; null where there was no number. */
export type CoursePoint = readonly [estimate: number, lower: number | null, upper: number | null]

/** How the criteria came to where they are, within one generation: looks thinned out evenly, the newest always among them. */
export interface Course {
  readonly generation: number
  /** Ms since the epoch, rising. */
  readonly at: readonly number[]
  /** A point for each of `at`; null: no number at that look. */
  readonly criteria: Readonly<Partial<Record<CriterionName, readonly (CoursePoint | null)[]>>>
}

/**
 * Add a look to a course. When there are too many, the course keeps every other one, and from then on one in twice the time: of a rollout
 * of any length there are 60 to 120 looks, evenly apart. What belongs to another generation is left behind.
 */
export function advanceCourse(before: Course | undefined, { at, generation, criteria }: Verdict): Course {
  const known = before?.generation === generation && before.at.every((time) => time <= at) ? before : EMPTY
  const looks = known.at.map((time, i) => ({ time, i }))
  const kept = isForNow(known.at) ? looks.slice(0, -1) : looks
  // The oldest stays, so that the course begins where the rollout did.
  const thinned = kept.length < MOST ? kept : kept.filter((_, i) => i % 2 === 0)
  const points = criteria.map(({ criterion, estimate, lower, upper }) => {
    const past = known.criteria[criterion]
    const point = estimate === null ? null : ([short(estimate), shortOrNull(lower), shortOrNull(upper)] as const)
    return [criterion, [...thinned.map(({ i }) => past?.[i] ?? null), point]] as const
  })
  return { generation, at: [...thinned.map(({ time }) => time), at], criteria: Object.fromEntries(points) }
}

const EMPTY: Course = { generation: -1, at: [], criteria: {} }

/** Tell whether the newest look is there for now only: it is nearer to the one before than those that were kept are apart. */
function isForNow(at: readonly number[]): boolean {
  const [last, before, first] = [at.at(-1), at.at(-2), at[0]]
  if (last === undefined || before === undefined || first === undefined) return false
  const apart = (before - first) / Math.max(1, at.length - 2)
  return last - before < 0.99 * apart
}

/** Four digits are more than a chart shows. */
const short = (value: number): number => Number(value.toPrecision(4))
const shortOrNull = (value: number | null): number | null => (value === null ? null : short(value))
