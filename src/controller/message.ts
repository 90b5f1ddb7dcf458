import { isSerinError } from "../errors.js"

/** Say what went wrong, with its code where it has one. */
export function messageOf(error: unknown): string {
  if (isSerinError(error)) return `${error.code}: ${error.message}`
  return error instanceof Error ? error.message : String(error)
}
