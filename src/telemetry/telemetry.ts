import { metrics } from "@opentelemetry/api"
import type { Attributes, BatchObservableResult, Histogram, Meter, MeterProvider } from "@opentelemetry/api"
import type { ErrorType, Finding } from "../model/decision.js"
import type { Clock } from "../model/clock.js"
import { createCounters } from "./counters.js"

/** What the gauges show about the rollout when metrics are collected. */
export interface Gauges {
  /** Share of new sessions on the canary, 0–10 000. */
  readonly weightBp: number
  readonly phase: string
  /** Ms since the state in force was last confirmed. */
  readonly stateAgeMs: number
}

export interface TelemetryOptions {
  readonly rollout: string
  readonly clock: Clock
  readonly gauges: () => Gauges
  /** Default: the global provider, whenever one is registered. */
  readonly meterProvider?: MeterProvider | undefined
}

/** OpenTelemetry instruments of one guard. Everything takes indices: arm 0 stable, 1 canary; outcome as in `OUTCOMES`. */
export interface Telemetry {
  evaluation(arm: 0 | 1, outcome: number, durationMs: number, errorType?: ErrorType): void
  session(arm: 0 | 1): void
  /** A call without a usable session id, served by stable. */
  sessionless(): void
  fallback(reason: ErrorType | "lockdown"): void
  comparison(stable: number, canary: number): void
  shadow(result: "judged" | "dropped" | "failed"): void
  scan(arm: 0 | 1, scanner: string, result: "clean" | "flagged" | "blocked" | "error", durationMs: number): void
  findings(arm: 0 | 1, findings: readonly Finding[]): void
  transition(trigger: string): void
  /** Look for a provider that was registered or replaced since, and move to it. */
  rebind(): void
  close(): void
}

/** `2^(k/2)` s, k = −34…6: 58 ns to 8 s. HTTP-style defaults would put every in-process call in one bin. */
export const DURATION_BOUNDARIES: readonly number[] = Array.from({ length: 41 }, (_, i) => 2 ** ((i - 34) / 2))

/** Categories that may become a label; any other is `other`, so that a scanner cannot flood the metrics. */
export const FINDING_CATEGORIES = [
  "pii",
  "secret",
  "prompt_injection",
  "jailbreak",
  "toxicity",
  "malware",
  "data_exfiltration",
  "policy",
] as const

const OUTCOME_LABELS = ["allow", "deny", "escalate", "error"] as const
const ERROR_TYPES: readonly ErrorType[] = ["timeout", "throw", "invalid", "unavailable"]
const MAX_SCANNERS = 32
const REBIND_EVERY_MS = 1000

const COUNTERS = {
  "serin.evaluations": { unit: "{evaluation}", description: "Calls judged by the arm that serves the session" },
  "serin.sessions": { unit: "{session}", description: "Sessions that made their first call" },
  "serin.sessionless": { unit: "{evaluation}", description: "Calls without a session id, served by stable" },
  "serin.fallbacks": { unit: "{evaluation}", description: "Calls that the session's own arm could not answer" },
  "serin.comparisons": { unit: "{evaluation}", description: "Calls judged by both arms" },
  "serin.shadow": { unit: "{evaluation}", description: "What became of calls sampled for the other arm" },
  "serin.scans": { unit: "{scan}", description: "Texts scanned, by scanner" },
  "serin.findings": { unit: "{finding}", description: "What scanners saw, by category" },
  "serin.rollout.transitions": { unit: "{transition}", description: "Revisions of the rollout that were applied" },
} as const

/** Make the instruments of one guard, through the OpenTelemetry API only. Nothing here throws into the host. */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { clock, rollout } = options
  const base = { "serin.rollout": rollout }
  const arms: readonly [Attributes, Attributes] = [
    { ...base, "serin.arm": "stable" },
    { ...base, "serin.arm": "canary" },
  ]
  const counters = createCounters(COUNTERS)
  const evaluations = arms.map((arm) => OUTCOME_LABELS.map((o) => ({ ...arm, "serin.outcome": o }))).flat()
  const evaluationSlots = evaluations.map((a) => counters.slot("serin.evaluations", a))
  const errorSlots = arms.map(
    (arm) =>
      new Map(
        ERROR_TYPES.map((type) => {
          const attributes = { ...arm, "serin.outcome": "error", "error.type": type }
          return [type, counters.slot("serin.evaluations", attributes)]
        }),
      ),
  )
  const sessionSlots = arms.map((a) => counters.slot("serin.sessions", a))
  const sessionlessSlot = counters.slot("serin.sessionless", base)
  const fallbackSlots = slots("serin.fallbacks", "serin.fallback.reason", [...ERROR_TYPES, "lockdown"])
  const shadowSlots = slots("serin.shadow", "serin.shadow.result", ["judged", "dropped", "failed"])
  const comparisonSlots = OUTCOME_LABELS.flatMap((s) =>
    OUTCOME_LABELS.map((c) =>
      counters.slot("serin.comparisons", { ...base, "serin.stable.outcome": s, "serin.canary.outcome": c }),
    ),
  )
  const dynamic = new Map<string, number>()
  const scanners = new Map<string, readonly [Attributes, Attributes]>()

  let meter: Meter | undefined
  let provider: MeterProvider | undefined
  let unbind = (): void => {}
  let duration: Histogram | undefined
  let scanDuration: Histogram | undefined
  let cancelTimer = (): void => {}
  let closed = false

  function slots(instrument: string, label: string, values: readonly string[]): Map<string, number> {
    return new Map(values.map((value) => [value, counters.slot(instrument, { ...base, [label]: value })]))
  }

  function count(instrument: string, key: string, attributes: () => Attributes): void {
    let slot = dynamic.get(key)
    if (slot === undefined) dynamic.set(key, (slot = counters.slot(instrument, attributes())))
    counters.add(slot)
  }

  /** Label sets of a scanner; past the bound, scanners share one. */
  function scannerAttributes(name: string): readonly [Attributes, Attributes] {
    const key = scanners.has(name) || scanners.size < MAX_SCANNERS ? name : "other"
    let attributes = scanners.get(key)
    if (attributes === undefined) {
      attributes = [
        { ...arms[0], "serin.scanner": key },
        { ...arms[1], "serin.scanner": key },
      ]
      scanners.set(key, attributes)
    }
    return attributes
  }

  function observe(result: BatchObservableResult, gauges: ReturnType<typeof createGauges>): void {
    counters.flush()
    const { weightBp, phase, stateAgeMs } = options.gauges()
    result.observe(gauges.weight, weightBp / 10_000, base)
    result.observe(gauges.phase, 1, { ...base, "serin.phase": phase })
    if (Number.isFinite(stateAgeMs)) result.observe(gauges.age, Math.max(0, stateAgeMs / 1000), base)
  }

  function rebind(): void {
    const current = options.meterProvider ?? metrics.getMeterProvider()
    if (closed || current === provider) return
    unbind()
    provider = current
    meter = current.getMeter("serin")
    counters.bind(meter)
    duration = meter.createHistogram("serin.evaluation.duration", durationOptions("Time of one evaluation"))
    scanDuration = meter.createHistogram("serin.scan.duration", durationOptions("Time of one scan"))
    const gauges = createGauges(meter)
    const callback = (result: BatchObservableResult): void => observe(result, gauges)
    const observables = [gauges.weight, gauges.phase, gauges.age]
    const bound = meter
    bound.addBatchObservableCallback(callback, observables)
    unbind = () => bound.removeBatchObservableCallback(callback, observables)
  }

  function watchProvider(): void {
    rebind()
    cancelTimer = clock.schedule(watchProvider, REBIND_EVERY_MS)
  }

  if (options.meterProvider === undefined) watchProvider()
  else rebind()

  return {
    evaluation(arm, outcome, durationMs, errorType) {
      const slot = outcome === 3 ? errorSlots[arm]!.get(errorType ?? "throw") : evaluationSlots[arm * 4 + outcome]
      counters.add(slot!)
      if (durationMs >= 0 && durationMs < Infinity) duration?.record(durationMs / 1000, arms[arm])
    },
    session: (arm) => counters.add(sessionSlots[arm]!),
    sessionless: () => counters.add(sessionlessSlot),
    fallback: (reason) => counters.add(fallbackSlots.get(reason)!),
    comparison: (stable, canary) => counters.add(comparisonSlots[stable * 4 + canary]!),
    shadow: (result) => counters.add(shadowSlots.get(result)!),
    scan(arm, scanner, result, durationMs) {
      const attributes = scannerAttributes(scanner)[arm]
      const label = attributes["serin.scanner"] as string
      count("serin.scans", `scan/${arm}/${result}/${label}`, () => ({ ...attributes, "serin.scan.result": result }))
      if (durationMs >= 0 && durationMs < Infinity) scanDuration?.record(durationMs / 1000, attributes)
    },
    findings(arm, findings) {
      for (const finding of findings) {
        const known = (FINDING_CATEGORIES as readonly string[]).includes(finding.category)
        const category = known ? finding.category : "other"
        const attributes = scannerAttributes(finding.scanner)[arm]
        const key = `finding/${arm}/${category}/${attributes["serin.scanner"] as string}`
        count("serin.findings", key, () => ({ ...attributes, "serin.finding.category": category }))
      }
    },
    transition: (trigger) =>
      count("serin.rollout.transitions", `transition/${trigger}`, () => ({ ...base, "serin.trigger": trigger })),
    rebind,
    close() {
      closed = true
      cancelTimer()
      counters.flush()
      unbind()
    },
  }
}

function createGauges(meter: Meter) {
  return {
    weight: meter.createObservableGauge("serin.rollout.weight", {
      unit: "1",
      description: "Share of new sessions on the canary",
    }),
    phase: meter.createObservableGauge("serin.rollout.phase", { unit: "1", description: "1 for the phase in force" }),
    age: meter.createObservableGauge("serin.rollout.state.age", {
      unit: "s",
      description: "Time since the rollout state was last confirmed",
    }),
  }
}

function durationOptions(description: string) {
  return { unit: "s", description, advice: { explicitBucketBoundaries: [...DURATION_BOUNDARIES] } }
}
