import type { Call } from "../model/call.js"
import type { EvaluationContext } from "../release/ports.js"

/** Ask what a call asks by itself: its action, principal, resource and input, and the session. What the call has not is absent. */
export function opaInput({ action, principal, resource, input }: Call, { sessionId }: EvaluationContext): unknown {
  return { action, principal, resource, input, session: { id: sessionId } }
}

/** Write a value as JSON. Throws a `TypeError` for what JSON would silently change: a policy would judge another call. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, refuseChanged) as string | undefined
  if (text === undefined) throw new TypeError("the input is nothing that JSON can say")
  return text
}

function refuseChanged(key: string, value: unknown): unknown {
  const refuse = (got: string): never => {
    throw new TypeError(`${JSON.stringify(key)} of the input is ${got}, which JSON cannot say; map it with \`input\``)
  }
  if (typeof value === "number" && !Number.isFinite(value)) return refuse(String(value))
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint")
    return refuse(`a ${typeof value}`)
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return value
  // A date has become a text by now: what has a `toJSON` says itself what it is.
  return refuse(`an instance of ${value.constructor?.name ?? "a class"}`)
}
