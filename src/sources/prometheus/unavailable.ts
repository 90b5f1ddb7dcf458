import { SerinError } from "../../errors.js"

/** Make the error of a source that does not answer, or not with evidence. */
export const unavailable = (message: string, cause?: unknown): SerinError =>
  new SerinError("EVIDENCE_UNAVAILABLE", message, { cause })
