import { context, metrics, SpanStatusCode, trace } from "@opentelemetry/api"
import type { Span, TracerProvider } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics"
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { createGuard } from "serin"
import type { Call, EventLogger, GuardOptions, Release, Ruling } from "serin"
import { metricProducer } from "../../src/telemetry/producer.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { fakeState, harness, idOn, release, stateWith, T0 } from "../guard/harness.js"

const SECRET = "4111-1111"

interface Traced {
  readonly provider: BasicTracerProvider
  readonly exporter: InMemorySpanExporter
  /** Run in a span of the host's, and answer what it answers. */
  within<T>(fn: (span: Span) => T): T
  /** Spans of serin's. */
  spans(): ReadableSpan[]
}

function traced(sampled = true): Traced {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
    ...(!sampled && { sampler: new AlwaysOffSampler() }),
  })
  const host = provider.getTracer("host")
  return {
    provider,
    exporter,
    within: (fn) =>
      host.startActiveSpan("tool", (span) => {
        const answer = fn(span)
        if (answer instanceof Promise) void answer.finally(() => span.end())
        else span.end()
        return answer
      }),
    spans: () =>
      exporter.getFinishedSpans().filter(({ instrumentationScope }) => instrumentationScope.name === "serin"),
  }
}

beforeEach(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
})
afterEach(() => {
  trace.disable()
  metrics.disable()
  context.disable()
})

const broken = (): never => {
  throw new Error(`broken by ${SECRET}`)
}

describe("a decision inside a span of the host's", () => {
  it("is a child of it with the words of the conventions, and with nothing of the call", () => {
    const host = traced()
    trace.setGlobalTracerProvider(host.provider)
    const { guard } = harness(
      { canary: () => ({ outcome: "deny", rule: "r1", reason: `saw ${SECRET}` }) },
      stateWith({ revision: 7 }),
    )
    const id = idOn(guard, "canary")
    const parent = host.within((span) => {
      guard.session(id).evaluate({ action: "refund", input: { card: SECRET } }, { callId: "call-1" })
      return span
    })
    const [span, ...others] = host.spans()
    expect(others).toEqual([])
    expect(span!.name).toBe("serin.evaluate")
    expect(span!.parentSpanContext?.spanId).toBe(parent.spanContext().spanId)
    expect(span!.attributes).toEqual({
      "feature_flag.key": "demo",
      "feature_flag.provider.name": "serin",
      "feature_flag.result.variant": "canary",
      "feature_flag.result.reason": "split",
      "feature_flag.version": "7",
      "feature_flag.context.id": id,
      "gen_ai.tool.name": "refund",
      "gen_ai.tool.call.id": "call-1",
      "serin.outcome": "deny",
      "serin.release": "2.0.0",
      "serin.source": "policy",
      "serin.rule": "r1",
    })
  })

  it("begins and ends when the evaluation did", () => {
    const host = traced()
    const clock = fakeClock(T0)
    const took = 12.5
    const { guard } = harness({}, stateWith({ ramp: [] }), {
      tracerProvider: host.provider,
      clock,
      releases: new Map([
        [
          "1.0.0",
          release("1.0.0", () => {
            clock.advance(took)
            return "allow"
          }),
        ],
      ]),
    })
    clock.advance(1000)
    host.within(() => guard.session("s").evaluate({ action: "a" }))
    const [span] = host.spans()
    const ms = ([s, ns]: readonly [number, number]) => s * 1000 + ns / 1e6
    expect(ms(span!.startTime)).toBe(T0 + 1000)
    expect(ms(span!.duration)).toBeCloseTo(took, 3)
  })

  it("says how the session came to its arm, and how an evaluation failed", () => {
    const host = traced()
    trace.setGlobalTracerProvider(host.provider)
    const told = (
      policies: Parameters<typeof harness>[0],
      state: ReturnType<typeof stateWith>,
      ask: (guard: ReturnType<typeof harness>["guard"]) => unknown,
    ) => {
      host.exporter.reset()
      const { guard } = harness(policies, state)
      host.within(() => ask(guard))
      const { attributes, status } = host.spans()[0]!
      return [
        attributes["feature_flag.result.reason"],
        attributes["feature_flag.result.variant"],
        attributes["error.type"],
        status.code,
      ]
    }
    const on = (arm: "stable" | "canary") => (guard: ReturnType<typeof harness>["guard"]) =>
      guard.session(idOn(guard, arm)).evaluate({ action: "a" })
    const { UNSET, ERROR } = SpanStatusCode
    expect(told({}, stateWith(), on("stable"))).toEqual(["split", "stable", undefined, UNSET])
    expect(told({}, stateWith({ ramp: [] }), on("stable"))).toEqual(["static", "stable", undefined, UNSET])
    expect(told({ canary: broken }, stateWith(), on("canary"))).toEqual(["error", "stable", "throw", UNSET])
    expect(told({ stable: broken }, stateWith(), on("stable"))).toEqual(["error", "stable", "throw", ERROR])
    expect(told({}, stateWith({ kill: "deny" }), on("stable"))).toEqual(["disabled", "stable", undefined, UNSET])
    expect(told({}, stateWith(), (guard) => guard.session("p", { arm: "canary" }).evaluate({ action: "a" }))).toEqual([
      "targeting_match",
      "canary",
      undefined,
      UNSET,
    ])
    expect(told({}, stateWith(), (guard) => guard.sessionless.evaluate({ action: "a" }))).toEqual([
      "default",
      "stable",
      undefined,
      UNSET,
    ])
    expect(host.spans()[0]!.attributes).not.toHaveProperty("feature_flag.context.id")
  })

  it("has its parent in an async guard and in a wrapped function as well", async () => {
    const host = traced()
    trace.setGlobalTracerProvider(host.provider)
    const answers = (version: string): Release<Call, Promise<"allow">> => ({
      version,
      policy: { evaluate: () => new Promise((resolve) => setImmediate(() => resolve("allow"))) },
    })
    const guard = createGuard({
      async: true,
      rollout: "demo",
      state: fakeState(stateWith()),
      releases: new Map(["1.0.0", "2.0.0"].map((version) => [version, answers(version)])),
    })
    const wrapped = guard.wrap(
      (_id: string) => Promise.resolve(true),
      (_id: string) => Promise.resolve(true),
      {
        session: (id) => id,
        outcome: () => "allow",
      },
    )
    const parents = await Promise.all(
      ["a", "b", "c"].map((id) =>
        host.within(async (span) => {
          await guard.session(id).evaluate({ action: "a" })
          await wrapped(id)
          await guard.session(id).scan("text", { direction: "input" })
          return [id, span.spanContext().spanId]
        }),
      ),
    )
    const found = host
      .spans()
      .map((span) => [span.attributes["feature_flag.context.id"], span.parentSpanContext?.spanId])
    expect(found).toHaveLength(9)
    for (const parent of parents) expect(found.filter((one) => one.join() === parent.join())).toHaveLength(3)
    await guard.close()
  })
})

describe("a scan inside a span of the host's", () => {
  it("is a child of it that says what came of it, and nothing of the text", () => {
    const host = traced()
    const scanners = [
      {
        name: "cards",
        scan: (text: string) => ({ result: "flagged" as const, findings: [{ category: "pii", message: text }] }),
      },
    ]
    const { guard } = harness({}, stateWith({ ramp: [] }), {
      tracerProvider: host.provider,
      releases: new Map([["1.0.0", { ...release("1.0.0", () => "allow"), scanners }]]),
    })
    host.within(() => guard.session("s").scan(`card ${SECRET}`, { direction: "output" }))
    const [span] = host.spans()
    expect([span!.name, span!.attributes]).toEqual([
      "serin.scan",
      {
        "feature_flag.key": "demo",
        "feature_flag.provider.name": "serin",
        "feature_flag.result.variant": "stable",
        "feature_flag.result.reason": "static",
        "feature_flag.version": "1",
        "feature_flag.context.id": "s",
        "serin.release": "1.0.0",
        "serin.source": "scanners",
        "serin.scan.result": "flagged",
        "serin.scan.direction": "output",
        "serin.scan.length": 14,
        "serin.scan.findings": 1,
      },
    ])
  })
})

describe("no span is made", () => {
  const decide = (options: Partial<GuardOptions<Call, "sync">>, host: Traced, inside = true) => {
    const { guard } = harness({}, stateWith(), options)
    const ask = () => guard.session("s").evaluate({ action: "a" })
    if (inside) host.within(ask)
    else ask()
  }

  it("outside of a span of the host's, or in one that is not recorded, or when it is not wanted", () => {
    const host = traced()
    trace.setGlobalTracerProvider(host.provider)
    decide({}, host, false)
    decide({}, traced(false))
    decide({ tracing: false }, host)
    expect(host.spans()).toEqual([])
    decide({}, host)
    expect(host.spans()).toHaveLength(1)
  })

  it("and the context is not looked at, while no provider is registered", () => {
    let looks = 0
    const manager = new AsyncLocalStorageContextManager().enable()
    context.disable()
    context.setGlobalContextManager(
      Object.assign(Object.create(manager) as AsyncLocalStorageContextManager, {
        active: () => {
          looks += 1
          return manager.active()
        },
      }),
    )
    const { guard, clock } = harness()
    for (let i = 0; i < 10; i++) guard.session("s").evaluate({ action: "a" })
    guard.session("s").scan("text", { direction: "input" })
    expect(looks).toBe(0)
    trace.setGlobalTracerProvider(traced().provider)
    clock.advance(1000)
    guard.session("s").evaluate({ action: "a" })
    expect(looks).toBe(1)
  })

  it("after close()", async () => {
    const host = traced()
    const { guard } = harness({}, stateWith(), { tracerProvider: host.provider })
    await guard.close()
    host.within(() => guard.session("s").evaluate({ action: "a" }))
    expect(host.spans()).toEqual([])
  })
})

describe("a tracer provider", () => {
  it("that is registered late, or replaced, is found within a second", () => {
    const { guard, clock } = harness()
    const [first, second] = [traced(), traced()]
    const ask = (host: Traced) => host.within(() => guard.session("s").evaluate({ action: "a" }))
    ask(first)
    trace.setGlobalTracerProvider(first.provider)
    clock.advance(1000)
    ask(first)
    expect(first.spans()).toHaveLength(1)
    trace.disable()
    clock.advance(1000)
    ask(first)
    expect(first.spans()).toHaveLength(1)
    trace.setGlobalTracerProvider(second.provider)
    clock.advance(1000)
    ask(second)
    expect([first.spans().length, second.spans().length]).toEqual([1, 1])
  })

  it("that was handed in is used and no other", () => {
    const [own, global] = [traced(), traced()]
    trace.setGlobalTracerProvider(global.provider)
    const { guard } = harness({}, stateWith(), { tracerProvider: own.provider })
    global.within(() => guard.session("s").evaluate({ action: "a" }))
    expect([own.spans().length, global.spans().length]).toEqual([1, 0])
  })

  it.each(["getTracer", "startSpan", "setStatus", "end", "isRecording"] as const)(
    "that throws in %s changes no answer, and is tried again",
    (step) => {
      let fails = true
      const host = traced()
      const fail = (name: string): void => {
        if (fails && name === step) throw new Error(`${name} fails`)
      }
      const provider: TracerProvider = {
        getTracer(name) {
          fail("getTracer")
          const tracer = host.provider.getTracer(name)
          return {
            startActiveSpan: tracer.startActiveSpan.bind(tracer) as never,
            startSpan(...args) {
              fail("startSpan")
              const span = tracer.startSpan(...args)
              const { end, setStatus } = span
              return Object.assign(span, {
                end(time?: number) {
                  fail("end")
                  end.call(span, time)
                },
                setStatus(status: Parameters<Span["setStatus"]>[0]) {
                  fail("setStatus")
                  return setStatus.call(span, status)
                },
              })
            },
          }
        },
      }
      const { guard, clock } = harness({ stable: broken }, stateWith({ ramp: [] }), { tracerProvider: provider })
      const ask = () =>
        host.within((span) => {
          const { isRecording } = span
          span.isRecording = () => {
            fail("isRecording")
            return isRecording.call(span)
          }
          return guard.session("s").evaluate({ action: "a" })
        })
      expect(ask()).toMatchObject({ outcome: "deny", source: "posture" })
      fails = false
      host.exporter.reset()
      clock.advance(1000)
      expect(ask()).toMatchObject({ outcome: "deny", source: "posture" })
      expect(host.spans()).toHaveLength(1)
    },
  )

  it("gets no time from clocks that make no sense", () => {
    for (const wrong of [NaN, Infinity, -Infinity]) {
      const host = traced()
      const clock = { ...fakeClock(T0), now: () => wrong, monotonic: () => wrong }
      const { guard } = harness({}, stateWith(), { tracerProvider: host.provider, clock })
      host.within(() => guard.session("s", { startedAt: T0 }).evaluate({ action: "a" }))
      const [span] = host.spans()
      for (const time of [span!.startTime, span!.endTime, span!.duration].flat()) expect(time).toBeGreaterThanOrEqual(0)
    }
  })
})

describe("events", () => {
  function logger() {
    const exporter = new InMemoryLogRecordExporter()
    const provider = new LoggerProvider({ processors: [new SimpleLogRecordProcessor({ exporter })] })
    const records = () =>
      exporter.getFinishedLogRecords().map(({ eventName, severityText, body, attributes, spanContext }) => ({
        eventName,
        severityText,
        body,
        attributes,
        spanId: spanContext?.spanId,
      }))
    return { logger: provider.getLogger("app"), records }
  }

  it("tell of each decision as an evaluation of a feature flag, in the host's span", () => {
    const host = traced()
    const log = logger()
    const { guard } = harness({}, stateWith(), { logger: log.logger, tracing: false })
    const spanId = host.within((span) => {
      guard.session("s").evaluate({ action: "refund", input: SECRET })
      return span.spanContext().spanId
    })
    const [record] = log.records()
    expect(record).toMatchObject({ eventName: "feature_flag.evaluation", severityText: "INFO", spanId })
    expect(record!.attributes).toMatchObject({
      "feature_flag.key": "demo",
      "feature_flag.context.id": "s",
      "gen_ai.tool.name": "refund",
    })
    expect(JSON.stringify(record)).not.toContain(SECRET)
  })

  it("tell of each transition that is applied, by whom and why, and of a rollback as a warning", () => {
    const log = logger()
    const { state } = harness({}, stateWith(), { logger: log.logger })
    const last = {
      event: "advance",
      at: T0,
      actor: { kind: "controller", id: "c" },
      reason: "it keeps to its limits",
    } as const
    state.set(stateWith({ revision: 8, last }))
    state.set(stateWith({ revision: 8, last }))
    state.set(stateWith({ revision: 9, last: { ...last, event: "rollback", reason: "it denies too much" } }))
    expect(log.records()).toEqual([
      {
        eventName: "serin.rollout.transition",
        severityText: "INFO",
        body: "it keeps to its limits",
        attributes: {
          "serin.rollout": "demo",
          "serin.trigger": "advance",
          "serin.phase": "canary",
          "serin.revision": 8,
          "serin.generation": 1,
          "serin.actor.kind": "controller",
          "serin.actor.id": "c",
        },
        spanId: undefined,
      },
      expect.objectContaining({ severityText: "WARN", body: "it denies too much" }),
    ])
  })

  it.each([
    ["throws", { emit: broken }],
    ["throws when it is asked", { emit: broken, enabled: broken }],
    ["is disabled", { emit: broken, enabled: () => false }],
  ])("to a logger that %s change no answer", (_, logger: EventLogger) => {
    const { guard, state } = harness({}, stateWith(), { logger })
    expect(guard.session("s").evaluate({ action: "a" }).outcome).toMatch(/allow|deny/)
    state.set(stateWith({ revision: 9 }))
    expect(guard.session("s").evaluate({ action: "a" }).outcome).toMatch(/allow|deny/)
  })
})

describe("an escalated call of a tool", () => {
  const escalated = () => ({ outcome: "escalate", rule: "large", reason: `saw ${SECRET}` }) as const
  const use = { tool: "refund", input: { card: SECRET }, callId: "call-1" }
  const about = {
    "serin.rollout": "demo",
    "serin.release": "1.0.0",
    "serin.rule": "large",
    "feature_flag.context.id": "s",
    "gen_ai.tool.name": "refund",
    "gen_ai.tool.call.id": "call-1",
  }
  const asked = (by: string) => ["serin.escalation.asked", { ...about, "serin.escalation.by": by }]
  const answered = (by: string, outcome: string, more: object = {}) => {
    return [
      "serin.escalation.answered",
      { ...about, "serin.escalation.by": by, "serin.escalation.outcome": outcome, ...more },
    ]
  }
  const notesOf = (span: Span) =>
    (span as unknown as ReadableSpan).events.map(({ name, attributes }) => [name, attributes])
  const only = stateWith({ ramp: [] })

  it("is noted on the host's span when its channel is asked and when it has answered, and as events", async () => {
    const host = traced()
    const told: unknown[] = []
    const logger: EventLogger = { emit: ({ eventName, attributes }) => void told.push([eventName, attributes]) }
    const { guard } = harness({ stable: escalated }, only, { tracerProvider: host.provider, logger })
    let say: (approved: boolean) => void = () => {}
    const channel = (): Promise<boolean> => new Promise((resolve) => (say = resolve))
    const port = guard.toolPort("mine", { session: "s", escalate: channel })
    const span = await host.within(async (span) => {
      const ruling = port.decide(use, {})
      expect(notesOf(span)).toEqual([asked("channel")])
      say(true)
      expect((await ruling).kind).toBe("run")
      return span
    })
    expect(notesOf(span)).toEqual([asked("channel"), answered("channel", "approved")])
    expect(told.filter((event) => String((event as unknown[])[0]).startsWith("serin.escalation"))).toEqual(
      notesOf(span),
    )
  })

  it("is noted once as asked of the runtime, and its answer on the span of the request that brings it", () => {
    const host = traced()
    const { guard } = harness({ stable: escalated }, only, { tracerProvider: host.provider })
    const port = guard.toolPort("mine", { session: "s" }, { asks: true })
    const decide = () => port.decide(use, {}) as Ruling
    const first = host.within((span) => (decide(), decide(), span))
    const second = host.within((span) => (port.answered(decide(), false), port.answered(decide(), false), span))
    expect([notesOf(first), notesOf(second)]).toEqual([[asked("runtime")], [answered("runtime", "refused")]])
  })

  it("is noted as refused where nobody is asked, and where the channel fails", () => {
    const host = traced()
    const { guard } = harness({ stable: escalated }, only, { tracerProvider: host.provider })
    const failing = guard.toolPort("mine", { session: "s", escalate: broken })
    const span = host.within((span) => (failing.decide(use, {}), span))
    expect(notesOf(span)).toEqual([asked("channel"), answered("channel", "refused", { "error.type": "throw" })])
    const unattended = guard.toolPort("mine", { session: "s" })
    expect(notesOf(host.within((span) => (unattended.decide(use, {}), span)))).toEqual([answered("default", "refused")])
  })

  it("is noted nowhere without a recorded span, with tracing off, or on one that refuses, and is answered all the same", () => {
    const { provider, within } = traced(false)
    const sampledOut = harness({ stable: escalated }, only, { tracerProvider: provider })
    const off = harness({ stable: escalated }, only, { tracing: false })
    const decide = ({ guard }: typeof off) => guard.toolPort("mine", { session: "s" }).decide(use, {}) as Ruling
    expect(notesOf(traced().within((span) => (decide(off), span)))).toEqual([])
    expect(within(() => decide(sampledOut)).kind).toBe("refuse")
    const host = traced()
    const strict = harness({ stable: escalated }, only, { tracerProvider: host.provider })
    const ruling = host.within((span) => {
      span.addEvent = broken
      return decide(strict)
    })
    expect(ruling.kind).toBe("refuse")
  })
})

describe("the options of tracing", () => {
  it.each([
    [{ tracing: "on" }, "tracing must be true or false, got on"],
    [{ logger: {} }, "logger must have emit(record)"],
    [{ logger: null }, "logger must have emit(record)"],
  ])("refuse %o", (options, message) => {
    const make = () => harness({}, stateWith(), options as never)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})

describe("a clock that misbehaves", () => {
  it.each([NaN, Infinity, -Infinity])("puts no number that is none into an instrument: %s", async (wrong) => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 31 - 1 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    const producer = metricProducer()
    const scanners = [{ name: "s", scan: () => ({ result: "clean" as const }) }]
    for (const sink of [{ meterProvider }, { metrics: producer }]) {
      const clock = { ...fakeClock(T0), now: () => wrong, monotonic: () => wrong }
      const { guard, state } = harness({ canary: broken }, stateWith(), {
        ...sink,
        clock,
        decisionLog: { write() {} },
        releases: new Map(
          ["1.0.0", "2.0.0"].map((version) => [version, { ...release(version, () => "allow"), scanners }]),
        ),
      })
      for (let i = 0; i < 20; i++) {
        guard.session(`s-${i}`, { startedAt: T0 }).evaluate({ action: "a" })
        guard.session(`s-${i}`).scan("text", { direction: "input" })
      }
      await guard.idle()
      state.set(stateWith({ revision: 9 }))
    }
    for (const { resourceMetrics } of [await reader.collect(), await producer.collect()]) {
      const found = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
      expect(found.map(({ descriptor }) => descriptor.name)).toContain("serin.evaluations")
      const numbers = (value: unknown): number[] =>
        typeof value === "number"
          ? [value]
          : typeof value === "object" && value !== null
            ? Object.values(value).flatMap(numbers)
            : []
      const all = found.flatMap(({ dataPoints }) => dataPoints.flatMap(({ value }) => numbers(value)))
      expect(all.length).toBeGreaterThan(5)
      expect(all.filter((value) => !Number.isFinite(value))).toEqual([])
    }
    await meterProvider.shutdown()
  })
})
