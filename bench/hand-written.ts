import { createHash } from "node:crypto"
import type { Meter } from "@opentelemetry/api"

export type Outcome = "allow" | "deny" | "escalate"
type Evaluate<C> = (call: C) => Outcome

/**
 * What a team writes without a library: an arm by hash, a time, and six instruments called on every decision.
 * It neither compares the arms nor judges anything.
 */
export function handWrittenCanary<C>(meter: Meter, stable: Evaluate<C>, canary: Evaluate<C>) {
  const decide = recordedPolicies(meter, stable, canary)
  const armOf = (id: string): "stable" | "canary" => {
    const hash = createHash("sha256").update(id).digest().readUInt32BE(0)
    return hash / 2 ** 32 < 0.05 ? "canary" : "stable"
  }
  return {
    armOf,
    session(id: string) {
      const arm = armOf(id)
      return (call: C): Outcome => decide(arm, call)
    },
  }
}

/** The same when something else has chosen the arm. */
export function recordedPolicies<C>(meter: Meter, stable: Evaluate<C>, canary: Evaluate<C>) {
  const evaluations = meter.createCounter("app.evaluations")
  const allowed = meter.createCounter("app.allowed")
  const denied = meter.createCounter("app.denied")
  const escalated = meter.createCounter("app.escalated")
  const errors = meter.createCounter("app.errors")
  const duration = meter.createHistogram("app.evaluation.duration", { unit: "s" })

  return (arm: "stable" | "canary", call: C): Outcome => {
    const release = arm === "canary" ? "2" : "1"
    const start = performance.now()
    let outcome: Outcome = "deny"
    let failed = 0
    try {
      outcome = arm === "canary" ? canary(call) : stable(call)
    } catch {
      failed = 1
    }
    const seconds = (performance.now() - start) / 1000
    // One bag of attributes for all, as such code is written: what was decided, by which arm and release.
    const attributes = { "app.rollout": "demo", "app.arm": arm, "app.release": release, "app.outcome": outcome }
    evaluations.add(1, attributes)
    allowed.add(outcome === "allow" ? 1 : 0, attributes)
    denied.add(outcome === "deny" ? 1 : 0, attributes)
    escalated.add(outcome === "escalate" ? 1 : 0, attributes)
    errors.add(failed, attributes)
    duration.record(seconds, attributes)
    return outcome
  }
}
