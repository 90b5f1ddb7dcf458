import { metrics } from "@opentelemetry/api"
import type { Attributes, MeterProvider } from "@opentelemetry/api"
import { SCAN_RESULTS } from "../model/decision.js"
import type { ErrorType, Finding, ScanResult } from "../model/decision.js"
import type { Clock } from "../model/clock.js"
import { createBinding } from "./binding.js"
import { complainOnce } from "./complaint.js"
import { createCounters } from "./counters.js"
import { createEvidenceMetrics } from "./evidence-metrics.js"
import type { CountedEvidence } from "./evidence-metrics.js"
import { createGauges } from "./gauges.js"
import type { Gauges } from "./gauges.js"
import { createHistograms } from "./histograms.js"
import type { MetricSink } from "./reading.js"

export interface TelemetryOptions {
  readonly rollout: string
  readonly clock: Clock
  readonly gauges: () => Gauges
  /** Export evidence as well, as far as there is any to be judged. Default: none. */
  readonly evidence?: (() => CountedEvidence | null) | undefined
  /** Default: the global provider, whenever one is registered. */
  readonly meterProvider?: MeterProvider | undefined
  /** Hand metrics to this instead of a meter. */
  readonly metrics?: MetricSink | undefined
}

/** Why a process took its canary out by itself. */
export type FuseCause = (typeof FUSE_CAUSES)[number]

/** OpenTelemetry instruments of one guard. Everything takes indices: arm 0 stable, 1 canary; outcome as in `OUTCOMES`. */
export interface Telemetry {
  evaluation(arm: 0 | 1, outcome: number, durationMs: number, errorType?: ErrorType): void
  session(arm: 0 | 1): void
  /** A call without a usable session id, served by stable. */
  sessionless(): void
  fallback(reason: ErrorType | "lockdown"): void
  /** An answer that came after the arm's time limit. */
  late(arm: 0 | 1): void
  comparison(stable: number, canary: number): void
  shadow(result: "judged" | "dropped" | "failed"): void
  scan(arm: 0 | 1, scanner: string, result: ScanResult, durationMs: number): void
  /** Results as in `SCAN_RESULTS`. */
  scanComparison(stable: number, canary: number): void
  findings(arm: 0 | 1, findings: readonly Finding[]): void
  alerts(arm: 0 | 1, amount: number): void
  fuse(cause: FuseCause): void
  transition(trigger: string): void
  decisionLog(result: "written" | "dropped" | "failed", amount: number): void
  /** Hand over what was counted; what comes later is not told. */
  close(): void
}

/** `2^(k/2)` s, k = −34…6: 7.6 µs to 8 s. HTTP-style defaults would put every in-process call in one bin. */
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
const FUSE_CAUSES = ["errors", "timeouts", "newly_denied", "newly_allowed"] as const
const MAX_SCANNERS = 32
const REBIND_EVERY_MS = 1000

const COUNTERS = {
  "serin.evaluations": { unit: "{evaluation}", description: "Calls judged by the arm that serves the session" },
  "serin.sessions": { unit: "{session}", description: "Sessions that made their first call" },
  "serin.sessionless": { unit: "{evaluation}", description: "Calls without a session id, served by stable" },
  "serin.fallbacks": { unit: "{evaluation}", description: "Calls that the session's own arm could not answer" },
  "serin.comparisons": { unit: "{evaluation}", description: "Calls judged by both arms" },
  "serin.late_results": { unit: "{result}", description: "Answers that came after the arm's time limit" },
  "serin.shadow": { unit: "{evaluation}", description: "What became of calls and texts sampled for the other arm" },
  "serin.scans": { unit: "{scan}", description: "Texts scanned, by scanner" },
  "serin.scan.comparisons": { unit: "{scan}", description: "Texts scanned by both arms" },
  "serin.findings": { unit: "{finding}", description: "What scanners saw, by category" },
  "serin.alerts": { unit: "{alert}", description: "What monitors raised" },
  "serin.decision_log": { unit: "{entry}", description: "What became of entries of the decision log" },
  "serin.fuses": { unit: "{fuse}", description: "Times that a process took the canary out at once" },
  "serin.rollout.transitions": { unit: "{transition}", description: "Revisions of the rollout that were applied" },
} as const

const HISTOGRAMS = {
  "serin.evaluation.duration": { unit: "s", description: "Time of one evaluation" },
  "serin.scan.duration": { unit: "s", description: "Time of one scan" },
} as const

/**
 * Make the instruments of one guard, through the OpenTelemetry API only. Nothing here throws into the host: a provider that
 * fails is told to OpenTelemetry's diagnostics, once for each kind of failure, and tried again.
 */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { clock, rollout } = options
  const base = { "serin.rollout": rollout }
  // Keys in the order in which the SDK sorts them on every record.
  const arms: readonly [Attributes, Attributes] = [
    { "serin.arm": "stable", ...base },
    { "serin.arm": "canary", ...base },
  ]
  const complain = complainOnce()
  const counters = createCounters(COUNTERS, complain)
  const histograms = createHistograms(HISTOGRAMS, DURATION_BOUNDARIES, complain)
  const gauges = createGauges(options.gauges, base, complain)
  const evidence = options.evidence === undefined ? [] : [createEvidenceMetrics(options.evidence, base, complain)]
  const binding = createBinding({ counters, histograms, observed: [gauges, ...evidence], complain })
  const durationSlots = arms.map((a) => histograms.slot("serin.evaluation.duration", a))
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
  const lateSlots = arms.map((a) => counters.slot("serin.late_results", a))
  const alertSlots = arms.map((a) => counters.slot("serin.alerts", a))
  const sessionlessSlot = counters.slot("serin.sessionless", base)
  const fallbackSlots = slots("serin.fallbacks", "serin.fallback.reason", [...ERROR_TYPES, "lockdown"])
  const shadowSlots = slots("serin.shadow", "serin.shadow.result", ["judged", "dropped", "failed"])
  const logSlots = slots("serin.decision_log", "serin.decision_log.result", ["written", "dropped", "failed"])
  const fuseSlots = slots("serin.fuses", "serin.fuse.cause", FUSE_CAUSES)
  const comparisonSlots = OUTCOME_LABELS.flatMap((s) =>
    OUTCOME_LABELS.map((c) =>
      counters.slot("serin.comparisons", { ...base, "serin.stable.outcome": s, "serin.canary.outcome": c }),
    ),
  )
  const dynamic = new Map<string, number>()
  const scanners = new Map<string, readonly [ScannerSeries, ScannerSeries]>()

  let unregister = (): void => {}
  let cancelTimer = (): void => {}

  function slots(instrument: string, label: string, values: readonly string[]): Map<string, number> {
    return new Map(values.map((value) => [value, counters.slot(instrument, { ...base, [label]: value })]))
  }

  function count(instrument: string, key: string, attributes: () => Attributes): void {
    let slot = dynamic.get(key)
    if (slot === undefined) dynamic.set(key, (slot = counters.slot(instrument, attributes())))
    counters.add(slot)
  }

  /** Label sets of a scanner; past the bound, scanners share one. */
  function scannerSeries(name: string): readonly [ScannerSeries, ScannerSeries] {
    const key = scanners.has(name) || scanners.size < MAX_SCANNERS ? name : "other"
    let both = scanners.get(key)
    if (both === undefined) {
      const series = (arm: Attributes): ScannerSeries => {
        const attributes = { ...arm, "serin.scanner": key }
        return { name: key, attributes, duration: histograms.slot("serin.scan.duration", attributes) }
      }
      both = [series(arms[0]), series(arms[1])]
      scanners.set(key, both)
    }
    return both
  }

  /** False when it failed and is to be tried again. */
  function attach(): boolean {
    if (options.metrics === undefined) return binding.move(options.meterProvider ?? metrics.getMeterProvider())
    try {
      unregister = options.metrics.register(() => ({
        counters: [...counters.read(), ...evidence.flatMap((metrics) => metrics.read())],
        histograms: histograms.read(),
        gauges: gauges.read(),
      }))
      return true
    } catch (error) {
      complain("the sink of metrics does not register; it is asked again", error)
      return false
    }
  }

  /** A global provider may be registered late or replaced, and is found again; one that was handed in stays. */
  function watch(): void {
    const attached = attach()
    if (attached && (options.metrics ?? options.meterProvider) !== undefined) return
    cancelTimer = clock.schedule(watch, REBIND_EVERY_MS)
  }

  watch()

  return {
    evaluation(arm, outcome, durationMs, errorType) {
      const slot = outcome === 3 ? errorSlots[arm]!.get(errorType ?? "throw") : evaluationSlots[arm * 4 + outcome]
      counters.add(slot!)
      histograms.record(durationSlots[arm]!, durationMs / 1000)
    },
    session: (arm) => counters.add(sessionSlots[arm]!),
    sessionless: () => counters.add(sessionlessSlot),
    fallback: (reason) => counters.add(fallbackSlots.get(reason)!),
    late: (arm) => counters.add(lateSlots[arm]!),
    comparison: (stable, canary) => counters.add(comparisonSlots[stable * 4 + canary]!),
    shadow: (result) => counters.add(shadowSlots.get(result)!),
    scan(arm, scanner, result, durationMs) {
      const { name, attributes, duration } = scannerSeries(scanner)[arm]
      count("serin.scans", `scan/${arm}/${result}/${name}`, () => ({ ...attributes, "serin.scan.result": result }))
      histograms.record(duration, durationMs / 1000)
    },
    scanComparison(stable, canary) {
      const [s, c] = [SCAN_RESULTS[stable]!, SCAN_RESULTS[canary]!]
      count("serin.scan.comparisons", `scans/${s}/${c}`, () => ({
        ...base,
        "serin.stable.scan.result": s,
        "serin.canary.scan.result": c,
      }))
    },
    findings(arm, findings) {
      for (const finding of findings) {
        const known = (FINDING_CATEGORIES as readonly string[]).includes(finding.category)
        const category = known ? finding.category : "other"
        const { name, attributes } = scannerSeries(finding.scanner)[arm]
        count("serin.findings", `finding/${arm}/${category}/${name}`, () => ({
          ...attributes,
          "serin.finding.category": category,
        }))
      }
    },
    alerts: (arm, amount) => counters.add(alertSlots[arm]!, amount),
    fuse: (cause) => counters.add(fuseSlots.get(cause)!),
    transition: (trigger) =>
      count("serin.rollout.transitions", `transition/${trigger}`, () => ({ ...base, "serin.trigger": trigger })),
    decisionLog: (result, amount) => counters.add(logSlots.get(result)!, amount),
    close() {
      cancelTimer()
      binding.close()
      try {
        unregister()
      } catch (error) {
        complain("the sink of metrics does not let go", error)
      }
    },
  }
}

interface ScannerSeries {
  readonly name: string
  readonly attributes: Attributes
  /** Histogram slot. */
  readonly duration: number
}
