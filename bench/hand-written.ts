import { createHash } from "node:crypto"
import type { Meter } from "@opentelemetry/api"

type Outcome = "allow" | "deny" | "escalate"
type Evaluate = (call: { action: string }) => Outcome

/**
 * What a team writes without a library: an arm by hash, a time, and six instruments called on every decision.
 * It neither compares the arms nor judges anything.
 */
export function handWrittenCanary(meter: Meter, stable: Evaluate, canary: Evaluate) {
  const evaluations = meter.createCounter("app.evaluations")
  const outcomes = meter.createCounter("app.outcomes")
  const errors = meter.createCounter("app.errors")
  const duration = meter.createHistogram("app.evaluation.duration", { unit: "s" })
  const scanTime = meter.createHistogram("app.scan.duration", { unit: "s" })
  const active = meter.createUpDownCounter("app.sessions")

  return {
    session(id: string) {
      const hash = createHash("sha256").update(id).digest().readUInt32BE(0)
      const arm = hash / 2 ** 32 < 0.05 ? "canary" : "stable"
      return (call: { action: string }): Outcome => {
        const start = performance.now()
        let outcome: Outcome = "deny"
        let failed = 0
        try {
          outcome = arm === "canary" ? canary(call) : stable(call)
        } catch {
          failed = 1
        }
        const seconds = (performance.now() - start) / 1000
        const attributes = { "app.rollout": "demo", "app.arm": arm }
        evaluations.add(1, attributes)
        outcomes.add(1, { ...attributes, "app.outcome": outcome })
        errors.add(failed, attributes)
        duration.record(seconds, attributes)
        scanTime.record(0, attributes)
        active.add(0, attributes)
        return outcome
      }
    },
  }
}
