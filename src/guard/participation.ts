import type { Arm } from "../model/decision.js"
import type { AttributeValue, Eligible, Pin } from "../rollout/spec.js"
import type { View } from "./view.js"

/** What the host tells of a session: a tier, a region, a language. */
export type Attributes = Readonly<Record<string, AttributeValue>>

/**
 * Tell whether a session takes part: by the stage that was in force when it began (`entry` of the ramp; -1: it began before the
 * rollout), so that a stage that takes in more sessions moves none that is running.
 */
export function isEligible({ state, ramp }: View<never>, entry: number, attributes: Attributes | undefined): boolean {
  if (state === null) return true
  const { stages, eligible } = state.spec
  const own = stages[ramp[entry]?.stage ?? -1]?.eligible ?? eligible
  return own === null || hasAll(own, attributes)
}

/** The arm to which the rollout's file pins a session; undefined: none. Whoever it pins to both is stable's. */
export function pinIn({ state }: View<never>, sessionId: string, attributes: Attributes | undefined): Arm | undefined {
  const pins = state?.spec.pins
  if (pins === undefined) return undefined
  if (isFor(pins.stable, sessionId, attributes)) return "stable"
  return isFor(pins.canary, sessionId, attributes) ? "canary" : undefined
}

/**
 * Tell whether the canary may serve a session that is pinned to it: one that began with this canary, so that none goes from
 * stable, or from a canary before it, to this one. What is meant to allow more is proven in shadow before it serves anybody.
 */
export function mayServePinned({ state, ramp, canaryServes }: View<never>, entry: number): boolean {
  const begun = ramp[entry]
  if (!canaryServes || begun === undefined) return false
  return begun.weightBp > 0 || state?.spec.intent !== "loosen"
}

function isFor(pin: Pin | undefined, sessionId: string, attributes: Attributes | undefined): boolean {
  if (pin === undefined) return false
  return pin.sessions.includes(sessionId) || (pin.attributes !== null && hasAll(pin.attributes, attributes))
}

function hasAll(wanted: Eligible, attributes: Attributes | undefined): boolean {
  try {
    return Object.entries(wanted).every(
      ([name, values]) => Object.hasOwn(attributes ?? {}, name) && values.includes(attributes![name]!),
    )
  } catch {
    return false // they are the host's
  }
}
