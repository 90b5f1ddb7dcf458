import type { Clock } from "../model/clock.js"
import { isRecord } from "../model/record.js"
import { readBody } from "../serve/body.js"
import { refuse } from "./answer.js"

const MAX_BODY = 16 * 1024

/**
 * Read the body of a POST: a JSON object or, with `takesForm`, the fields of a form; or the answer that refuses it. A page elsewhere could send
 * a form as well, so it is for those who bring their own secret.
 */
export async function readFields(
  request: Request,
  clock: Clock,
  takesForm: boolean,
): Promise<Readonly<Record<string, unknown>> | Response> {
  const [type = ""] = (request.headers.get("content-type") ?? "").toLowerCase().split(";")
  const isForm = takesForm && type.trim() === "application/x-www-form-urlencoded"
  if (!isForm && type.trim() !== "application/json") {
    return refuse(415, "UNSUPPORTED_MEDIA_TYPE", "the body must be application/json")
  }
  const body = await readBody(request, MAX_BODY, clock)
  if ("refused" in body) return body.refused
  const value = isForm ? Object.fromEntries(new URLSearchParams(body.text)) : parsed(body.text)
  return isRecord(value) ? value : refuse(422, "INVALID", "the body must be a JSON object")
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
