import { isSerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"

/** Say what went wrong, with its code where it has one. */
export const messageOf = (error: unknown): string =>
  isSerinError(error) ? `${error.code}: ${error.message}` : errorText(error)
