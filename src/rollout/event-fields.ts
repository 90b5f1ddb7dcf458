import { DIGEST } from "./digests.js"
import type { RolloutEvent } from "./event.js"

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === "string"
const isFilled: Check = (value) => typeof value === "string" && value !== ""
const isObject: Check = (value) => typeof value === "object" && value !== null
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value)

/** What a field must be, in words, and whether it is. */
type Rules = Readonly<Record<string, readonly [rule: string, check: Check]>>

const SALT: Rules = { salt: ["a text that is not empty: random, for example newSalt()", isFilled] }
const GATE: Rules = {
  gate: ["a report, as replayCalls() makes it", (value) => value === undefined || isReport(value)],
}
const DIGESTS: Rules = {
  digests: [
    "{ stable?, canary? } with digests of releases, such as sha256:…",
    (value) => value === undefined || areDigests(value),
  ],
}
const SPEC = ["a spec, as parseSpec() makes it", isObject] as const

/** What each kind of event has besides its actor and reason. */
const FIELDS: Readonly<Record<RolloutEvent["type"], Rules>> = {
  start: { ...SALT, ...GATE, ...DIGESTS, spec: SPEC },
  pause: {},
  resume: {},
  approve: {},
  promote: { to: ["next or end", oneOf(undefined, "next", "end")] },
  rollback: {},
  contain: {},
  kill: { position: ["stable or deny", oneOf("stable", "deny")] },
  retry: { ...SALT, ...GATE, ...DIGESTS, spec: [SPEC[0], (value) => value === undefined || isObject(value)] },
  lead: { epoch: ["a whole number from 1 on", (value) => Number.isSafeInteger(value) && (value as number) > 0] },
  tick: { verdict: ["a verdict or null", (value) => value === null || isObject(value)] },
}

/** Throw a `TypeError` that names the field for what is no event: it comes from code that no compiler has looked at. */
export function checkEvent(event: unknown): asserts event is RolloutEvent {
  const must = (field: string, rule: string, value: unknown, ok: boolean): void => {
    if (!ok) throw new TypeError(`${field} must be ${rule}, got ${show(value)}`)
  }
  const fields: Readonly<Record<string, unknown>> = isObject(event) ? (event as Record<string, unknown>) : {}
  must("event", "an object such as { type, actor, reason }", event, isObject(event))
  const { type, actor, reason } = fields
  const isKnown = typeof type === "string" && Object.hasOwn(FIELDS, type)
  must("event.type", `one of ${Object.keys(FIELDS).join(", ")}`, type, isKnown)
  must("event.actor", 'who asks: { kind: "human", id: "ada" }', actor, isObject(actor))
  const { kind, id } = actor as Readonly<Record<string, unknown>>
  must("event.actor.kind", "human or controller", kind, kind === "human" || kind === "controller")
  must("event.actor.id", "a text that is not empty", id, isFilled(id))
  if (type !== "tick") must("event.reason", "a text: why, for the history", reason, isText(reason))
  for (const [name, [rule, check]] of Object.entries(FIELDS[type as RolloutEvent["type"]])) {
    must(`event.${name}`, rule, fields[name], check(fields[name]))
  }
}

function areDigests(value: unknown): boolean {
  if (!isObject(value)) return false
  return Object.entries(value as object).every(([arm, digest]) => {
    return (
      (arm === "stable" || arm === "canary") &&
      (digest === undefined || (typeof digest === "string" && DIGEST.test(digest)))
    )
  })
}

function isReport(value: unknown): boolean {
  const { stable, canary, budgets } = (isObject(value) ? value : {}) as Readonly<Record<string, unknown>>
  return isObject(stable) && isObject(canary) && Array.isArray(budgets) && budgets.every(isObject)
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value)
  return isObject(value) ? "an object" : String(value)
}
