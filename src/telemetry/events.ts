import type { Complain } from "./complaint.js"

/** One event as a log record of OpenTelemetry. */
export interface EventRecord {
  readonly eventName: string
  /** Ms since the epoch. */
  readonly timestamp: number
  /** 9 is INFO, 13 is WARN. */
  readonly severityNumber: number
  readonly severityText: string
  readonly body?: string
  readonly attributes: Record<string, string | number>
}

/** What takes log records: a `Logger` of `@opentelemetry/api-logs` is one. It finds the active span by itself. */
export interface EventLogger {
  emit(record: EventRecord): void
  enabled?(options: { eventName: string }): boolean
}

/** A host's logger made safe: it never throws. */
export interface Events {
  /** Whether it takes events of this name. */
  wants(eventName: string): boolean
  emit(record: () => EventRecord): void
}

/** Make a logger safe once, so that nobody else need be careful. */
export function createEvents(logger: EventLogger, complain: Complain): Events {
  return {
    wants(eventName) {
      try {
        return logger.enabled?.({ eventName }) ?? true
      } catch (error) {
        complain("the logger does not say whether it is enabled", error)
        return false
      }
    },
    emit(record) {
      try {
        const answer: unknown = logger.emit(record())
        if (answer instanceof Promise) answer.catch((error: unknown) => complain("the logger takes no events", error))
      } catch (error) {
        complain("the logger takes no events", error)
      }
    },
  }
}
