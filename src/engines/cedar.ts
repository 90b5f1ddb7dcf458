import { randomUUID } from "node:crypto"
import { createRequire } from "node:module"
import { libraryMissing } from "../errors.js"
import type { Problem } from "../errors.js"
import type { Call } from "../model/call.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { invalid } from "../release/problems.js"
import type { Engine, EvaluationContext, Policy } from "../release/ports.js"
import { RuleError } from "../release/rule-error.js"
import type { EvaluationRecord } from "../release/run.js"
import { readCedarFiles } from "./cedar-files.js"
import type { CedarFiles, CedarLibrary } from "./cedar-files.js"
import { cedarValue } from "./cedar-value.js"
import type { CedarUid } from "./cedar-value.js"

export { cedarEntity, cedarExtension } from "./cedar-value.js"
export type { CedarEscape, CedarUid } from "./cedar-value.js"

/** What Cedar is asked. */
export interface CedarRequest {
  readonly principal: CedarUid
  readonly action: CedarUid
  readonly resource: CedarUid
  /** Values as JSON has them, without null and fractions, or made by `cedarEntity` and `cedarExtension`. */
  readonly context?: Readonly<Record<string, unknown>> | undefined
  /** Entities of this call, beside those of the release. */
  readonly entities?: readonly CedarEntityRecord[] | undefined
}

/** An entity, as Cedar is told of it. */
export interface CedarEntityRecord {
  readonly uid: CedarUid
  readonly attrs?: Readonly<Record<string, unknown>> | undefined
  readonly parents?: readonly CedarUid[] | undefined
  readonly tags?: Readonly<Record<string, unknown>> | undefined
}

/** Options of `cedarEngine()`. */
export interface CedarOptions<C = Call> {
  /** Say what a call asks of Cedar. Default: `cedarRequest`. A throw is an error of the evaluation. */
  readonly request?: ((call: C, context: EvaluationContext) => CedarRequest) | undefined
}

const CEDAR_KEYS: KeysOf<CedarOptions> = { request: true }
const NO_PERMIT: EvaluationRecord = Object.freeze({ outcome: "deny", reason: "no policy permits it" })

/**
 * Make the engine for policies in Cedar. A release lists `.cedar` files, and may list a `.cedarschema` and an `entities.json`. A policy
 * that fails, and a value that Cedar cannot say, are an error of the evaluation, never a decision. Throws `LIBRARY_MISSING` without the
 * optional package `@cedar-policy/cedar-wasm`.
 */
export function cedarEngine<C extends Call = Call>(options: CedarOptions<C> = {}): Engine<C> {
  refuseUnknown("cedarEngine", options, CEDAR_KEYS)
  const { request = cedarRequest } = options
  if (typeof request !== "function") throw new TypeError(`request must be a function, got ${typeof request}`)
  const library = requireCedar()
  return {
    name: "cedar",
    compile(files) {
      const problems: Problem[] = []
      const read = readCedarFiles(library, files, problems)
      if (problems.length > 0) throw invalid("RULES_INVALID", "the policies", problems)
      return cedarPolicy(library, read, request)
    },
  }
}

/**
 * Ask what a call asks by itself: the action is `Action::"<action>"`; a principal and a resource with `type` and `id` are those entities,
 * texts are ids of `Principal` and `Resource`, and where there are none, `Session::"<session id>"` and `Unspecified::"resource"`;
 * `context.input` is the call's input.
 */
export function cedarRequest(call: Call, { sessionId }: EvaluationContext): CedarRequest {
  return {
    action: { type: "Action", id: call.action },
    principal: uidOf(call.principal, "principal", "Principal") ?? { type: "Session", id: sessionId },
    resource: uidOf(call.resource, "resource", "Resource") ?? { type: "Unspecified", id: "resource" },
    context: call.input === undefined ? {} : { input: call.input },
  }
}

function uidOf(value: unknown, what: string, type: string): CedarUid | undefined {
  if (value === undefined) return undefined
  if (typeof value === "string") return { type, id: value }
  const { type: named, id } = (value ?? {}) as Partial<CedarUid>
  if (typeof named === "string" && typeof id === "string") return { type: named, id }
  throw new TypeError(
    `call.${what} must be a text or have the texts \`type\` and \`id\`; for another one give \`request\``,
  )
}

function cedarPolicy<C extends Call>(
  library: CedarLibrary,
  { policies, schema, entities }: CedarFiles,
  request: (call: C, context: EvaluationContext) => CedarRequest,
): Policy<C> {
  const slot = takeSlot()
  const texts = Object.fromEntries([...policies].map(([id, { text }]) => [id, text]))
  must(library.preparsePolicySet(slot, { staticPolicies: texts }))
  if (schema !== undefined) must(library.preparseSchema(slot, schema))
  const prepared = { preparsedPolicySetId: slot, ...(schema && { preparsedSchemaName: slot, validateRequest: true }) }
  let open = true

  return Object.freeze({
    evaluate(call: C, context: EvaluationContext): EvaluationRecord {
      // Another release may have the name by now.
      if (!open) throw new Error("the policy was closed")
      const asked = request(call, context)
      const answer = library.statefulIsAuthorized({
        ...prepared,
        principal: entityUid(asked.principal, "principal"),
        action: entityUid(asked.action, "action"),
        resource: entityUid(asked.resource, "resource"),
        context: recordOf(asked.context, "context"),
        entities: asked.entities === undefined ? [...entities] : [...entities, ...asked.entities.map(entityJson)],
      })
      if (answer.type === "failure") throw new Error(answer.errors.map(({ message }) => message).join("; "))
      const { decision, diagnostics } = answer.response
      const [failed] = diagnostics.errors
      // Cedar leaves a policy out that fails: a forbid that fails would forbid nothing.
      if (failed !== undefined) throw new RuleError(failed.policyId, failed.error.message)
      const ids = diagnostics.reason
      if (ids.length === 0) return NO_PERMIT
      const outcome =
        decision === "deny" ? "deny" : ids.some((id) => policies.get(id)?.escalates) ? "escalate" : "allow"
      const deciding = outcome === "escalate" ? ids.filter((id) => policies.get(id)?.escalates) : [...ids]
      deciding.sort()
      const reasons = deciding.flatMap((id) => policies.get(id)?.reason ?? [])
      return { outcome, rule: deciding.join(", "), reason: reasons.length > 0 ? reasons.join("; ") : undefined }
    },
    close() {
      if (!open) return
      open = false
      freeSlot(library, slot)
    },
  })
}

/** Types and ids come from calls. */
function entityUid({ type, id }: CedarUid, what: string): CedarUid {
  if (typeof type === "string" && typeof id === "string" && !/\p{Surrogate}/u.test(type + id)) return { type, id }
  throw new TypeError(`${what} must have the well-formed texts \`type\` and \`id\``)
}

type Json = Parameters<CedarLibrary["statefulIsAuthorized"]>[0]["context"]
type EntityJson = Parameters<CedarLibrary["statefulIsAuthorized"]>[0]["entities"][number]

/** What `cedarValue` makes of an object is one. */
const recordOf = (value: unknown, where: string): Json =>
  value === undefined ? {} : (cedarValue(value, where) as Json)

function entityJson({ uid, attrs, parents = [], tags }: CedarEntityRecord): EntityJson {
  const name = `entity ${uid.type}::${JSON.stringify(uid.id)}`
  return {
    uid: entityUid(uid, name),
    attrs: recordOf(attrs, `${name}.attrs`),
    parents: parents.map((one) => entityUid(one, `${name}.parents`)),
    ...(tags !== undefined && { tags: recordOf(tags, `${name}.tags`) }),
  }
}

/**
 * Names of what was parsed are global in the library, which cannot forget one: a name that is given back holds an empty set, and is the next
 * one to be taken. They are this copy's own, since another copy of serin may share the library.
 */
let prefix: string | undefined
let taken = 0
const free: string[] = []

function takeSlot(): string {
  prefix ??= `serin/${randomUUID()}`
  return free.pop() ?? `${prefix}/${++taken}`
}

function freeSlot(library: CedarLibrary, slot: string): void {
  library.preparsePolicySet(slot, { staticPolicies: {} })
  library.preparseSchema(slot, {})
  free.push(slot)
}

/** What was parsed once, and now is not, is a mistake of ours. */
function must(answer: ReturnType<CedarLibrary["preparseSchema"]>): void {
  if (answer.type === "failure") throw new Error(answer.errors.map(({ message }) => message).join("; "))
}

function requireCedar(): CedarLibrary {
  try {
    return createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as CedarLibrary
  } catch (cause) {
    throw libraryMissing("cedarEngine()", "@cedar-policy/cedar-wasm", "@cedar-policy/cedar-wasm@4", cause)
  }
}
