/** Read `sessionId`, the runtime's own id of a session by custom, from what a host passes on to its tools; undefined: it has none. */
export function sessionIdOf(context: unknown): string | undefined {
  if (typeof context !== "object" || context === null || !("sessionId" in context)) return undefined
  return typeof context.sessionId === "string" ? context.sessionId : undefined
}
