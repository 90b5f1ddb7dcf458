import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api"
import type { Attributes, ProxyTracerProvider, Tracer, TracerProvider } from "@opentelemetry/api"
import type { Clock } from "../model/clock.js"
import type { Complain } from "./complaint.js"

/** Spans of one guard, each a child of the span that the host has open. Nothing here throws, whatever the provider does. */
export interface Tracing {
  /** Whether a span would be made now: one look at a field where nobody traces, one at the context where the host's span is not recorded. */
  wants(): boolean
  /** Make the span of something that has just ended and took `ms`. `failed`: nobody could do it. */
  span(name: string, ms: number, attributes: () => Attributes, failed: boolean): void
  /** Note on the span that the host has open, if that one is recorded, that something happened now. */
  note(name: string, attributes: Attributes): void
  /** Make no spans any more. */
  close(): void
}

export interface TracingOptions {
  readonly clock: Clock
  /** Default: the global provider, whenever one is registered. */
  readonly tracerProvider?: TracerProvider | undefined
  readonly complain: Complain
}

const REBIND_EVERY_MS = 1000

/** Find the tracer, and find it again: a global provider may be registered late, or replaced. */
export function createTracing({ clock, tracerProvider, complain }: TracingOptions): Tracing {
  let tracer: Tracer | null = null
  let cancelTimer = (): void => {}

  /** False: it failed, and is to be tried again. */
  function attach(): boolean {
    try {
      tracer = tracerOf(tracerProvider ?? trace.getTracerProvider())
      return true
    } catch (error) {
      tracer = null
      complain("the tracer provider makes no tracer; it is asked again", error)
      return false
    }
  }

  function watch(): void {
    if (attach() && tracerProvider !== undefined) return
    cancelTimer = clock.schedule(watch, REBIND_EVERY_MS)
  }

  watch()

  return {
    wants() {
      if (tracer === null) return false
      try {
        return trace.getActiveSpan()?.isRecording() === true
      } catch (error) {
        complain("the active span does not say whether it is recorded", error)
        return false
      }
    },
    span(name, ms, attributes, failed) {
      try {
        const options = { kind: SpanKind.INTERNAL, attributes: attributes(), ...startOf(clock.now(), ms) }
        const span = tracer?.startSpan(name, options, context.active())
        if (failed) span?.setStatus({ code: SpanStatusCode.ERROR })
        span?.end(options.startTime === undefined ? undefined : options.startTime + ms)
      } catch (error) {
        complain("the tracer makes no spans", error)
      }
    },
    note(name, attributes) {
      try {
        trace.getActiveSpan()?.addEvent(name, attributes)
      } catch (error) {
        complain("the active span takes no events", error)
      }
    },
    close() {
      cancelTimer()
      tracer = null
    },
  }
}

/** Null: nobody is registered. The API's own provider hands out tracers that do nothing then; they would cost a look-up on every call. */
function tracerOf(provider: TracerProvider): Tracer | null {
  const { getDelegateTracer } = provider as Partial<ProxyTracerProvider>
  if (typeof getDelegateTracer !== "function") return provider.getTracer("serin")
  return getDelegateTracer.call(provider, "serin") ?? null
}

/**
 * When it began. The wall clock is read in whole ms, so both are rounded down: then it never begins before the host's span, whose start was
 * rounded down as well, and its length is exact. Nothing, where the clocks make no sense: the SDK takes its own time.
 */
function startOf(now: number, ms: number): { readonly startTime?: number } {
  const startTime = Math.floor(now) - Math.floor(ms)
  return Number.isFinite(startTime) && ms >= 0 ? { startTime } : {}
}
