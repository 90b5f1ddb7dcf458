/** One action that the host asks about. The host's own type passes through; only `action` is looked at by serin. */
export interface Call {
  /** What the agent wants to do: a tool's name, for example `cancel_reservation`. */
  readonly action: string
  readonly resource?: unknown
  readonly input?: unknown
  readonly principal?: unknown
}
