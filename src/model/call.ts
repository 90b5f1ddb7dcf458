/** One action that the host asks about. The host's own type passes through; only `action` is looked at by serin. */
export interface Call {
  /** What the agent wants to do: a tool's name, for example `cancel_reservation`. */
  readonly action: string
  readonly resource?: unknown
  readonly input?: unknown
  readonly principal?: unknown
}

const MAX_ACTION = 128

/** Read the action of a call for a label, cut to 128 characters: a call is the host's, so it may be anything. */
export function actionOf(call: unknown): string {
  try {
    const { action } = call as Partial<Call>
    return typeof action === "string" ? action.slice(0, MAX_ACTION) : "unknown"
  } catch {
    return "unknown"
  }
}
