/** Every key that an interface has, so that a list of them cannot miss one. */
export type KeysOf<T> = Readonly<Record<keyof T, true>>

/**
 * Refuse an option that nobody reads: misspelt, it would be a default that nobody asked for. An `undefined` asks for nothing.
 * Throws `TypeError` that names the key and those that there are.
 */
export function refuseUnknown(of: string, options: unknown, known: Readonly<Record<string, true>>): void {
  if (options === undefined) return
  if (typeof options !== "object" || options === null) {
    const got = typeof options === "string" ? JSON.stringify(options.slice(0, 60)) : String(options)
    throw new TypeError(`${of} takes its options as an object, got ${got}`)
  }
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(known, key)) continue
    throw new TypeError(`${of} has no option ${key}; its options are ${Object.keys(known).join(", ")}`)
  }
}
