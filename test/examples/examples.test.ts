import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { demo as playDemo } from "../../examples/demo/demo.js"
import { sharedIsThere, sharedPath, skipNote } from "../shared.js"

const MINUTE = 60_000

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** What an example prints, without a process for each. */
async function printedBy(play: () => Promise<number>): Promise<Ended> {
  const printed = { log: "", error: "" }
  const spies = (["log", "error"] as const).map((to) =>
    vi.spyOn(console, to).mockImplementation((text: unknown) => void (printed[to] += `${String(text)}\n`)),
  )
  try {
    return { code: await play(), stdout: printed.log, stderr: printed.error }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

const demo = (...args: string[]): Promise<Ended> => printedBy(() => playDemo(args))

/** The summary's line on an act. */
function summaryOf({ stdout }: Ended, act: number): string {
  return stdout.split("\n").findLast((line) => line.startsWith(`act ${act}: `)) ?? ""
}

const OUTCOMES = [
  /^act 1: rolled back on (newly_denied_rate|deny_rate_delta)_max \(cancel-known-id\)/,
  /^act 2: rolled back on newly_allowed_rate_max \(certificate-limit\)/,
  /^act 3: promoted, [\d,]+ sessions, [1-9][\d,]* on the canary$/,
]

describe("the demo", () => {
  let folder: string
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "serin-examples-"))))
  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function calls(...lines: readonly unknown[]): Promise<string> {
    const path = join(folder, `${lines.length}.jsonl`)
    await writeFile(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"))
    return path
  }

  it("rolls two bad canaries back, and prints the same for the same seed", { timeout: MINUTE }, async () => {
    for (const act of [1, 2]) {
      const [first, again] = [await demo("--act", String(act)), await demo("--seed", "1", "--act", String(act))]
      expect(summaryOf(first, act)).toMatch(OUTCOMES[act - 1]!)
      expect(first.code).toBe(0)
      expect(again.stdout).toBe(first.stdout)
      // Calls take 0.4 ms in the middle, by the clock of the replay.
      expect(first.stdout).toMatch(/stable, served +\d.* 0\.\d\d ms +\d\.\d\d ms/)
    }
  })

  it("ends in the same way on other traffic", { timeout: MINUTE }, async () => {
    for (const act of [1, 2]) {
      const ended = await demo("--seed", "2", "--sessions-per-minute", "45", "--act", String(act))
      expect(summaryOf(ended, act)).toMatch(OUTCOMES[act - 1]!)
      expect(ended.stdout).toContain("45 sessions a simulated minute, seed 2")
    }
  })

  skipNote(1, "the demo on recorded sessions of τ-bench")
  it.skipIf(!sharedIsThere)(
    "rolls both back and promotes the good one on sessions of real agents",
    { timeout: MINUTE },
    async () => {
      const ended = await demo("--calls", sharedPath("data/tau-airline-toolcalls.jsonl"))
      expect(ended.stdout).toContain("1164 tool calls of 182 recorded sessions")
      for (const [i, outcome] of OUTCOMES.entries()) expect(summaryOf(ended, i + 1)).toMatch(outcome)
      expect(ended.code).toBe(0)
    },
  )

  it(
    "shows the rule that changed, both arms, every criterion, and stays within 100 columns",
    { timeout: MINUTE },
    async () => {
      const { code, stdout } = await demo("--act", "1")
      expect(code).toBe(0)
      expect(stdout).toMatch(/^ {2}- {5}when: 'input\.reservation_id\.matches\("\^\[A-Z0-9\]\{6\}\$"\)'$/m)
      expect(stdout).toMatch(/^ {2}\+ {5}when: 'input\.reservation_id\.matches\("\^\[A-Z\]\{6\}\$"\)'$/m)
      expect(stdout).toMatch(/^ {2}canary, served +0 +0 /m)
      expect(stdout).toMatch(/^ {2}newly_denied_rate_max +breach +[\d.]+ % +[\d.]+ % … [\d.]+ % +1\.00 %/m)
      expect(stdout).toMatch(/^ {2}cancel_reservation +allow \(cancel-known-id\) → deny \(default\) +\d+$/m)
      expect(stdout).toMatch(/Rolled back automatically in shadow, after 0:\d\d h and \d+ sessions, 0 of them served/)
      expect(stdout.split("\n").filter((line) => [...line].length > 100)).toEqual([])
    },
  )

  it("plays tools that it has never heard of, whatever their names and inputs", { timeout: MINUTE }, async () => {
    const lines = Array.from({ length: 60 }, (_, i) => [
      { session: `s${i}`, tool: "read file", input: { "file-name": "a", depth: i } },
      { session: `s${i}`, tool: 'say "hi"\u001b[31m', input: ["loud"] },
      ...(i % 6 === 0 ? [{ session: `s${i}`, tool: "web:search", input: null }] : []),
    ]).flat()
    const path = await calls(...lines)
    const outcomes = ["newly_denied_rate_max (complete-request)", "newly_allowed_rate_max (not-for-agents)"]
    for (const [i, outcome] of outcomes.entries()) {
      const ended = await demo("--calls", path, "--act", String(i + 1))
      expect(summaryOf(ended, i + 1)).toContain(`rolled back on ${outcome}`)
      expect(ended.stdout).not.toContain("\u001b")
      expect(ended.code).toBe(0)
    }
  })

  it("says what it lacks when there is only one tool, and fails", { timeout: MINUTE }, async () => {
    const ended = await demo("--act", "2", "--calls", await calls({ session: "s", tool: "lone", input: {} }))
    const missing = "needs a second tool with 5 recorded calls or more; the file has only lone"
    expect(ended.stdout).toContain(`Not played: ${missing}.`)
    expect(summaryOf(ended, 2)).toBe(`act 2: not played: ${missing}`)
    expect(ended.code).toBe(1)
  })

  it("names the bad lines of a file that cannot be read", { timeout: MINUTE }, async () => {
    const path = await calls({ session: "s", tool: "t", input: {} }, "{", { session: "", tool: "t" })
    const { code, stdout, stderr } = await demo("--calls", path)
    expect(stderr).toContain(`${path}:2: is no JSON`)
    expect(stderr).toContain(`${path}:3: \`session\` must be a text that is not empty; \`input\` is missing`)
    expect(stdout).toBe("")
    expect(code).toBe(1)
  })

  it("refuses flags that it does not know or cannot use, and says how it is used", { timeout: MINUTE }, async () => {
    const refused = [
      { args: ["--sede", "1"], message: "'--sede'" },
      { args: ["--seed", "1.5"], message: "--seed must be a whole number from 0 to 9007199254740991, got 1.5" },
      { args: ["--act", "4"], message: "--act must be a whole number from 1 to 3, got 4" },
      { args: ["--sessions-per-minute", "0"], message: "--sessions-per-minute must be a whole number from 1 to 1000" },
    ]
    for (const { args, message } of refused) {
      const { code, stdout, stderr } = await demo(...args)
      expect(stderr).toContain(message)
      expect(stderr).toContain("Usage: npm run demo")
      expect(stdout).toBe("")
      expect(code).toBe(1)
    }
  })
})

describe("the small examples", () => {
  const example = (name: string): Promise<Ended> =>
    printedBy(async () => {
      vi.resetModules()
      await import(`../../examples/${name}.ts`)
      return 0
    })

  it("embeds a rollout and decides, also when its state is there already", async () => {
    for (const _ of ["first", "again"]) {
      expect(await example("embed")).toEqual({
        code: 0,
        stdout: "allow by release 1.0.0, rule small-refunds\n",
        stderr: "",
      })
    }
  })

  it("wraps two functions and shows where they differ", async () => {
    const stdout = "10 of 10 allowed\nissue_refund: allow (up to 100) → deny (below 100), 1 time(s)\n"
    expect(await example("wrap")).toEqual({ code: 0, stdout, stderr: "" })
  })
})
