import { z } from "zod"
import type { Problem } from "../errors.js"
import { isRecord } from "../model/record.js"
import { clip, suggest } from "./problems.js"

/** One thing in a config that its schema does not take. */
export interface Misfit {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** Says what in a value does not fit; nothing: it does. */
export type ConfigCheck = (value: unknown) => readonly Misfit[]

const ANNOTATIONS = ["$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"]
const DIALECT = "https://json-schema.org/draft/2020-12/schema"
const FORMATS = ["email", "uri", "uuid", "date-time", "date", "time", "duration", "hostname", "ipv4", "ipv6"]

type Kind = "number" | "count" | "text" | "flag" | "schema" | "schemas" | "names"
/** Keywords of each type, with what they hold. What is not here would be passed over by the conversion, and so is refused. */
const KEYWORDS: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  null: {},
  boolean: {},
  string: { minLength: "count", maxLength: "count", pattern: "text", format: "text" },
  number: number(),
  integer: number(),
  array: { items: "schema", minItems: "count", maxItems: "count", uniqueItems: "flag" },
  object: {
    properties: "schemas",
    required: "names",
    additionalProperties: "schema",
    minProperties: "count",
    maxProperties: "count",
  },
}
const TYPES = Object.keys(KEYWORDS)
const MAX_DEPTH = 64

/**
 * Make a check of a JSON Schema (2020-12). Null: it has a keyword that would not be kept, or one in the wrong place, which is
 * pushed on `problems`. A keyword that is passed over is a limit that nobody keeps.
 */
export function compileJsonSchema(schema: unknown, where: string, problems: Problem[]): ConfigCheck | null {
  const before = problems.length
  const plain = readSchema(schema, { where, at: "", depth: 0, problems })
  if (problems.length > before) return null
  try {
    const compiled = z.fromJSONSchema(plain as Parameters<typeof z.fromJSONSchema>[0])
    return (value) => {
      const parsed = compiled.safeParse(value)
      return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => ({ path, message }))
    }
  } catch (error) {
    problems.push({ where, message: error instanceof Error ? error.message : "is no schema" })
    return null
  }
}

interface Place {
  readonly where: string
  /** JSON pointer. */
  readonly at: string
  readonly depth: number
  readonly problems: Problem[]
}

/** Copy a schema without its annotations: of them `default` would be filled in, where JSON Schema only tells of it. */
function readSchema(schema: unknown, place: Place): unknown {
  if (typeof schema === "boolean") return schema
  const refuse = (message: string, fix?: string, key?: string): void => {
    const at = `${place.at}${key === undefined ? "" : `/${key}`}` || "/"
    place.problems.push({ where: `${place.where}#${at}`, message, ...(fix !== undefined && { fix }) })
  }
  if (!isRecord(schema)) return refuse(`must be a schema, got ${clip(JSON.stringify(schema) ?? "nothing")}`)
  if (place.depth > MAX_DEPTH) return refuse("is nested too deeply to be read")
  const below = (value: unknown, key: string): unknown =>
    readSchema(value, { ...place, at: `${place.at}/${key}`, depth: place.depth + 1 })

  const root = place.depth === 0
  const rules = Object.entries(schema).filter(([key]) => !ANNOTATIONS.includes(key) && !(root && key === "$defs"))
  const copy: Record<string, unknown> = {}
  if (root && schema["$schema"] !== undefined && schema["$schema"] !== DIALECT) {
    refuse("is another dialect of JSON Schema", `write "${DIALECT}", or leave it out`, "$schema")
  }
  if (root && schema["$defs"] !== undefined) copy["$defs"] = readSchemas(schema["$defs"], below, refuse, "$defs")

  const alone = ["$ref", "const", "enum", "anyOf", "oneOf", "allOf"].find((key) => Object.hasOwn(schema, key))
  if (alone !== undefined) {
    const other = rules.find(([key]) => key !== alone)
    if (other !== undefined)
      refuse(`\`${other[0]}\` beside \`${alone}\` is not kept`, "put both into `allOf`", other[0])
    copy[alone] = readAlone(alone, schema[alone], below, refuse)
    return copy
  }
  if (rules.length === 0) return copy

  const types = [schema["type"]].flat()
  const known = types.filter((type) => typeof type === "string" && TYPES.includes(type)) as string[]
  if (known.length === 0 || known.length < types.length) {
    refuse("must have a `type` that is known, or its other keywords are not kept", suggest("", TYPES))
    return copy
  }
  const keywords = Object.assign({}, ...known.map((type) => KEYWORDS[type])) as Record<string, Kind>
  copy["type"] = schema["type"]
  for (const [key, value] of rules) {
    if (key === "type") continue
    const kind = Object.hasOwn(keywords, key) ? keywords[key] : undefined
    if (kind === undefined)
      refuse(`\`${clip(key)}\` is not supported for ${known.join(", ")}`, suggest(key, Object.keys(keywords)), key)
    else copy[key] = readKeyword(kind, key, value, below, refuse)
  }
  // Without it, the conversion passes over the other keywords of a list.
  if (known.includes("array")) copy["items"] ??= true
  const missing = [copy["required"] ?? []]
    .flat()
    .filter((name) => !Object.hasOwn((copy["properties"] as object) ?? {}, String(name)))
  if (missing.length > 0)
    refuse(`\`required\` names \`${clip(String(missing[0]))}\`, which \`properties\` has not`, "add it there")
  if (copy["format"] !== undefined && !FORMATS.includes(String(copy["format"]))) {
    refuse(
      `\`format\` is the unknown \`${clip(String(copy["format"]))}\``,
      suggest(String(copy["format"]), FORMATS),
      "format",
    )
  }
  return copy
}

type Below = (value: unknown, key: string) => unknown
type Refuse = (message: string, fix?: string, key?: string) => void

function readAlone(key: string, value: unknown, below: Below, refuse: Refuse): unknown {
  if (key === "$ref") {
    if (typeof value !== "string" || !/^#\/\$defs\/[^/]+$/.test(value))
      refuse("must be a name in `#/$defs/`", undefined, key)
    return value
  }
  if (key === "const" || key === "enum") {
    const values: unknown = key === "enum" ? value : [value]
    const isPlain =
      Array.isArray(values) && values.length > 0 && values.every((one) => !isRecord(one) && !Array.isArray(one))
    if (!isPlain) refuse("must be texts, numbers, booleans or null", undefined, key)
    return value
  }
  if (!Array.isArray(value) || value.length === 0) return refuse("must be a list of schemas", undefined, key)
  return value.map((one, i) => below(one, `${key}/${i}`))
}

function readKeyword(kind: Kind, key: string, value: unknown, below: Below, refuse: Refuse): unknown {
  if (kind === "schema") return below(value, key)
  if (kind === "schemas") return readSchemas(value, below, refuse, key)
  const isRight = {
    number: typeof value === "number" && Number.isFinite(value),
    count: Number.isSafeInteger(value) && (value as number) >= 0,
    text: typeof value === "string",
    flag: typeof value === "boolean",
    names: Array.isArray(value) && value.every((name) => typeof name === "string"),
  }[kind]
  const wanted = {
    number: "a number",
    count: "a whole number from 0 on",
    text: "a text",
    flag: "true or false",
    names: "a list of names",
  }
  if (!isRight) refuse(`must be ${wanted[kind]}, got ${clip(JSON.stringify(value) ?? "nothing")}`, undefined, key)
  return value
}

function readSchemas(value: unknown, below: Below, refuse: Refuse, key: string): unknown {
  if (!isRecord(value)) return refuse("must be a mapping of names to schemas", undefined, key)
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, below(one, `${key}/${name}`)]))
}

function number(): Readonly<Record<string, Kind>> {
  const names = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
  return Object.fromEntries(names.map((name) => [name, "number"]))
}
