import { diag, metrics } from "@opentelemetry/api"
import type { Attributes, BatchObservableCallback, MeterProvider, ObservableGauge } from "@opentelemetry/api"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { metricProducer } from "../../src/telemetry/producer.js"
import { createTelemetry } from "../../src/telemetry/telemetry.js"
import type { Telemetry, TelemetryOptions } from "../../src/telemetry/telemetry.js"
import { fakeClock } from "../../src/testing/fake-clock.js"

const STEPS = [
  "getMeter",
  "createCounter",
  "createHistogram",
  "createObservableGauge",
  "addBatchObservableCallback",
  "removeBatchObservableCallback",
  "add",
  "record",
  "observe",
] as const
type Step = (typeof STEPS)[number]

/** A provider of a host that counts what it is given, and throws at the steps in `failing`. */
function hostProvider(...failing: Step[]) {
  const fails = new Set<Step>(failing)
  const asked: Step[] = []
  const counts = new Map<string, number>()
  const callbacks = new Map<BatchObservableCallback, ObservableGauge[]>()
  let durations = 0
  let observed = 0

  function at(step: Step): void {
    asked.push(step)
    if (fails.has(step)) throw new Error(`${step} fails`)
  }
  const meter = {
    createCounter: (name: string) => {
      at("createCounter")
      return {
        add(value: number, attributes: Attributes) {
          at("add")
          const key = `${name} ${String(attributes["serin.outcome"] ?? "")}`.trim()
          counts.set(key, (counts.get(key) ?? 0) + value)
        },
      }
    },
    createHistogram: () => {
      at("createHistogram")
      return {
        record() {
          at("record")
          durations += 1
        },
      }
    },
    createObservableGauge: () => {
      at("createObservableGauge")
      return {}
    },
    addBatchObservableCallback(callback: BatchObservableCallback, gauges: ObservableGauge[]) {
      at("addBatchObservableCallback")
      callbacks.set(callback, gauges)
    },
    removeBatchObservableCallback(callback: BatchObservableCallback) {
      at("removeBatchObservableCallback")
      callbacks.delete(callback)
    },
  }
  const provider = {
    getMeter() {
      at("getMeter")
      return meter
    },
  } as unknown as MeterProvider

  return {
    provider,
    counts,
    asked,
    durations: () => durations,
    observed: () => observed,
    mend: () => fails.clear(),
    collect() {
      for (const callback of callbacks.keys()) {
        void callback({
          observe() {
            at("observe")
            observed += 1
          },
        })
      }
    },
  }
}

const gauges = () => ({
  weightBp: 500,
  phase: "canary",
  revision: 7,
  kill: "off",
  stateAgeMs: 1500,
  shadowCoverage: null,
  fuseBlown: false,
  problems: [],
})
let told: unknown[][] = []
const open: Telemetry[] = []

function make(options: Partial<TelemetryOptions> = {}) {
  const clock = fakeClock()
  const telemetry = createTelemetry({ rollout: "demo", clock, gauges, ...options })
  open.push(telemetry)
  return { telemetry, clock }
}

/** Every kind of thing that a call tells. */
function useAll(telemetry: Telemetry): void {
  telemetry.session(0)
  telemetry.sessionless()
  telemetry.evaluation(0, 0, 1)
  telemetry.evaluation(1, 3, 1, "timeout")
  telemetry.fallback("lockdown")
  telemetry.comparison(0, 1)
  telemetry.shadow("failed")
  telemetry.scan(1, "pii", "flagged", 1)
  telemetry.findings(1, [{ scanner: "pii", category: "pii" }])
  telemetry.transition("start")
}

beforeEach(() => {
  told = []
  const tell = (...args: unknown[]): void => void told.push(args)
  diag.setLogger({ error: tell, warn: tell, info() {}, debug() {}, verbose() {} })
})
afterEach(() => {
  for (const telemetry of open.splice(0)) telemetry.close()
  metrics.disable()
  diag.disable()
})

describe("telemetry whose provider fails", () => {
  it.each(STEPS)("never throws into the call, a timer, a collection or close: %s", (step) => {
    const host = hostProvider(step)
    metrics.setGlobalMeterProvider(host.provider)
    const { telemetry, clock } = make()
    for (let i = 0; i < 3; i++) {
      useAll(telemetry)
      host.collect()
      clock.advance(1000)
    }
    metrics.disable()
    clock.advance(1000)
    telemetry.close()
    useAll(telemetry)
    expect(host.asked).toContain(step)
    expect(told.filter(([message]) => String(message).startsWith("serin: "))).toHaveLength(1)
  })

  it.each(STEPS)("nor when everything fails and the logger as well: %s first", (step) => {
    const fail = (): never => {
      throw new Error("the logger fails")
    }
    diag.disable()
    diag.setLogger({ error: fail, warn: fail, info() {}, debug() {}, verbose() {} })
    const host = hostProvider(...STEPS.slice(STEPS.indexOf(step)))
    const { telemetry, clock } = make({ meterProvider: host.provider })
    useAll(telemetry)
    host.collect()
    clock.advance(1000)
    telemetry.close()
    expect(host.asked).toContain("getMeter")
  })

  it.each([
    "getMeter",
    "createCounter",
    "createHistogram",
    "createObservableGauge",
    "addBatchObservableCallback",
  ] as const)("is tried again, and loses no count: %s", (step) => {
    for (const handedIn of [true, false]) {
      const host = hostProvider(step)
      if (!handedIn) metrics.setGlobalMeterProvider(host.provider)
      const { telemetry, clock } = make(handedIn ? { meterProvider: host.provider } : {})
      telemetry.evaluation(0, 0, 1)
      clock.advance(1000)
      telemetry.evaluation(0, 0, 1)
      host.mend()
      clock.advance(1000)
      telemetry.evaluation(0, 0, 1)
      host.collect()
      expect(host.counts.get("serin.evaluations allow")).toBe(3)
      expect(host.durations()).toBe(1)
      expect(host.observed()).toBe(6)
      metrics.disable()
    }
  })

  it("leaves no count to a provider that never took one: the next gets all", () => {
    const bad = hostProvider("createHistogram")
    metrics.setGlobalMeterProvider(bad.provider)
    const { telemetry, clock } = make()
    telemetry.evaluation(0, 0, 1)
    const good = hostProvider()
    metrics.disable()
    metrics.setGlobalMeterProvider(good.provider)
    clock.advance(1000)
    good.collect()
    expect(good.counts.get("serin.evaluations allow")).toBe(1)
    expect(bad.counts.size).toBe(0)
  })

  it("keeps a count that an instrument refused for the next collection", () => {
    const host = hostProvider("add")
    const { telemetry } = make({ meterProvider: host.provider })
    telemetry.evaluation(0, 0, 1)
    telemetry.evaluation(0, 1, 1)
    host.collect()
    expect(host.counts.size).toBe(0)
    host.mend()
    host.collect()
    host.collect()
    expect(host.counts.get("serin.evaluations allow")).toBe(1)
    expect(host.counts.get("serin.evaluations deny")).toBe(1)
  })

  it("counts on when the state cannot be read for the gauges", () => {
    const host = hostProvider()
    const broken = (): never => {
      throw new Error("no state")
    }
    const { telemetry } = make({ meterProvider: host.provider, gauges: broken })
    telemetry.evaluation(0, 0, 1)
    host.collect()
    expect(host.counts.get("serin.evaluations allow")).toBe(1)
    expect(host.observed()).toBe(0)
  })

  it("shows nothing any more to a meter that does not let go of its callback", () => {
    const host = hostProvider("removeBatchObservableCallback")
    const { telemetry } = make({ meterProvider: host.provider })
    telemetry.evaluation(0, 0, 1)
    telemetry.close()
    telemetry.evaluation(0, 0, 1)
    host.collect()
    expect(host.counts.get("serin.evaluations allow")).toBe(1)
    expect(host.observed()).toBe(0)
  })
})

describe("telemetry whose sink fails", () => {
  it("never throws, and is tried again", () => {
    let fails = true
    let reads = 0
    const metrics = {
      register(read: () => unknown) {
        if (fails) throw new Error("register fails")
        read()
        reads += 1
        return (): never => {
          throw new Error("the sink does not let go")
        }
      },
    }
    const { telemetry, clock } = make({ metrics })
    useAll(telemetry)
    clock.advance(1000)
    expect(reads).toBe(0)
    fails = false
    clock.advance(1000)
    clock.advance(5000)
    expect(reads).toBe(1)
    telemetry.close()
  })

  it("does not spoil what a metric producer reads of others", async () => {
    const producer = metricProducer()
    const unregister = producer.register(() => {
      throw new Error("cannot be read")
    })
    const { telemetry } = make({
      metrics: producer,
      gauges: () => {
        throw new Error("no state")
      },
    })
    telemetry.evaluation(0, 0, 1)
    const { resourceMetrics, errors } = await producer.collect()
    expect(errors).toEqual([new Error("cannot be read")])
    const names = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics.map((m) => m.descriptor.name))
    expect(names).toEqual(["serin.evaluations", "serin.evaluation.duration"])
    expect(unregister).toThrow("cannot be read")
  })
})
