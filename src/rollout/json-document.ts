import { z } from "zod"
import type { Problem, SerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"

const MAX_PROBLEMS = 20

export interface DocumentKind<T> {
  /** What messages call it: `state`. */
  readonly noun: string
  /** What is larger is refused before it is parsed. UTF-8 bytes. */
  readonly maxBytes: number
  readonly schema: z.ZodType<T>
  /** Make the error that is thrown. */
  readonly invalid: (problems: readonly Problem[], cause?: unknown) => SerinError
}

/**
 * Read a JSON document from a world that may be hostile: bounded before it is parsed, then as strict as its schema.
 * Throws what `invalid` makes of the first twenty problems, which name the fields.
 */
export function parseDocument<T>(text: string, { noun, maxBytes, schema, invalid }: DocumentKind<T>): T {
  if (isLonger(text, maxBytes)) throw invalid([{ where: noun, message: `is over ${maxBytes} bytes long` }])
  let value: unknown
  try {
    value = JSON.parse(text, (key, member: unknown) => {
      // A key like any other until somebody copies the object.
      if (key === "__proto__") throw new SyntaxError(`\`__proto__\` is no key of a ${noun}`)
      return member
    })
  } catch (cause) {
    const message = errorText(cause)
    throw invalid([{ where: noun, message: `is not JSON that can be read: ${message}` }], cause)
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.slice(0, MAX_PROBLEMS).map(({ path, message }) => {
    return { where: path.length === 0 ? noun : path.join("."), message }
  })
  throw invalid(problems)
}

/** A unit of UTF-16 is three bytes at the most, so texts of a usual size need not be encoded to be measured. */
const isLonger = (text: string, bytes: number): boolean =>
  text.length * 3 > bytes && (text.length > bytes || new TextEncoder().encode(text).length > bytes)

/** Exactly the keys of `T`: a key that is added to the type and forgotten here does not compile. */
export const exactly = <T extends object>(shape: { readonly [K in keyof T]-?: z.ZodType<T[K]> }): z.ZodType<T> =>
  z.strictObject(shape) as unknown as z.ZodType<T>
