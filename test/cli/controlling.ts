import { expect, vi } from "vitest"
import type { useBench } from "./harness.js"

/** `serin controller` while it runs; `end` is Ctrl-C. */
export function controllingOn(
  bench: ReturnType<typeof useBench>,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const end = new AbortController()
  let out = ""
  const stdout = { write: (text: string) => (out += text) }
  const io = { signal: end.signal, stdout, env: { USER: "ana", ...env } }
  const done = bench().serinWith(io, "controller", ...argv)
  return {
    out: () => out,
    until: (text: string) =>
      vi.waitFor(
        () => {
          // Slowly: on a busy machine the clock must not run ahead of the disk, past the deadlines of what is asked of it.
          bench().clock.advance(100)
          expect(out).toContain(text)
        },
        { timeout: 10_000, interval: 20 },
      ),
    async end(): Promise<number> {
      end.abort()
      bench().clock.advance(0)
      return (await done).code
    },
  }
}
