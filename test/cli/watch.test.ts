import { rm } from "node:fs/promises"
import { join } from "node:path"
import { beforeEach, describe, expect, it, vi } from "vitest"
import type { Io } from "../../src/cli/io.js"
import { fakeTerminal, type FakeTerminal } from "./terminal.js"
import { advance, useBench } from "./harness.js"
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
    expect(docs.map(({ exitCode }) => exitCode)).toEqual([12, 5])
  })

  it("ends at once when it was told to before it began", async () => {
    await bench().serin("start")
    expect(await watching().end()).toBe(0)
  })
})

describe("serin watch on a terminal", () => {
  const onTerminal = (terminal: FakeTerminal, env: Io["env"] = {}) => {
    const ended = new AbortController()
    const io = { isTTY: true, stdout: terminal, env: { USER: "ana", ...env }, signal: ended.signal }
    const size = () => ({ columns: terminal.columns, rows: terminal.rows })
    const done = bench().serinWith({ ...io, terminal: { size, onResize: terminal.onResize } }, "watch")
    return {
      /** Let time pass until this stands on the screen. */
      shows: (text: string) =>
        vi.waitFor(
          () => {
            bench().clock.advance(1000)
            expect(terminal.text()).toContain(text)
          },
          { timeout: 5000, interval: 10 },
        ),
      async end(): Promise<number> {
        ended.abort()
        return (await done).code
      },
      done,
    }
  }

  /** Under way at 5 %, held, with a verdict on two criteria: one passes, the other is on its way. */
  async function underWay(): Promise<void> {
    await bench().serin("start", "--reason", "the new limit")
    await advance(bench(), verdictOf("pass"))
    bench().clock.advance(60_000)
    await bench().serin("pause", "--by", "bo", "--reason", "look at the refunds")
    const base = verdictOf("pass")
    const [one] = base.criteria
    const criteria = [
      { ...one!, criterion: "newly_denied_rate_max", max: 0.02, estimate: 0.004, lower: 0.001, upper: 0.011 },
      {
        ...one!,
        criterion: "newly_allowed_rate_max",
        result: "inconclusive",
        max: 0,
        estimate: 0,
        lower: 0,
        upper: 0.003,
      },
    ] as const
    const pairs = [
      [900, 40, 0, 0],
      [0, 50, 0, 0],
      [0, 0, 10, 0],
      [0, 0, 0, 0],
    ]
    const latency = { of: "pairs", stable: [1, 2, 3, 4, 20, 30], canary: [1.5, 2, 3, 4, 22, 30] }
    const verdict = { ...base, criteria, sessions: { stable: 1200, canary: 60, paired: 400 } }
    await bench().report({ verdict, by: "host/1", figures: { pairs, pairsAfter: 0, latency } } as never)
  }

  it("shows arms, criteria on the way to their limits, ramp, holds, events and what to do, within 80 columns", async () => {
    await underWay()
    const terminal = fakeTerminal(80, 30)
    const watch = onTerminal(terminal, { NO_COLOR: "1" })
    await watch.shows("refund-agent")
    const text = terminal.text()
    expect(terminal.lines()[0]).toMatch(/^refund-agent {2}canary at 5 % {2}1\.4\.0 → 1\.5\.0 {2}judged \d+s ago$/)
    expect(text).toContain("ramp    shadow → [5 %] → 25 % → 50 % → 100 %")
    expect(text).toMatch(/hold {4}paused for .*: look at the refunds/)
    expect(text).toContain("next    `serin resume` lifts the pause")
    expect(text).toMatch(/stable +1,200 /)
    expect(text).toMatch(/canary +60 /)
    // Name, result, bar with estimate, bound and limit, and the numbers: without a colour.
    expect(text).toMatch(/^newly_denied_rate_max +pass +\[ *-+o-+ +\| +\] 0\.4 % ≤1\.1 % \/ 2 %$/m)
    expect(text).toMatch(/^newly_allowed_rate_max +inconclusive +\[.*\] 0 % ≤0\.3 % \/ 0 %$/m)
    expect(text).toMatch(/what happened, newest first\n.*pause +bo +look at the refunds\n.*advance/)
    expect(terminal.lines().every((line) => line.length <= 80)).toBe(true)
    expect(terminal.unknown).toEqual([])
    await watch.end()
  })

  it("takes a screen of its own without a cursor, and gives both back with where it stood last", async () => {
    await bench().serin("start")
    const terminal = fakeTerminal(80, 24)
    terminal.write("$ serin watch\r\n")
    const watch = onTerminal(terminal)
    await watch.shows("in shadow")
    expect({ alternate: terminal.alternate, cursor: terminal.cursor }).toEqual({ alternate: true, cursor: false })
    expect(terminal.text()).not.toContain("$ serin watch")
    expect(await watch.end()).toBe(0)
    expect({ alternate: terminal.alternate, cursor: terminal.cursor }).toEqual({ alternate: false, cursor: true })
    expect(terminal.lines()[0]).toBe("$ serin watch")
    expect(terminal.text()).toContain("refund-agent: in shadow, revision 2")
  })

  it("gives the terminal back when it fails", async () => {
    await bench().serin("start")
    const terminal = fakeTerminal(80, 24)
    const watch = onTerminal({
      ...terminal,
      write(text) {
        terminal.write(text)
        if (text.includes("in shadow")) throw new Error("the pen broke")
      },
      columns: 80,
      rows: 24,
    })
    const { code, err } = await watch.done
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining("the pen broke") })
    expect({ alternate: terminal.alternate, cursor: terminal.cursor }).toEqual({ alternate: false, cursor: true })
  })

  it("draws a frame in one write, follows each change, and the size of the terminal", async () => {
    await underWay()
    const terminal = fakeTerminal(80, 30)
    const watch = onTerminal(terminal)
    await watch.shows("paused")
    const before = terminal.writes
    bench().clock.advance(1000)
    await vi.waitFor(() => expect(terminal.writes).toBeGreaterThan(before))
    terminal.resize(140, 18)
    await watch.shows("newly_denied_rate_max")
    const wide = terminal.lines().find((line) => line.startsWith("newly_denied_rate_max")) ?? ""
    expect(wide.length).toBeGreaterThan(95)
    expect(terminal.lines()[0]).toContain("refund-agent")
    terminal.resize(40, 10)
    await watch.shows("refund-agent")
    expect(terminal.lines()).toHaveLength(10)
    await bench().serin("kill")
    await watch.shows("killed")
    expect(terminal.unknown).toEqual([])
    await watch.end()
  })

  it("says what is wrong with a state that it cannot read, and goes on", async () => {
    await bench().serin("start")
    const terminal = fakeTerminal(100, 24)
    const watch = onTerminal(terminal)
    await watch.shows("in shadow")
    await bench().writeRaw("{")
    await watch.shows("STATE_INVALID: state is not JSON that can be read")
    expect(terminal.text()).not.toContain("in shadow")
    await watch.end()
  })
})
