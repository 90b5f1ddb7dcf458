/** Say why a request got no answer. `fetch` says "fetch failed", and keeps the reason to itself. */
export function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
  // Of a name with several addresses, none of which answers, there is a code and no message.
  if (inner instanceof AggregateError && "code" in inner) return String(inner.code)
  return inner instanceof Error ? inner.message : String(inner)
}
