/** Read a key of whatever it is. It must be the object's own: with a polluted prototype, an empty object would have it. */
export function own(value: unknown, key: string): unknown {
  const isObject = typeof value === "object" && value !== null
  return isObject && Object.hasOwn(value, key) ? (value as Readonly<Record<string, unknown>>)[key] : undefined
}

/** Tell a JSON object from everything else. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
