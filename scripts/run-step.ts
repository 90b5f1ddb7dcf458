import { spawn, type ChildProcess } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"

export interface StepOptions {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** Pass output on as it comes instead of keeping it. */
  readonly show: boolean
  /** Longest time that the step may take; default 15 min. */
  readonly limitMs?: number
  /** Time that its processes have to end after it; default 3 s. */
  readonly graceMs?: number
}

export interface StepResult {
  /** Null when the command exited with 0, in time, and left no process behind. */
  readonly error: string | null
  readonly output: string
}

/** Steps that go on. */
const running = new Set<ChildProcess>()

/** Run a command in a process group of its own, without standard input. Whatever is left of the group is ended. */
export async function runStep(
  [file, ...args]: readonly [string, ...string[]],
  { cwd, env, show, limitMs = 15 * 60_000, graceMs = 3_000 }: StepOptions,
): Promise<StepResult> {
  const output = show ? "inherit" : "pipe"
  const child = spawn(file, args, { cwd, env, stdio: ["ignore", output, output], detached: true })
  const texts: string[] = []
  child.stdout?.setEncoding("utf8").on("data", (text: string) => texts.push(text))
  child.stderr?.setEncoding("utf8").on("data", (text: string) => texts.push(text))
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))

  // The group does not hear the terminal's Ctrl-C by itself.
  const stop = (signal: NodeJS.Signals): void => {
    for (const one of running) signalGroup(one, "SIGKILL")
    process.exit(signal === "SIGINT" ? 130 : 143)
  }
  process.on("SIGINT", stop).on("SIGTERM", stop)
  running.add(child)
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    signalGroup(child, "SIGKILL")
  }, limitMs)

  try {
    const ended = await new Promise<string | null>((resolve) => {
      child.once("error", (error) => resolve(error.message))
      child.once("exit", (code, signal) => resolve(code === 0 ? null : `ended with ${signal ?? `code ${code}`}`))
    })
    clearTimeout(timer)
    const leftProcesses = await endGroup(child, graceMs)
    // What a pipe still holds arrives after `exit`; a process that left the group could hold the pipe for ever.
    await Promise.race([closed, delay(1_000, undefined, { ref: false })])
    const error = timedOut
      ? `took longer than ${limitMs / 1000} s`
      : (ended ?? (leftProcesses ? "left processes behind" : null))
    return { error, output: texts.join("").trimEnd() }
  } finally {
    clearTimeout(timer)
    running.delete(child)
    process.off("SIGINT", stop).off("SIGTERM", stop)
  }
}

/** Give the group a moment to end, then end it. Answers whether that was needed. */
async function endGroup(child: ChildProcess, graceMs: number): Promise<boolean> {
  for (let waited = 0; waited < graceMs; waited += 50) {
    if (!groupLives(child)) return false
    await delay(50)
  }
  return signalGroup(child, "SIGKILL")
}

/** In a container whose first process reaps nobody the dead stay in their group for ever: on Linux they are told apart. */
function groupLives(child: ChildProcess): boolean {
  if (!signalGroup(child, 0)) return false
  if (process.platform !== "linux") return true
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false
    const [state, , group] = statOf(name)
    return state !== "Z" && Number(group) === child.pid
  })
}

/** State, parent and group of a process: what follows the name in parentheses. */
function statOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ")
  } catch {
    return ["Z"] // It has ended in the meantime.
  }
}

/** False when the group has no process. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (child.pid === undefined) return false
  try {
    return process.kill(-child.pid, signal)
  } catch {
    return false
  }
}
