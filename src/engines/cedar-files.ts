import { posix } from "node:path"
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs"
import type { Problem } from "../errors.js"
import { errorText } from "../model/error-text.js"
import { clip, suggest } from "../release/problems.js"
import type { SourceFile } from "../release/ports.js"

/** What is used of `@cedar-policy/cedar-wasm`. */
export type CedarLibrary = Pick<
  typeof Cedar,
  | "policySetTextToParts"
  | "policyToJson"
  | "preparsePolicySet"
  | "preparseSchema"
  | "statefulIsAuthorized"
  | "checkParseSchema"
  | "checkParseEntities"
  | "validate"
>

/** One policy of the files, and what its annotations say. */
export interface CedarPolicy {
  readonly text: string
  readonly reason: string | undefined
  /** A permit that permits only what a human has looked at. */
  readonly escalates: boolean
}

export interface CedarFiles {
  /** By id. */
  readonly policies: ReadonlyMap<string, CedarPolicy>
  readonly schema: Cedar.Schema | undefined
  readonly entities: readonly Cedar.EntityJson[]
}

const KINDS =
  "policies are in `.cedar`, a schema is in `.cedarschema` or `.cedarschema.json`, entities are in `entities.json`"
const MAX_POLICIES = 10_000
// oxlint-disable-next-line no-control-regex
const ID = /^[^\u0000-\u001f]{1,128}$/
const OUTCOME = "serin_outcome"

/** Read the files of a release; what is wrong with them is pushed on `problems`, and the answer is then of no use. */
export function readCedarFiles(library: CedarLibrary, files: readonly SourceFile[], problems: Problem[]): CedarFiles {
  const policies = new Map<string, CedarPolicy>()
  let count = 0
  let schema: { readonly file: SourceFile; readonly value: Cedar.Schema } | undefined
  let entities: { readonly file: SourceFile; readonly value: readonly Cedar.EntityJson[] } | undefined

  for (const file of files) {
    const name = posix.basename(file.path.replaceAll("\\", "/"))
    if (name.endsWith(".cedar")) count = readPolicies(library, file, count, policies, problems)
    else if (name.endsWith(".cedarschema") || name.endsWith(".cedarschema.json")) {
      if (schema !== undefined) problems.push({ where: file.path, message: "is a second schema", fix: "join them" })
      const value = name.endsWith(".json") ? readJson<Cedar.Schema>(file, problems) : file.text
      if (value !== null && tellFailure(library.checkParseSchema(value), file, problems)) schema = { file, value }
    } else if (name === "entities.json" || name.endsWith(".entities.json")) {
      if (entities !== undefined) problems.push({ where: file.path, message: "are more entities", fix: "join them" })
      const value = readJson<readonly Cedar.EntityJson[]>(file, problems)
      if (Array.isArray(value)) entities = { file, value }
      else if (value !== null) problems.push({ where: file.path, message: "must be a list of entities" })
    } else problems.push({ where: file.path, message: "is no file of Cedar by its name", fix: KINDS })
  }

  if (count === 0 && problems.length === 0) {
    const where = files.map(({ path }) => path).join(", ") || "files"
    problems.push({
      where,
      message: "there is no policy",
      fix: 'to deny everything say so: "forbid(principal, action, resource);"',
    })
  }
  if (entities !== undefined) {
    const call = { entities: [...entities.value], ...(schema !== undefined && { schema: schema.value }) }
    tellFailure(library.checkParseEntities(call), entities.file, problems)
  }
  if (schema !== undefined && problems.length === 0) validate(library, policies, schema.value, problems)
  return { policies, schema: schema?.value, entities: entities?.value ?? [] }
}

/** `before`: policies of the files before this one. Answers how many there are now. */
function readPolicies(
  library: CedarLibrary,
  file: SourceFile,
  before: number,
  policies: Map<string, CedarPolicy>,
  problems: Problem[],
): number {
  const parts = library.policySetTextToParts(file.text)
  if (!tellFailure(parts, file, problems) || parts.type !== "success") return before
  if (parts.policy_templates.length > 0) {
    problems.push({
      where: file.path,
      message: "has a template, which says nothing until it is linked",
      fix: "write the policies out",
    })
    return before
  }
  const total = before + parts.policies.length
  if (total > MAX_POLICIES) {
    problems.push({ where: file.path, message: `is one policy above ${MAX_POLICIES}`, fix: "write wider ones" })
    return total
  }
  // They come sorted by the names that Cedar gave them: policy0, policy1, policy10, policy2.
  const order = parts.policies.map((_, i) => i).sort((a, b) => (String(a) < String(b) ? -1 : 1))
  const inOrder: string[] = []
  parts.policies.forEach((text, i) => (inOrder[order[i]!] = text))
  inOrder.forEach((text, i) => {
    const answer = library.policyToJson(text)
    if (answer.type !== "success") return void tellFailure(answer, file, problems)
    const { effect, annotations = {} } = answer.json
    const id = readAnnotation("id", annotations, file, problems) ?? `policy${before + i}`
    const refuse = (message: string, fix: string): void =>
      void problems.push({ where: file.path, message: `policy \`${clip(id)}\`: ${message}`, fix })
    if (!ID.test(id)) refuse("`@id` is too long or has control characters", "use up to 128 characters")
    if (policies.has(id)) refuse("the `@id` is there twice", "rename one")
    const reason = readAnnotation("reason", annotations, file, problems)
    const outcome = readAnnotation(OUTCOME, annotations, file, problems)
    for (const key of Object.keys(annotations)) {
      if (key.startsWith("serin_") && key !== OUTCOME) refuse(`\`@${clip(key)}\` is unknown`, suggest(key, [OUTCOME]))
    }
    if (outcome !== undefined && outcome !== "escalate") {
      refuse(
        `\`@${OUTCOME}\` is ${JSON.stringify(clip(outcome))}`,
        "only escalate is known; permit and forbid say the rest",
      )
    } else if (outcome !== undefined && effect !== "permit") {
      refuse(`\`@${OUTCOME}("escalate")\` is on a forbid`, "write it on a permit of what a human should look at")
    }
    policies.set(id, { text, reason, escalates: outcome !== undefined })
  })
  return total
}

/** Undefined: it is not there. One without a text is a slip. */
function readAnnotation(
  key: string,
  annotations: Cedar.Annotations,
  file: SourceFile,
  problems: Problem[],
): string | undefined {
  if (!Object.hasOwn(annotations, key)) return undefined
  const value: unknown = annotations[key]
  if (typeof value === "string" && value !== "") return value
  problems.push({ where: file.path, message: `\`@${key}\` has no text`, fix: `write \`@${key}("…")\`` })
  return undefined
}

/** A policy that names what the schema does not have would never apply, or fail when it does. */
function validate(
  library: CedarLibrary,
  policies: ReadonlyMap<string, CedarPolicy>,
  schema: Cedar.Schema,
  problems: Problem[],
): void {
  const texts = Object.fromEntries([...policies].map(([id, { text }]) => [id, text]))
  const answer = library.validate({ schema, policies: { staticPolicies: texts } })
  const errors =
    answer.type === "failure"
      ? answer.errors.map((error) => ({ policyId: "all", error }))
      : [...answer.validationErrors]
  for (const { policyId, error } of errors) {
    problems.push({
      where: `policy ${policyId}`,
      message: error.message,
      ...(error.help !== null && { fix: error.help }),
    })
  }
}

function readJson<T>(file: SourceFile, problems: Problem[]): T | null {
  try {
    return JSON.parse(file.text) as T
  } catch (error) {
    problems.push({ where: file.path, message: `is no JSON: ${errorText(error)}` })
    return null
  }
}

type Answer =
  { readonly type: "success" } | { readonly type: "failure"; readonly errors: readonly Cedar.DetailedError[] }

/** True: it worked. */
function tellFailure(answer: Answer, file: SourceFile, problems: Problem[]): boolean {
  if (answer.type === "success") return true
  for (const { message, help, sourceLocations = [] } of answer.errors) {
    const [at] = sourceLocations
    const fix = help ?? at?.label ?? undefined
    problems.push({ where: placeOf(file, at?.start), message, ...(fix !== undefined && { fix }) })
  }
  return false
}

/** Cedar counts bytes. */
function placeOf({ path, text }: SourceFile, start: number | undefined): string {
  if (start === undefined) return path
  const lines = Buffer.from(text).subarray(0, start).toString().split("\n")
  return `${path}:${lines.length}:${(lines.at(-1) ?? "").length + 1}`
}
