import { nearest } from "./nearest.js"

/** Every key that an interface has, so that a list of them cannot miss one. */
export type KeysOf<T> = Readonly<Record<keyof T, true>>

/**
 * Refuse an option that nobody reads: misspelt, it would be a default that nobody asked for. An `undefined` asks for nothing.
 * Throws `TypeError` that names the key, the one that it may be meant to be, and all that there are.
 */
export function refuseUnknown(of: string, options: unknown, known: Readonly<Record<string, true>>): void {
  if (options === undefined) return
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${of} takes its options as an object, got ${shown(options)}`)
  }
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(known, key)) continue
    const names = Object.keys(known)
    const near = nearest(key, names)
    const hint = near === undefined ? "" : `did you mean ${near}? `
    throw new TypeError(`${of} has no option ${key}; ${hint}its options are ${names.join(", ")}`)
  }
}

/**
 * Refuse an object of the host's that lacks what will be called: it would fail later, and far from the mistake. Throws `TypeError` that
 * names the option, what is missing, and `fix`.
 */
export function requireMethods(option: string, value: unknown, methods: readonly string[], fix: string): void {
  const isObject = (typeof value === "object" && value !== null) || typeof value === "function"
  const missing = isObject
    ? methods.filter((name) => typeof (value as Readonly<Record<string, unknown>>)[name] !== "function")
    : methods
  if (missing.length === 0) return
  const got = isObject ? `an object without ${missing.join(", ")}` : shown(value)
  throw new TypeError(`${option} must have the methods ${methods.join(", ")}, got ${got}; ${fix}`)
}

const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : String(value)
