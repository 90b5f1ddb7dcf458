import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { run } from "../../src/cli/run.js"
import { systemClock } from "../../src/model/clock.js"
import { bundled } from "../bundled.js"

const MAIN = "src/cli/main.ts"
const AGENT = "test/cli/fixtures/agent.ts"
const program = bundled(MAIN, AGENT)

/** At once at 100 %, so that the session of the agent is the canary's. */
const ROLLOUT = `
rollout: refund-agent
stable: 1.4.0
canary:
  release: 1.5.0
  shadow: false
  stages: [100]
  activation_delay: "0s"
  acceptance_criteria: { error_rate_max: 0.5 }
`

interface Seen {
  readonly at: number
  readonly revision: number
  readonly outcome: string
  readonly arm: string
  readonly source: string
  readonly problem?: string
  readonly decided: number
  readonly closed?: boolean
}

let dir = ""
let rollout = ""
const children = new Set<ChildProcess>()

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "serin-processes-"))
  rollout = join(dir, "rollout.yaml")
  expect(await here("init", dir)).toMatchObject({ code: 0 })
  await writeFile(rollout, ROLLOUT)
})

afterEach(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL")
      await once(child, "exit")
    }
  }
  children.clear()
  await rm(dir, { recursive: true, force: true })
})

function start(script: string, argv: readonly string[]): ChildProcess {
  const env = { ...process.env, NO_COLOR: "1", NODE_OPTIONS: "" }
  const child = spawn(process.execPath, [program(script), ...argv], { env })
  children.add(child)
  return child
}

async function ended(child: ChildProcess): Promise<{ code: number | null; out: string; err: string; at: number }> {
  let out = ""
  let err = ""
  child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()))
  child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, "close")) as [number | null]
  return { code, out, err, at: Date.now() }
}

/** Run the command as a process of its own. */
const serin = (...argv: string[]) => ended(start(MAIN, [...argv, "--rollout", rollout]))

/** Run it in this process, where it is not the process that is tested: starting one takes a second. */
async function here(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const written = { out: "", err: "" }
  const code = await run(argv, {
    stdout: { write: (text) => (written.out += text) },
    stderr: { write: (text) => (written.err += text) },
    cwd: dir,
    env: {},
    clock: systemClock,
    signal: new AbortController().signal,
    isTTY: false,
    stderrIsTTY: false,
    columns: 80,
  })
  return { code, ...written }
}
const onRollout = (...argv: string[]) => here(...argv, "--rollout", rollout)

/** An application in a process of its own, and what it was told so far. */
function agent({ judgeEveryMs }: { judgeEveryMs: number }) {
  const child = start(AGENT, [rollout, join(dir, "releases"), String(judgeEveryMs)])
  const seen: Seen[] = []
  let err = ""
  let rest = ""
  child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()))
  child.stdout?.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n")
    rest = lines.pop() ?? ""
    seen.push(...lines.map((line) => JSON.parse(line) as Seen))
  })
  return {
    /** Wait until it was told this, in a revision after the given one. */
    until: (what: Partial<Seen>, after = 0) =>
      vi.waitFor(
        () => {
          const fits = (one: Seen): boolean =>
            Object.entries(what).every(([key, value]) => one[key as keyof Seen] === value)
          const found = seen.find((one) => one.revision > after && fits(one))
          if (found === undefined) throw new Error(`not seen: ${JSON.stringify({ what, after, seen, err })}`)
          return found
        },
        { timeout: 20_000, interval: 5 },
      ),
    isAlive: () => child.exitCode === null && child.signalCode === null,
    /** End it by its own means: the exit code, and what it wrote last. */
    async close() {
      const closed = once(child, "close") as Promise<[number | null]>
      child.kill("SIGTERM")
      const [code] = await closed
      return { code, err, last: seen.at(-1) }
    },
  }
}

describe("a running process", { timeout: 60_000 }, () => {
  it("serves the canary after `serin start`, and stable within a second of `serin kill`", async () => {
    const app = agent({ judgeEveryMs: 200 })
    await app.until({ arm: "stable", source: "policy" })
    expect(await serin("start")).toMatchObject({ code: 0, err: "" })
    await app.until({ arm: "canary" })
    await vi.waitFor(async () => expect((await onRollout("status")).out).not.toContain("no process is judging"), 20_000)

    const kill = await serin("kill")
    const stable = await app.until({ arm: "stable" }, 1)
    expect(kill.code).toBe(0)
    console.log(`kill: in effect ${stable.at - kill.at} ms after the command ended`)
    expect(stable.at - kill.at).toBeLessThan(1000)

    const deny = await serin("kill", "--position", "deny", "--reason", "it deletes accounts")
    const denied = await app.until({ outcome: "deny", source: "lockdown" })
    console.log(`kill --position deny: in effect ${denied.at - deny.at} ms after the command ended`)
    expect(denied.at - deny.at).toBeLessThan(1000)
    expect(await onRollout("status")).toMatchObject({ code: 5 })
    expect(await app.close()).toMatchObject({ code: 0, err: "", last: { closed: true } })
  })

  it("goes on with its last good state when the state directory is deleted, and makes no other", async () => {
    const app = agent({ judgeEveryMs: 200 })
    await app.until({ arm: "stable" })
    await onRollout("start")
    const before = await app.until({ arm: "canary" })
    await rm(join(dir, "state"), { recursive: true, maxRetries: 10, retryDelay: 20 })
    await app.until({ problem: "store_unreachable", arm: "canary" })
    expect(await onRollout("status")).toMatchObject({ code: 6 })
    expect(app.isAlive()).toBe(true)
    const { code, err, last } = await app.close()
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(last?.decided).toBeGreaterThan(before.decided)
    expect(await readdir(dir)).not.toContain("state")
  })

  it("keeps its state when the newest one is broken by hand; status names the field, and a kill still works", async () => {
    // No judgement: it would write revisions of its own.
    const app = agent({ judgeEveryMs: 600_000 })
    await app.until({ arm: "stable" })
    await onRollout("start")
    await app.until({ arm: "canary", revision: 2 })
    const broken = JSON.stringify({ format: "serin/state/1", rollout: "refund-agent", kill: "maybe" })
    await writeFile(join(dir, "state/refund-agent/state/0000000003.json"), broken)
    await app.until({ problem: "rejected_invalid", arm: "canary", revision: 2 })

    const status = await onRollout("status")
    expect(status.code).toBe(1)
    expect(status.err).toMatch(/^ {2}kill: /m)
    const kill = await serin("kill")
    expect(kill.code).toBe(0)
    const stable = await app.until({ arm: "stable", revision: 4 })
    console.log(`kill over a broken state: in effect ${stable.at - kill.at} ms after the command ended`)
    expect(stable.at - kill.at).toBeLessThan(1000)
    expect(await app.close()).toMatchObject({ code: 0, err: "" })
  })
})

describe("the command as a process", { timeout: 60_000 }, () => {
  it("ends a watch on SIGINT with 0, and leaves nothing on stderr", async () => {
    await onRollout("start")
    const child = start(MAIN, ["watch", "--rollout", rollout])
    const result = ended(child)
    await once(child.stdout ?? child, "data")
    child.kill("SIGINT")
    expect(await result).toMatchObject({ code: 0, err: "", out: expect.stringContaining("baking at 100 %") })
  })

  it("ends quietly when nobody reads any more", async () => {
    await onRollout("start")
    const child = start(MAIN, ["watch", "--rollout", rollout])
    let err = ""
    child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()))
    await once(child.stdout ?? child, "data")
    child.stdout?.destroy()
    const closed = once(child, "close")
    await onRollout("pause")
    const [code] = (await closed) as [number | null]
    expect({ code, err }).toEqual({ code: 0, err: "" })
  })

  it("ends although a module of a release left a timer", async () => {
    const calls = join(dir, "calls.jsonl")
    await writeFile(calls, '{"session":"a","tool":"get_order","input":{}}\n')
    const release = join(dir, "releases", "1.5.0")
    await writeFile(join(release, "release.yaml"), 'version: "1.5.0"\npolicy: { module: policy.mjs }\n')
    const source = 'setInterval(() => {}, 1000); export const policy = () => ({ evaluate: () => "allow" })'
    await writeFile(join(release, "policy.mjs"), source)
    const argv = ["replay", "--calls", calls, "--stable", release, "--canary", release, "--modules", "in-process"]
    expect(await ended(start(MAIN, argv))).toMatchObject({ code: 0, err: "" })
  })

  it("keeps the exit code of what it did when nobody reads it", async () => {
    const child = start(MAIN, ["kill", "--rollout", rollout])
    child.stdout?.destroy()
    const [code] = (await once(child, "close")) as [number | null]
    expect(code).toBe(0)
    expect(await onRollout("status")).toMatchObject({ code: 5 })
  })
})
