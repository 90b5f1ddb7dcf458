import type { Problem } from "../errors.js"
import type { Call } from "../model/call.js"
import { refuseUnknown, requireMethods } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { own } from "../model/record.js"
import { plainOf } from "../release/config-file.js"
import { openDocument } from "../release/document.js"
import { clip, invalid, suggest } from "../release/problems.js"
import type { Engine, Evaluation, EvaluationContext, Policy, SourceFile } from "../release/ports.js"
import { AUTHENSOR_EFFECTS, authensorOutcome } from "./authensor-outcome.js"
import { ownCopy } from "./own-copy.js"

export { aegisScanner } from "./aegis-scanner.js"
export type { AegisLike, AegisScannerOptions } from "./aegis-scanner.js"
export { authensorOutcome } from "./authensor-outcome.js"
export { sentinelMonitor } from "./sentinel-monitor.js"
export type { SentinelLike, SentinelMonitorOptions } from "./sentinel-monitor.js"

/** What is needed of a `PolicyEngine`. */
export interface PolicyEngineLike {
  evaluate(envelope: object, policies: object[], sessionContext?: object): unknown
}

/** Options of `authensorEngine()`. */
export interface AuthensorOptions<C = Call> {
  /** Make an engine: `() => new PolicyEngine()`. Called for each release, so that none shares what an engine remembers. */
  readonly engine: () => PolicyEngineLike
  /** Say what a call is. Default: `authensorEnvelope`. */
  readonly envelope?: ((call: C, context: EvaluationContext) => object) | undefined
  /** What the session has done, for rules about sessions. Default: nothing is told, and such rules are not asked. */
  readonly sessionContext?: ((call: C, context: EvaluationContext) => object | undefined) | undefined
  /** Say what its answer means. Default: `authensorOutcome`. */
  readonly outcome?: ((result: unknown) => Evaluation) | undefined
  /** The engine counts calls, for a limit of rates: it is never run only to compare. Default false. */
  readonly stateful?: boolean | undefined
}

const AUTHENSOR_KEYS: KeysOf<AuthensorOptions> = {
  engine: true,
  envelope: true,
  sessionContext: true,
  outcome: true,
  stateful: true,
}
const MAX_POLICIES = 1000

/**
 * Make the engine for policies of a `PolicyEngine` in YAML or JSON: a file is one policy, a list, or `policies` with a list. It has no
 * dependency: whatever has the method `evaluate(envelope, policies, sessionContext?)` is one.
 */
export function authensorEngine<C extends Call = Call>(options: AuthensorOptions<C>): Engine<C> {
  const resolved = resolve("authensorEngine", options)
  return {
    name: "authensor",
    compile(files) {
      const problems: Problem[] = []
      const policies = files.flatMap((file) => readPolicies(file, problems))
      if (policies.length === 0 && problems.length === 0)
        problems.push({ where: "files", message: "there is no policy" })
      refuseDuplicates(policies, problems)
      if (problems.length > 0) throw invalid("RULES_INVALID", "the policies", problems)
      return policyOf(
        resolved,
        policies.map(({ value }) => value),
      )
    },
  }
}

/** Make a policy, for a release in code, of an engine and its policies. They are copied: what is done to them later changes no arm. */
export function authensorPolicy<C extends Call = Call>(
  policies: readonly object[],
  options: AuthensorOptions<C>,
): Policy<C> {
  const resolved = resolve("authensorPolicy", options)
  if (!Array.isArray(policies) || policies.length === 0) throw new TypeError("policies must be a list of at least one")
  return policyOf(resolved, policies)
}

/**
 * Say what a call is by itself: the action's type is the call's action, its parameters are the input, the principal is the call's - a text is
 * the id of an agent - or else the session as an agent. Id and time are those of the session: both arms are asked the same.
 */
export function authensorEnvelope(call: Call, { sessionId, startedAt }: EvaluationContext): object {
  const { action, resource = "", input, principal = { type: "agent", id: sessionId } } = call
  if (typeof action !== "string") throw new TypeError(`call.action must be a text, got ${typeof action}`)
  if (typeof resource !== "string") throw new TypeError("call.resource must be a text; for another one give `envelope`")
  const actor = typeof principal === "string" ? { type: "agent", id: principal } : principal
  if (typeof own(actor, "type") !== "string" || typeof own(actor, "id") !== "string") {
    throw new TypeError(
      "call.principal must be a text or have the texts `type` and `id`; for another one give `envelope`",
    )
  }
  if (input !== undefined && (typeof input !== "object" || input === null || Array.isArray(input))) {
    throw new TypeError("call.input must be an object; for another one give `envelope`")
  }
  return {
    id: sessionId,
    timestamp: new Date(startedAt).toISOString(),
    action: { type: action, resource, ...(input !== undefined && { parameters: input }) },
    principal: actor,
    context: { sessionId },
  }
}

type Resolved<C> = ReturnType<typeof resolve<C & Call>>

function policyOf<C extends Call>(
  { engine, envelope, sessionContext, outcome, stateful }: Resolved<C>,
  policies: readonly object[],
): Policy<C> {
  const judge = engine()
  requireMethods("engine()", judge, ["evaluate"], "give `() => new PolicyEngine()`")
  const copy = ownCopy("policies", policies)
  return Object.freeze({
    evaluate(call: C, context: EvaluationContext): Evaluation {
      return outcome(judge.evaluate(envelope(call, context), copy, sessionContext?.(call, context)))
    },
    stateful,
  })
}

interface Placed {
  readonly value: object
  readonly id: string
  readonly where: string
}

function readPolicies(file: SourceFile, problems: Problem[]): Placed[] {
  const document = openDocument(file, problems)
  if (document.root === null) return []
  const plain = plainOf(document, document.root)
  const listed = own(plain, "policies") ?? plain
  const list: unknown[] = Array.isArray(listed) ? listed : [listed]
  if (list.length > MAX_POLICIES) {
    problems.push({ where: file.path, message: `has more than ${MAX_POLICIES} policies`, fix: "join some" })
    return []
  }
  return list.flatMap((value, i) => {
    const where = `${file.path}: policy ${i + 1}`
    const id = own(value, "id")
    const rules = own(value, "rules")
    if (typeof id !== "string" || id === "" || !Array.isArray(rules)) {
      problems.push({ where, message: "must have a text `id` and a list `rules`" })
      return []
    }
    for (const [n, rule] of rules.entries())
      refuseEffect(own(rule, "effect"), `${where} \`${clip(id)}\`, rule ${n + 1}`, problems)
    const otherwise = own(value, "defaultEffect")
    if (otherwise !== undefined) refuseEffect(otherwise, `${where} \`${clip(id)}\`, defaultEffect`, problems)
    return [{ value: value as object, id, where }]
  })
}

/** An effect that nobody knows would be an error at the first call that it is about. */
function refuseEffect(effect: unknown, where: string, problems: Problem[]): void {
  if (AUTHENSOR_EFFECTS.has(effect)) return
  const known = [...AUTHENSOR_EFFECTS.keys()].map(String)
  const got = typeof effect === "string" ? `the unknown \`${clip(effect)}\`` : "no text"
  problems.push({
    where,
    message: `the effect is ${got}`,
    fix: suggest(typeof effect === "string" ? effect : "", known),
  })
}

function refuseDuplicates(policies: readonly Placed[], problems: Problem[]): void {
  const first = new Map<string, string>()
  for (const { id, where } of policies) {
    const before = first.get(id)
    if (before === undefined) first.set(id, where)
    else problems.push({ where, message: `the \`id\` ${clip(id)} is taken by ${before}`, fix: "rename one" })
  }
}

function resolve<C extends Call>(of: string, options: AuthensorOptions<C>) {
  refuseUnknown(of, options, AUTHENSOR_KEYS)
  const {
    engine,
    envelope = authensorEnvelope,
    sessionContext,
    outcome = authensorOutcome,
    stateful = false,
  } = options ?? {}
  for (const [name, one] of Object.entries({ engine, envelope, sessionContext, outcome })) {
    if (name === "sessionContext" && one === undefined) continue
    if (typeof one !== "function") throw new TypeError(`${name} must be a function, got ${typeof one}`)
  }
  if (typeof stateful !== "boolean") throw new TypeError(`stateful must be true or false, got ${typeof stateful}`)
  return { engine, envelope, sessionContext, outcome, stateful }
}
