import { rm } from "node:fs/promises"
import { join } from "node:path"
import { beforeEach, describe, expect, it, vi } from "vitest"
import type { Io } from "../../src/cli/io.js"
import { useBench } from "./harness.js"
import { verdictOf } from "../rollout/states.js"

const bench = useBench()

beforeEach(async () => void (await bench().serin("init")))

/** `serin watch` until it is ended; what it wrote so far. */
function watching(io: Partial<Io> = {}, ...argv: string[]) {
  const ended = new AbortController()
  let out = ""
  const done = bench().serinWith(
    { signal: ended.signal, stdout: { write: (text) => (out += text) }, ...io },
    "watch",
    ...argv,
  )
  return {
    out: () => out,
    /** Let time pass until the text is there: a look at the store takes real time. */
    until: (text: string) =>
      vi.waitFor(
        () => {
          bench().clock.advance(1000)
          expect(out).toContain(text)
        },
        { timeout: 5000, interval: 10 },
      ),
    async end(): Promise<number> {
      ended.abort()
      return (await done).code
    },
  }
}

describe("serin watch", () => {
  it("writes a line for each change where there is no terminal, and ends with 0", async () => {
    const watch = watching()
    await watch.until("refund-agent: no state yet")
    await bench().serin("start")
    await watch.until("refund-agent: in shadow, revision 2 (start by ana), no verdict, no process is judging")
    await bench().report({ verdict: verdictOf("inconclusive") })
    await watch.until("revision 2 (start by ana), inconclusive")
    await bench().serin("kill")
    await watch.until("killed: stable serves every session, revision 3 (kill by ana)")
    expect(await watch.end()).toBe(0)
    const lines = watch.out().split("\n").slice(0, -1)
    expect(lines.every((line) => /^2026-01-01T00:\d\d:\d\dZ refund-agent: /.test(line))).toBe(true)
    expect(new Set(lines.map((line) => line.slice(21))).size).toBe(lines.length)
  })

  it("follows a hint of the store before the next second is over", async () => {
    await bench().serin("start")
    const watch = watching()
    await watch.until("in shadow")
    await bench().serin("kill")
    await vi.waitFor(() => expect(watch.out()).toContain("killed"), { timeout: 5000 })
    await watch.end()
  })

  it("goes on over a state that cannot be read, and one that is gone", async () => {
    await bench().serin("start")
    const watch = watching()
    await watch.until("in shadow")
    await bench().writeRaw("{")
    await watch.until("STATE_INVALID: state is not JSON that can be read")
    await rm(join(bench().cwd, "safety/state"), { recursive: true })
    await watch.until("STORE_UNAVAILABLE")
    expect(await watch.end()).toBe(0)
  })

  it("writes a document for each change with --json", async () => {
    await bench().serin("start")
    const watch = watching({ isTTY: true }, "--json")
    await watch.until(`"phase":"shadow"`)
    await bench().serin("kill")
    await watch.until(`"phase":"killed"`)
    await watch.end()
    const docs = watch
      .out()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { exitCode: number })
    expect(docs.map(({ exitCode }) => exitCode)).toEqual([0, 5])
  })

  it("redraws in place on a terminal, no line wider than it", async () => {
    await bench().serin("start", "--reason", "x".repeat(300))
    const watch = watching({ isTTY: true, columns: 60, env: { NO_COLOR: "1" } })
    await watch.until("in shadow")
    await bench().serin("kill")
    await watch.until("killed")
    await watch.end()
    // oxlint-disable-next-line no-control-regex
    const frames = watch.out().split(/\u001b\[\d+A\r\u001b\[J|^\r\u001b\[J/)
    const ups = [...watch.out().matchAll(/\[(\d+)A/g)].map(([, height]) => Number(height))
    expect(frames.length).toBeGreaterThan(2)
    for (const frame of frames) for (const line of frame.split("\n")) expect(line.length).toBeLessThan(60)
    expect(ups).toEqual(frames.slice(1, -1).map((frame) => frame.split("\n").length - 1))
  })

  it("ends at once when it was told to before it began", async () => {
    await bench().serin("start")
    expect(await watching().end()).toBe(0)
  })
})
