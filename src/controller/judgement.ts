import { advanceCourse, type Course } from "../analysis/course.js"
import { figuresOf, type Figures } from "../analysis/figures.js"
import { noDataVerdict } from "../analysis/no-data.js"
import { lookAgain, recordVerdict } from "../analysis/replay.js"
import type { VerdictRecord } from "../analysis/replay.js"
import type { TripState } from "../analysis/trip.js"
import type { Diff } from "../evidence/diffs.js"
import { noDataOf } from "../evidence/source.js"
import type { EvidenceSource } from "../evidence/source.js"
import type { Clock } from "../model/clock.js"
import type { Evidence } from "../model/evidence.js"
import type { Verdict } from "../model/verdict.js"
import { isUnderWay, phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import { inTime } from "./deadline.js"
import { errorText } from "../model/error-text.js"
import { REPORTED_DIFFS } from "./report.js"
import type { Report } from "./report.js"
import type { Known } from "./reports.js"
import { thisComputer } from "./verdict-record.js"

export interface JudgementOptions {
  readonly source: EvidenceSource
  readonly clock: Clock
  /** Longest wait for the source, ms. */
  readonly deadlineMs: number
  readonly diffs?: (() => readonly Diff[]) | undefined
}

/** What one look has found. */
export interface Found {
  /** Null: there is no evidence yet, or it belongs to another generation. */
  readonly verdict: Verdict | null
  /** Make the record of all that the verdict was made of; null where it was made of nothing. */
  readonly record: (() => VerdictRecord) | null
}

/** Do something about what was found; null: it changes nothing. */
export type Act = (found: Found) => Promise<void> | null

/** What is made of the evidence of a rollout, look by look, and what one look knows of those before it. */
export interface Judgement {
  /**
   * Judge the evidence of a state's generation, and act on it in the same turn: evidence of this very process is counted on while others have
   * theirs. Rejects with what `act` throws.
   */
  look(
    state: RolloutState,
    act: Act,
  ): Promise<{ readonly verdict: Verdict | null; readonly moved: Promise<void> | null }>
  /** What a report on a state says besides its verdict. */
  reported(state: RolloutState | null): Pick<Report, "course" | "figures" | "diffs" | "trip">
  /** Go on from what the last leader knew. Bets that were placed there are not placed again. */
  inherit(known: Known): void
}

/** For people: they take longer than a verdict, 3 ms where a million calls were judged, and less often is often enough. Ms. */
const FIGURES_EVERY_MS = 30_000

export function createJudgement({ source, clock, deadlineMs, diffs }: JudgementOptions): Judgement {
  let trip: TripState | undefined
  let course: Course | undefined
  /** What was disagreed about when the last verdict was made: later, more sessions are counted there than it knows of. */
  let seen: { readonly generation: number; readonly diffs: readonly Diff[] } | null = null
  let figures: { readonly generation: number; readonly at: number; readonly drawn: Figures } | undefined

  const diffsNow = (): readonly Diff[] => diffs?.().slice(0, REPORTED_DIFFS) ?? []

  async function look(state: RolloutState, act: Act): ReturnType<Judgement["look"]> {
    const { generation, salt, ramp, spec } = state
    const { criteria, falseAlarmRate, shadowSampleBp } = spec
    const settings = { criteria, falseAlarmRate, shadow: shadowSampleBp > 0, at: clock.now() }
    let evidence: Evidence | null
    try {
      evidence = await inTime(clock, deadlineMs, (signal) => source.read({ signal, generation, salt }))
    } catch (error) {
      const verdict = noDataVerdict(noDataOf(error), { ...settings, generation, detail: errorText(error) })
      const moved = act({ verdict, record: null })
      course = advanceCourse(course, verdict)
      return { verdict, moved }
    }
    if (evidence === null || !isOf(state, evidence))
      return { verdict: null, moved: act({ verdict: null, record: null }) }
    // Nothing is awaited from here on.
    const judged = { ...settings, evidence, ramp, tripBefore: trip }
    const found = lookAgain(judged)
    const { verdict } = found
    seen = { generation, diffs: diffsNow() }
    trip = found.trip
    const { rollout, stable, canary, revision } = state
    const moved = act({
      verdict,
      record: () => recordVerdict(judged, found, { ...thisComputer(), rollout, stable, canary, revision }),
    })
    course = advanceCourse(course, verdict)
    const isOld = figures?.generation !== generation || settings.at - figures.at >= FIGURES_EVERY_MS
    if (isOld || moved !== null) figures = { generation, at: settings.at, drawn: figuresOf(evidence) }
    return { verdict, moved }
  }

  function diffsOf(state: RolloutState | null): readonly Diff[] {
    const isOfVerdict = state !== null && isUnderWay(phaseOf(state)) && seen?.generation === state.generation
    return isOfVerdict && seen !== null ? seen.diffs : diffsNow()
  }

  return {
    look,
    reported: (state) => ({
      course: course?.generation === state?.generation ? course : undefined,
      figures: figures?.generation === state?.generation ? figures?.drawn : undefined,
      diffs: diffsOf(state),
      trip: source.lasting === true ? trip : undefined,
    }),
    inherit(known) {
      trip = known.trip ?? trip
      course = known.course ?? course
    },
  }
}

/** Whether evidence was counted in the generation of a state, and not in one of its number from before the store went back. */
const isOf = ({ generation, salt }: RolloutState, evidence: Evidence): boolean =>
  evidence.generation === generation && (evidence.salt ?? salt) === salt
