import { capture } from "./guard/capture.js"
import type { Judged, Limit } from "./guard/judge.js"
import type { Call } from "./model/call.js"
import { systemClock, type Clock } from "./model/clock.js"
import { refuseUnknown, type KeysOf } from "./model/options.js"
import type { Criterion } from "./model/verdict.js"
import { isThenable } from "./model/thenable.js"
import { checkRelease } from "./release/check.js"
import type { Evaluation, Release, ScanReport } from "./release/ports.js"
import { asker } from "./replay/ask.js"
import { createBook } from "./replay/book.js"
import { holdAgainst, resultOf } from "./replay/budgets.js"
import type { ReplayReport } from "./replay/report.js"
import { comparedScanners } from "./replay/scanners.js"
import { weighed, type Transitions } from "./replay/transitions.js"
import { callOf, type RecordedCall } from "./testing/calls.js"

export type { Quantiles } from "./replay/durations.js"
export type { Group } from "./replay/groups.js"
export type {
  ReplayBudget,
  ReplayDifference,
  ReplayedRelease,
  ReplayExample,
  ReplayFailure,
  ReplayReport,
  ReplayScanDifference,
  ReplayScanSide,
  ReplaySide,
} from "./replay/report.js"
export type { Transitions } from "./replay/transitions.js"
export type { RecordedCall } from "./testing/calls.js"

/** A release whose policy and scanners may answer at once or later. */
export type ReplayableRelease = Release<Call, Evaluation | Promise<Evaluation>, ScanReport | Promise<ScanReport>>

/** Options of `replayCalls()`. */
export interface ReplayCallsOptions {
  readonly stable: ReplayableRelease
  readonly canary: ReplayableRelease
  /** Taken one after the other: a stream of any length will do. */
  readonly calls: Iterable<RecordedCall> | AsyncIterable<RecordedCall>
  /** Limits to hold them against, as a rollout has them. Default: none. */
  readonly criteria?: readonly Criterion[] | undefined
  /** Run components that are marked `stateful`, too. Default false: a stateful policy is refused, and with a stateful scanner no text is scanned. */
  readonly stateful?: boolean | undefined
  /** Longest wait for an answer that comes later, ms. Default 1,000. */
  readonly timeoutMs?: number | undefined
  /** Examples of each group, 0 to 20. Default 3. */
  readonly examples?: number | undefined
  /** Ends it: the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Now and then: how many calls are done. */
  readonly onProgress?: ((calls: number) => void) | undefined
  readonly clock?: Clock | undefined
}

const KEYS: KeysOf<ReplayCallsOptions> = {
  stable: true,
  canary: true,
  calls: true,
  criteria: true,
  stateful: true,
  timeoutMs: true,
  examples: true,
  signal: true,
  onProgress: true,
  clock: true,
}

/** Time between two turns of the event loop, and two words of progress, ms. */
const SLICE_MS = 20
/** Calls between two looks at the time. */
const LOOK = 64

/**
 * Have two releases judge recorded calls, and say where they differ: before a rollout, with nobody served by either. Calls are judged one after the other, by stable and by canary first in
 * turns; outputs that are texts are scanned as what goes into the model. A throw, a time-out and an answer that is none are errors, as in a guard. Monitors do not run.
 * Memory does not grow with the calls, but for some 80 bytes a session. Rejects with `RELEASE_INVALID`, with what `calls` throws, and with `TypeError` or `RangeError` for options that are none.
 */
export async function replayCalls(options: ReplayCallsOptions): Promise<ReplayReport> {
  refuseUnknown("replayCalls", options, KEYS)
  const { stable, canary, calls, criteria = [], signal, onProgress, clock = systemClock } = options
  for (const release of [stable, canary]) {
    const problem = checkRelease(release.version, release)
    if (problem !== null) throw problem
  }
  const { timeoutMs = 1000, examples = 3, stateful = false } = options
  if (!(timeoutMs > 0)) throw new RangeError(`timeoutMs must be greater than 0, got ${timeoutMs}`)
  if (!(Number.isInteger(examples) && examples >= 0 && examples <= 20)) {
    throw new RangeError(`examples must be a whole number from 0 to 20, got ${examples}`)
  }
  const limit: Limit = { clock, timeoutMs, onLate: () => {} }
  const notes = statefulPolicies(options, stateful)
  const scanTexts = comparedScanners(limit, [stable, canary], stateful, notes)
  const [askStable, askCanary] = [asker(limit, stable.policy), asker(limit, canary.policy)]
  const book = createBook(examples)
  // Bad criteria are told now rather than after an hour.
  holdAgainst(criteria, book.counted())

  const startedAt = clock.monotonic()
  let turnedAt = startedAt
  let done = 0
  for await (const recorded of calls) {
    const call = callOf(recorded)
    const copy = copyOf(recorded)
    const context = { sessionId: recorded.session, startedAt: 0 }
    const stableFirst = done % 2 === 0
    let first: Judged | Promise<Judged> = (stableFirst ? askStable : askCanary)(copy, context)
    if (isThenable(first)) first = await first
    let second: Judged | Promise<Judged> = (stableFirst ? askCanary : askStable)(call, { ...context })
    if (isThenable(second)) second = await second
    if (stableFirst) book.call(recorded, first, second)
    else book.call(recorded, second, first)
    if (scanTexts !== null && typeof recorded.output === "string") {
      const [was, is] = await scanTexts(recorded.output, recorded.session)
      book.scan(recorded, was, is)
    }
    done += 1
    if (done % LOOK === 0 && clock.monotonic() - turnedAt >= SLICE_MS) {
      onProgress?.(done)
      await new Promise(setImmediate)
      signal?.throwIfAborted()
      turnedAt = clock.monotonic()
    }
  }
  signal?.throwIfAborted()
  onProgress?.(done)
  return report(options, book, notes, clock.monotonic() - startedAt)
}

/** A policy may change what it is given: neither judges what the other one left. */
const copyOf = ({ input, resource, principal, ...recorded }: RecordedCall): Call =>
  callOf({ ...recorded, input: capture(input), resource: capture(resource), principal: capture(principal) })

/** Refuse what may change the world, or note that it was run. */
function statefulPolicies({ stable, canary }: ReplayCallsOptions, allowed: boolean): string[] {
  const arms = Object.entries({ stable, canary }).filter(([, { policy }]) => policy.stateful === true)
  const [first] = arms
  if (first !== undefined && !allowed) {
    throw new TypeError(
      `${first[0]}: its policy is stateful, so running it may change later answers or the world; pass stateful: true if that does no harm`,
    )
  }
  return arms.map(([arm]) => `the policy of ${arm} was run although it is stateful`)
}

function report(
  { stable, canary, criteria = [] }: ReplayCallsOptions,
  book: ReturnType<typeof createBook>,
  notes: readonly string[],
  durationMs: number,
): ReplayReport {
  const counted = book.counted()
  const { differences, failures, scanDifferences } = book.groups()
  const { calls, outcomes, texts, results, latency, scanLatency } = counted
  const budgets = holdAgainst(criteria, counted)
  return {
    format: "serin/replay/1",
    stable: { version: stable.version, digest: stable.digest ?? null, latency: latency[0] },
    canary: { version: canary.version, digest: canary.digest ?? null, latency: latency[1] },
    calls,
    sessions: book.sessions(),
    differing: differingOf(outcomes),
    outcomes,
    differences,
    failures,
    scans:
      texts === 0
        ? null
        : {
            texts,
            differing: differingOf(results),
            results,
            differences: scanDifferences,
            latency: { stable: scanLatency[0], canary: scanLatency[1] },
          },
    budgets,
    result: resultOf(budgets),
    notes,
    durationMs,
  }
}

const differingOf = <W extends string>(transitions: Transitions<W>): number =>
  weighed(transitions, (stable, canary) => stable !== canary)
