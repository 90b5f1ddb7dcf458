import type { Problem } from "../errors.js"
import type { ConfigCheck, Misfit } from "./config-schema.js"
import { clip } from "./problems.js"
import type { StandardSchema } from "./ports.js"

const MAX_DEPTH = 64
/** What a host reads of a config at each call is small; what is not should be a file of its own. */
const MAX_VALUES = 10_000
const FIX = "change the config, or its schema"

/** Check a config that a release made in code carries, and freeze it to its depth. */
export function checkConfig(config: unknown, schema: unknown): Problem[] {
  if (config === undefined) {
    return schema === undefined
      ? []
      : [{ where: "config", message: "is missing, but there is a `configSchema`", fix: FIX }]
  }
  const problems: Problem[] = []
  const check = schema === undefined ? null : compileSchema(schema, problems)
  const plain = problemsOfPlain(config)
  if (plain.length > 0 || problems.length > 0) return [...plain, ...problems]
  for (const { path, message } of check?.(config) ?? []) {
    const where = `config${pathOf(path)}`
    problems.push({ where, message: `${message}, got ${show(valueAt(config, path))}`, fix: FIX })
  }
  if (problems.length === 0) freeze(config)
  return problems
}

/** Read the value at a path; undefined where there is none. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key], value)
}

export function pathOf(path: readonly PropertyKey[]): string {
  return path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("")
}

export function show(value: unknown): string {
  return value === undefined ? "nothing" : clip(JSON.stringify(value) ?? typeof value)
}

/** Freeze plain data to its depth: what was checked stays what it was. */
export function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value)
    for (const one of Object.values(value)) freeze(one)
  }
  return value
}

function compileSchema(schema: unknown, problems: Problem[]): ConfigCheck | null {
  const isObject = (typeof schema === "object" && schema !== null) || typeof schema === "function"
  const standard = isObject ? (schema as Partial<StandardSchema>)["~standard"] : undefined
  if (typeof standard?.validate === "function") return (value) => runStandard(standard, value)
  const fix = "pass one of zod, valibot or arktype; zod makes one of a JSON Schema: z.fromJSONSchema(schema)"
  const message = `must be a schema of a library that speaks Standard Schema, got ${show(schema)}`
  problems.push({ where: "configSchema", message, fix })
  return null
}

/** A schema of a library: Standard Schema V1. It says what does not fit; what it makes of the config is not used. */
function runStandard(standard: StandardSchema["~standard"], value: unknown): readonly Misfit[] {
  try {
    const result = standard.validate(structuredClone(value))
    if (result instanceof Promise) {
      result.catch(() => {})
      return [{ path: [], message: "the schema answers later, and a release is checked at once" }]
    }
    return (result.issues ?? []).map(({ message, path = [] }) => ({
      path: path.map((segment) => (typeof segment === "object" ? segment.key : segment)),
      message,
    }))
  } catch (error) {
    return [
      { path: [], message: `the schema failed: ${error instanceof Error ? error.message : "no error was thrown"}` },
    ]
  }
}

/** Plain data is what JSON can say: no instance, no function, no getter, no cycle. */
function problemsOfPlain(config: unknown): Problem[] {
  const problems: Problem[] = []
  let values = 0

  function visit(value: unknown, where: string, above: readonly object[]): void {
    const refuse = (what: string): void =>
      void problems.push({ where, message: `must be plain data, got ${what}`, fix: "write it as JSON could" })
    if (value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value)) return
    if (typeof value !== "object") return refuse(typeof value === "number" ? String(value) : `a ${typeof value}`)
    if (above.includes(value)) return refuse("a cycle")
    if (above.length >= MAX_DEPTH || ++values > MAX_VALUES) {
      if (problems.length === 0) refuse(`more than ${MAX_DEPTH} levels, or ${MAX_VALUES} lists and mappings`)
      return
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) {
      return refuse(`an instance of ${value.constructor?.name ?? "a class"}`)
    }
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
      const at = Array.isArray(value) ? `${where}[${key}]` : `${where}.${key}`
      if (Array.isArray(value) && key === "length") continue
      if (key === "__proto__") problems.push({ where: at, message: "must not be a key", fix: "choose another name" })
      else if (!("value" in descriptor)) problems.push({ where: at, message: "must be a value, got a getter" })
      else visit(descriptor.value, at, [...above, value])
    }
  }

  visit(config, "config", [])
  return problems
}
