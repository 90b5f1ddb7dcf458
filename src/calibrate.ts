import { bernoulliUpper } from "./analysis/bernoulli.js"
import { bootstrap, type Bootstrapped } from "./calibrate/bootstrap.js"
import { suggestMargins, type Margin } from "./calibrate/margins.js"
import { answerCalls, measure, trafficOf, type Measured } from "./calibrate/measure.js"
import type { Call } from "./model/call.js"
import type { Evaluation, Release } from "./release/ports.js"
import type { RolloutSpec } from "./rollout/spec.js"
import type { RecordedCall } from "./testing/calls.js"

export type { Bootstrapped } from "./calibrate/bootstrap.js"
export type { Margin } from "./calibrate/margins.js"
export type { Measured } from "./calibrate/measure.js"
export type { RecordedCall } from "./testing/calls.js"

/** Options of `calibrate()`. */
export interface CalibrateOptions {
  /** The rollout whose criteria, stages and false-alarm rate are tried. */
  readonly spec: RolloutSpec
  /** Sessions that start and take part, a minute: for the margins. Default 10. */
  readonly sessionsPerMinute?: number | undefined
  /** Rollouts that are played, 1 to 10,000. Default 100. */
  readonly runs?: number | undefined
  /** Sessions of each, 50 to 100,000. Default 400. */
  readonly sessions?: number | undefined
  /** The same answers and seed play the same rollouts, but for latency, which is what was measured. Default 1. */
  readonly seed?: number | undefined
  /** Ends it: the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined
  /** After each rollout: how many are done. */
  readonly onProgress?: ((done: number) => void) | undefined
}

/** How a release behaves against itself on recorded calls, and what the judge makes of that. */
export interface Calibration {
  readonly measured: Measured
  /** Rollouts of the release against itself: a breach in one of them is a false alarm. */
  readonly aa: Bootstrapped
  readonly falseAlarms: {
    readonly rate: number
    /** 95 % upper bound. */
    readonly atMost: number
    /** What the rollout file allows. */
    readonly allowed: number
  }
  readonly margins: readonly Margin[]
}

const LEVEL = 0.05

/**
 * Try a release against itself on recorded calls before it is anybody's stable: how often it disagrees with itself (churn), how alike the calls of a session are, how often
 * the judge would stop it by mistake, and which limits it and this traffic bear. Asks the release twice about each call; rollouts are then played from its answers.
 * Sessions are drawn with replacement, so recordings of few sessions say little of others. Throws a RangeError for options out of range.
 */
export async function calibrate(
  calls: readonly RecordedCall[],
  release: Release<Call, Evaluation | Promise<Evaluation>, never>,
  options: CalibrateOptions,
): Promise<Calibration> {
  const { spec, signal, onProgress } = options
  const runs = within("runs", options.runs ?? 100, 1, 10_000)
  const sessions = within("sessions", options.sessions ?? 400, 50, 100_000)
  const seed = within("seed", options.seed ?? 1, 0, 2 ** 32)
  const { sessionsPerMinute = 10 } = options
  if (!(sessionsPerMinute > 0 && sessionsPerMinute < Infinity)) {
    throw new RangeError(`sessionsPerMinute: must be above 0, got ${sessionsPerMinute}`)
  }
  if (calls.length === 0) throw new RangeError("calls: must have at least one call, got none")
  const times = release.policy.stateful === true ? 1 : 2
  const answered = await answerCalls(calls, release, times, { monotonic: () => performance.now(), signal })
  const measured = measure(answered)
  const weightBp = spec.stages.find((stage) => stage.weightBp > 0 && stage.weightBp < 10_000)?.weightBp ?? 0
  const aa = await bootstrap(answered, spec, { runs, sessions, weightBp, seed, signal, onProgress })
  return {
    measured,
    aa,
    falseAlarms: {
      rate: aa.breached / runs,
      atMost: bernoulliUpper(aa.breached, runs, LEVEL),
      allowed: spec.falseAlarmRate,
    },
    margins: suggestMargins(spec, measured, trafficOf(measured, sessionsPerMinute)),
  }
}

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new RangeError(`${name}: must be a whole number from ${least} to ${most}, got ${value}`)
}
