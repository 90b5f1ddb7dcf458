/** A value as Cedar's JSON form has it. */
export type CedarJson = string | boolean | number | readonly CedarJson[] | { readonly [key: string]: CedarJson }

/** Name of one entity. */
export interface CedarUid {
  readonly type: string
  readonly id: string
}

/** A value of Cedar that JSON has no form for, made by `cedarEntity` or `cedarExtension`. */
export interface CedarEscape {
  readonly escape: "entity" | "extension"
}

/** Deeper ones exhaust the stack. */
const MAX_DEPTH = 64
const MAX_VALUES = 10_000

/** Escapes that were made here: no text of a call can make one. */
const escapes = new WeakMap<object, CedarJson>()

/** Refer to an entity in a context or an attribute. */
export function cedarEntity(type: string, id: string): CedarEscape {
  return escapeOf("entity", { __entity: { type: needText("type", type), id: needText("id", id) } })
}

/** Make a value of an extension, such as `cedarExtension("decimal", "0.25")`: Cedar has no fractions of its own. */
export function cedarExtension(name: "decimal" | "ip" | "datetime" | "duration", argument: string): CedarEscape {
  return escapeOf("extension", { __extn: { fn: needText("name", name), arg: needText("argument", argument) } })
}

/**
 * Make Cedar's JSON of a value, or throw a `TypeError` that names what Cedar cannot say and where: it is an error of the evaluation,
 * since a policy that does not see a value might decide otherwise. A field that is undefined is absent, as in JSON.
 */
export function cedarValue(value: unknown, where: string): CedarJson {
  let values = 0

  function convert(value: unknown, where: string, depth: number): CedarJson {
    if (typeof value === "string") return wellFormed(value, where)
    if (typeof value === "boolean") return value
    if (typeof value === "number" || typeof value === "bigint") return whole(value, where)
    if (typeof value !== "object" || value === null) throw cannot(where, value === null ? "null" : typeof value)
    const escape = escapes.get(value)
    if (escape !== undefined) return escape
    if (depth >= MAX_DEPTH || ++values > MAX_VALUES) {
      throw new TypeError(
        `${where} is nested deeper than ${MAX_DEPTH}, or has more than ${MAX_VALUES} lists and records`,
      )
    }
    // `Array.from` reads holes, which `map` would keep.
    if (Array.isArray(value)) return Array.from(value, (one, i) => convert(one, `${where}[${i}]`, depth + 1))
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      throw cannot(where, `an instance of ${value.constructor?.name ?? "a class"}`)
    }
    const record: Record<string, CedarJson> = {}
    for (const [key, one] of Object.entries(value)) {
      const at = `${where}.${key}`
      // Attack: arguments of a tool, written by a model, that pass for an entity or an extension. `__proto__` would set no field.
      if (key.startsWith("__")) throw new TypeError(`${at}: names of fields must not begin with __; see cedarEntity()`)
      if (one !== undefined) record[wellFormed(key, at)] = convert(one, at, depth + 1)
    }
    return record
  }

  return convert(value, where, 0)
}

function escapeOf(escape: CedarEscape["escape"], json: CedarJson): CedarEscape {
  const made: CedarEscape = Object.freeze({ escape })
  escapes.set(made, json)
  return made
}

/** Cedar's `Long` has 64 bits, of which JSON's numbers carry 53. */
function whole(value: number | bigint, where: string): number {
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new TypeError(
    `${where} is ${String(value)}, and Cedar has whole numbers alone, here up to 2^53; count in a smaller unit, or use cedarExtension("decimal", …)`,
  )
}

function wellFormed(text: string, where: string): string {
  if (/\p{Surrogate}/u.test(text)) throw new TypeError(`${where} is no well-formed text`)
  return text
}

function cannot(where: string, got: string): TypeError {
  return new TypeError(`${where} is ${got}, which Cedar cannot say; leave the field out, or map it with \`request\``)
}

function needText(name: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`${name} must be a text, got ${typeof value}`)
  return wellFormed(value, name)
}
