/** Say what went wrong, in the error's own words. Never throws, whatever was thrown. */
export function errorText(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error)
  } catch {
    return "what was thrown has no text"
  }
}

/** Say why a request got no answer. `fetch` says "fetch failed", and keeps the reason to itself. */
export function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
  // Of a name with several addresses, none of which answers, there is a code and no message.
  if (inner instanceof AggregateError && "code" in inner) return String(inner.code)
  return errorText(inner)
}
