import type { TracerProvider } from "@opentelemetry/api"
import { actionOf } from "../model/call.js"
import type { Clock } from "../model/clock.js"
import type { Decision, Scan } from "../model/decision.js"
import { phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { Complain } from "../telemetry/complaint.js"
import { createEvents } from "../telemetry/events.js"
import type { EventLogger } from "../telemetry/events.js"
import { createTracing } from "../telemetry/tracing.js"
import { reasonFor } from "./assignment.js"
import type { Recorder, Told } from "./recorder.js"
import type { Turn } from "./seat.js"

export type { EventLogger, EventRecord } from "../telemetry/events.js"

/** A call that was escalated, and who is asked about it. `default`: nobody is, and that is the answer. */
export interface Escalated {
  readonly sessionId: string
  readonly call: unknown
  readonly callId?: string | undefined
  readonly decision: Decision
  readonly by: "channel" | "runtime" | "default"
  /** Undefined: there is no answer yet. */
  readonly approved?: boolean
  /** The channel's own. */
  readonly error?: unknown
}

/** Tells OpenTelemetry of decisions and scans as spans, of decisions, escalations and transitions as events. */
export interface Traces extends Recorder {
  transition(state: RolloutState): void
  escalation(told: Escalated): void
  close(): void
}

type Flag = Record<string, string | number>

const EVALUATION = "feature_flag.evaluation"
const TRANSITION = "serin.rollout.transition"
const ASKED = "serin.escalation.asked"
const ANSWERED = "serin.escalation.answered"
const INFO = { severityNumber: 9, severityText: "INFO" }
const WARN = { severityNumber: 13, severityText: "WARN" }
/** What takes exposure away was asked for by safety. */
const ALARMING = new Set(["rollback", "kill", "contain"])

/** What is told as spans and as events. */
export interface TraceOptions {
  /**
   * Whether decisions and scans become spans below the span that the host has open, if that one is recorded. Never one of their own, never
   * what is in a call. Default true: it costs a look at a field until a tracer provider is there.
   */
  readonly tracing?: boolean | undefined
  /** Default: the global OpenTelemetry provider, found again when it is registered late or replaced. */
  readonly tracerProvider?: TracerProvider | undefined
  /** Have decisions and transitions of the rollout told as events: a `Logger` of `@opentelemetry/api-logs`. Default: they are not. */
  readonly logger?: EventLogger | undefined
}

export interface TraceRim {
  readonly rollout: string
  readonly clock: Clock
  readonly complain: Complain
}

/** Null: nobody wants to be told. Throws `TypeError` for options that are not what they must be. */
export function createTraces(options: TraceOptions, { rollout, clock, complain }: TraceRim): Traces | null {
  const { tracing: wanted = true, tracerProvider, logger } = options
  if (typeof wanted !== "boolean") throw new TypeError(`tracing must be true or false, got ${String(wanted)}`)
  if (logger !== undefined && typeof (logger as Partial<EventLogger> | null)?.emit !== "function") {
    throw new TypeError("logger must have emit(record), as a Logger of @opentelemetry/api-logs has")
  }
  if (!wanted && logger === undefined) return null
  const tracing = wanted ? createTracing({ clock, tracerProvider, complain }) : null
  const events = logger === undefined ? null : createEvents(logger, complain)
  const inSpans = (): boolean => tracing !== null && tracing.wants()
  const inEvents = (name: string): boolean => events !== null && events.wants(name)

  /** The flag is the rollout, its variants are the arms. Semantic conventions 1.41, feature flags in events: release candidate. */
  function flagOf(session: Told, turn: Turn<never>, { arm, source, release, errorType }: Decision | Scan): Flag {
    return {
      "feature_flag.key": rollout,
      "feature_flag.provider.name": "serin",
      "feature_flag.result.variant": arm,
      "feature_flag.result.reason": reasonOf(turn, source),
      "feature_flag.version": String(turn.view.state?.revision ?? 0),
      ...(session.sessionId !== "" && { "feature_flag.context.id": session.sessionId }),
      ...(errorType !== undefined && { "error.type": errorType }),
      "serin.release": release,
      "serin.source": source,
    }
  }

  function decisionOf(session: Told, turn: Turn<never>, call: unknown, decision: Decision, callId = ""): Flag {
    return {
      ...flagOf(session, turn, decision),
      "gen_ai.tool.name": actionOf(call),
      ...(callId !== "" && { "gen_ai.tool.call.id": callId }),
      "serin.outcome": decision.outcome,
      ...(decision.rule !== undefined && { "serin.rule": decision.rule }),
    }
  }

  function escalationOf({ sessionId, call, callId = "", decision, by, approved, error }: Escalated): Flag {
    return {
      "serin.rollout": rollout,
      "serin.release": decision.release,
      ...(decision.rule !== undefined && { "serin.rule": decision.rule }),
      ...(sessionId !== "" && { "feature_flag.context.id": sessionId }),
      "gen_ai.tool.name": actionOf(call),
      ...(callId !== "" && { "gen_ai.tool.call.id": callId }),
      "serin.escalation.by": by,
      ...(approved !== undefined && { "serin.escalation.outcome": approved ? "approved" : "refused" }),
      ...(error !== undefined && { "error.type": "throw" }),
    }
  }

  return {
    wants: () => inSpans() || inEvents(EVALUATION),
    decision(session, turn, call, decision, _own, ms, callId) {
      const span = inSpans()
      const event = inEvents(EVALUATION)
      // Before anything is made for it: most calls end here.
      if (!span && !event) return
      const attributes = (): Flag => decisionOf(session, turn, call, decision, callId)
      if (span) tracing!.span("serin.evaluate", ms, attributes, decision.source === "posture")
      if (event)
        events!.emit(() => ({ eventName: EVALUATION, timestamp: clock.now(), ...INFO, attributes: attributes() }))
    },
    pair() {},
    scan(session, turn, scan, direction, length, ms) {
      if (!inSpans()) return
      const attributes = (): Flag => ({
        ...flagOf(session, turn, scan),
        "serin.scan.result": scan.result,
        "serin.scan.direction": direction,
        "serin.scan.length": length,
        "serin.scan.findings": scan.findings.length,
      })
      tracing!.span("serin.scan", ms, attributes, scan.source === "posture")
    },
    transition(state) {
      if (!inEvents(TRANSITION)) return
      const { event, at, actor, reason } = state.last
      events!.emit(() => ({
        eventName: TRANSITION,
        timestamp: at,
        ...(ALARMING.has(event) ? WARN : INFO),
        body: reason,
        attributes: {
          "serin.rollout": rollout,
          "serin.trigger": event,
          "serin.phase": phaseOf(state).phase,
          "serin.revision": state.revision,
          "serin.generation": state.generation,
          "serin.actor.kind": actor.kind,
          "serin.actor.id": actor.id,
        },
      }))
    },
    escalation(told) {
      const name = told.approved === undefined ? ASKED : ANSWERED
      const span = inSpans()
      const event = inEvents(name)
      if (!span && !event) return
      const attributes = escalationOf(told)
      // The span of now: who is asked today may answer in another request.
      if (span) tracing!.note(name, attributes)
      if (event) events!.emit(() => ({ eventName: name, timestamp: clock.now(), ...INFO, attributes }))
    },
    close: () => tracing?.close(),
  }
}

/** How the session came to this arm, in the words of the conventions. */
function reasonOf(turn: Turn<never>, source: Decision["source"] | Scan["source"]): string {
  return source === "fallback" || source === "posture" ? "error" : reasonFor(turn)
}
