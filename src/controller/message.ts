import { isSerinError } from "../errors.js"

/** Say what went wrong, with its code where it has one. */
export const messageOf = (error: unknown): string =>
  isSerinError(error) ? `${error.code}: ${error.message}` : textOf(error)

/** Say what went wrong, in its own words alone. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
