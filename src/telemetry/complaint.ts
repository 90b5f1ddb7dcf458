import { diag } from "@opentelemetry/api"

/** Tell of a failure in what the host brought: its provider, its instruments, its logger. Never throws. */
export type Complain = (what: string, error: unknown) => void

/** Complain to OpenTelemetry's own diagnostics, once for each `what`: some of it fails on every call. */
export function complainOnce(): Complain {
  const told = new Set<string>()
  return (what, error) => {
    if (told.has(what)) return
    told.add(what)
    try {
      diag.warn(`serin: ${what}, and goes on without; told once`, error)
    } catch {
      // Nobody is left to tell.
    }
  }
}
