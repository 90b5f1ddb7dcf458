import type { Call } from "../model/call.js"
import type { Clock } from "../model/clock.js"
import { ARMS, OUTCOMES } from "../model/decision.js"
import { DECISION_FORMAT } from "../model/decision-entry.js"
import type { DecisionLogEntry, DecisionSink, PairSide } from "../model/decision-entry.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { logHashOf } from "../session/bucket.js"
import type { Complain } from "../telemetry/complaint.js"
import { capture } from "./capture.js"
import type { Judged } from "./judge.js"
import { createLogQueue } from "./log-queue.js"
import type { LogQueue, LogResult } from "./log-queue.js"
import type { Recorder, Told } from "./recorder.js"
import { STABLE } from "./seat.js"

/** What is written down of decisions, and where. */
export interface DecisionLogOptions {
  readonly sink: DecisionSink
  /**
   * Share of sessions whose calls are logged, 0 to 1; whole sessions, the same ones in every process. Default 1. Below 1, calls
   * that belong to no session are left out.
   */
  readonly sample?: number | undefined
  /**
   * Give the entry as it may be written, or null to leave it out. Called after the answer. If it throws, the entry is left out
   * and counted as `failed`.
   */
  readonly redact?: ((entry: DecisionLogEntry) => DecisionLogEntry | null) | undefined
  /** Entries that may wait for the sink, 1 or more; above that they are dropped and counted. Default 10,000. */
  readonly queue?: number | undefined
}

const LOG_KEYS: KeysOf<DecisionLogOptions> = { sink: true, sample: true, redact: true, queue: true }

/** Writes down what was decided. Costs a copy of the call and a place in a queue, for sessions that are sampled. */
export interface DecisionLog extends Recorder, Pick<LogQueue, "flush" | "close"> {}

export interface DecisionLogRim {
  readonly rollout: string
  readonly clock: Clock
  readonly count: (result: LogResult, amount: number) => void
  readonly complain: Complain
}

/** Make the log. Throws `TypeError` and `RangeError` for options that are not what they must be. */
export function createDecisionLog(options: DecisionSink | DecisionLogOptions, rim: DecisionLogRim): DecisionLog {
  const { sink, sample, redact, limit } = resolve(options)
  const { rollout, clock, count, complain } = rim
  const queue = createLogQueue({ sink, limit, redact, clock, count, complain })
  const chosen = new WeakMap<Told, boolean>()
  // Not a secret, but unique: logs of many processes are read together.
  const prefix = crypto.randomUUID().slice(0, 13)
  let last = 0

  function wants(session: Told): boolean {
    if (sample === 1) return true
    if (session.sessionId === "") return false
    let wanted = chosen.get(session)
    if (wanted === undefined) chosen.set(session, (wanted = logHashOf(rollout, session.sessionId) < sample))
    return wanted
  }

  // Each entry is one literal: spread out of parts, it took twenty times as long.
  return {
    wants,
    decision(session, turn, call, decision, own, ms, callId) {
      if (!wants(session)) return
      const id = `${prefix}-${++last}`
      const { sessionId, startedAt } = whoOf(session)
      if (own !== null) own.logged = { id, sessionId, startedAt }
      queue.push({
        format: DECISION_FORMAT,
        kind: "decision",
        id,
        at: finite(clock.now()),
        rollout,
        revision: turn.view.state?.revision ?? 0,
        generation: turn.view.generation,
        sessionId,
        startedAt,
        arm: decision.arm,
        release: decision.release,
        outcome: decision.outcome,
        source: decision.source,
        rule: decision.rule,
        reason: decision.reason,
        errorType: decision.errorType,
        durationMs: finite(ms),
        callId,
        // The host goes on with its own, and may change it.
        call: (capture(call) ?? null) as Call,
      })
    },
    pair({ view, arm }, own, other) {
      const { logged } = own
      if (logged === undefined) return
      const [stable, canary] = arm === STABLE ? [own, other] : [other, own]
      queue.push({
        format: DECISION_FORMAT,
        kind: "pair",
        id: `${prefix}-${++last}`,
        at: finite(clock.now()),
        rollout,
        revision: view.state?.revision ?? 0,
        generation: view.generation,
        sessionId: logged.sessionId,
        startedAt: logged.startedAt,
        of: logged.id,
        arm: ARMS[arm],
        stable: sideOf(view.stableVersion, stable),
        canary: sideOf(view.canaryVersion, canary),
      })
    },
    scan(session, { view }, { arm, release, result, source, findings, errorType }, direction, length, ms) {
      if (!wants(session)) return
      const { sessionId, startedAt } = whoOf(session)
      queue.push({
        format: DECISION_FORMAT,
        kind: "scan",
        id: `${prefix}-${++last}`,
        at: finite(clock.now()),
        rollout,
        revision: view.state?.revision ?? 0,
        generation: view.generation,
        sessionId,
        startedAt,
        direction,
        length,
        arm,
        release,
        result,
        source,
        findings: findings.map(({ scanner, category }) => ({ scanner, category })),
        errorType,
        durationMs: finite(ms),
      })
    },
    flush: queue.flush,
    close: queue.close,
  }
}

function resolve(options: DecisionSink | DecisionLogOptions) {
  // Options of a program without types may be anything.
  const given: Partial<DecisionLogOptions> =
    "sink" in Object(options) ? (options as DecisionLogOptions) : { sink: options as DecisionSink }
  const { sink, sample = 1, redact, queue = 10_000 } = given
  if (typeof (sink as Partial<DecisionSink> | null | undefined)?.write !== "function") {
    throw new TypeError("decisionLog must be a sink with write(entries), or { sink, sample, redact, queue }")
  }
  // Misspelt, `redact` would write down what must not be.
  if ("sink" in Object(options)) refuseUnknown("decisionLog", options, LOG_KEYS)
  if (!(sample >= 0 && sample <= 1)) throw new RangeError(`decisionLog.sample must be from 0 to 1, got ${sample}`)
  if (redact !== undefined && typeof redact !== "function") {
    throw new TypeError(`decisionLog.redact must be a function of an entry, got ${typeof redact}`)
  }
  if (!Number.isInteger(queue) || queue < 1) {
    throw new RangeError(`decisionLog.queue must be an integer of at least 1, got ${queue}`)
  }
  return { sink: sink as DecisionSink, sample, redact, limit: queue }
}

const NOBODY = { sessionId: null, startedAt: null }
const whoOf = (session: Told): Told | typeof NOBODY => (session.sessionId === "" ? NOBODY : session)

const sideOf = (release: string, { outcome, rule, reason, errorType, ms }: Judged): PairSide => ({
  release,
  outcome: OUTCOMES[outcome]!,
  rule,
  reason,
  errorType,
  durationMs: finite(ms),
})

/** A clock may say anything; JSON has no word for it. */
const finite = (value: number): number => (Number.isFinite(value) ? value : 0)
