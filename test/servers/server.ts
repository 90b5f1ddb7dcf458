import { execFileSync, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"

/** A server of its own for a test, on loopback, with its data in a folder of its own. */
export interface TestServer {
  readonly port: number
  /** Folder of its data. */
  readonly dir: string
  /** Start on the data that is there, unless it runs; resolves when it answers. */
  start(): Promise<void>
  /** End it at once, as a crash does. */
  kill(): Promise<void>
  /** Keep a copy of the data as they are now, for `rollBack`. */
  save(): Promise<void>
  /** Put back the data that were saved, as a restored backup or a fail-over that lost writes does. */
  rollBack(): Promise<void>
  /** Put back the data from before `rollBack`: what was written since is lost. */
  undoRollBack(): Promise<void>
  /** End the process and remove its data. */
  destroy(): Promise<void>
}

export interface ServerProgram {
  readonly program: string
  /** Ports that it takes besides its main one. */
  readonly morePorts?: number
  args(dir: string, ports: readonly number[]): readonly string[]
  /** Ask whether it is ready; a rejection is a no. */
  isReady(port: number): Promise<boolean>
}

const START_MS = 20_000
const ASK_EVERY_MS = 10
/** Longest wait for one answer, ms: what is asked can be another's, for a moment, or a server that does not answer yet. */
const ANSWER_MS = 1000

/** Whether a program is on PATH. With SERIN_REQUIRE_SERVERS=1 one that is missing is a failure. */
export function hasServer(program: string): boolean {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" })
    return true
  } catch (cause) {
    if (process.env["SERIN_REQUIRE_SERVERS"] === "1") throw new Error(`${program} is not on PATH`, { cause })
    return false
  }
}

/** Say how many tests are skipped and why. */
export function skipNote(program: string, count: number): void {
  if (!hasServer(program)) console.warn(`SKIPPED ${count}: these tests need ${program} on PATH`)
}

/** Start a server. It is ended when this process ends, however that comes. */
export async function startServer(program: ServerProgram): Promise<TestServer> {
  const root = mkdtempSync(join(tmpdir(), "serin-server-"))
  const dir = join(root, "data")
  const saved = join(root, "saved")
  const newest = join(root, "newest")
  const ports = await freePorts(1 + (program.morePorts ?? 0))
  const [port = 0] = ports
  let child: ChildProcess | null = null
  const end = (): void => void child?.kill("SIGKILL")
  process.once("exit", end)

  async function start(): Promise<void> {
    if (child !== null) return
    const endAt = performance.now() + START_MS
    // What held the port while it was looked for is copied into every program that another thread starts, until that runs.
    while (!(await startOnce(endAt))) await setTimeout(ASK_EVERY_MS)
  }

  /** False: the port is taken. */
  async function startOnce(endAt: number): Promise<boolean> {
    const started = spawn(program.program, program.args(dir, ports), { stdio: ["ignore", "pipe", "pipe"], cwd: root })
    child = started
    let told = ""
    for (const stream of [started.stdout, started.stderr]) {
      stream.on("data", (chunk: Buffer) => (told = (told + chunk.toString()).slice(-2000)))
    }
    const isReady = (): Promise<boolean> =>
      Promise.race([program.isReady(port).catch(() => false), setTimeout(ANSWER_MS, false, { ref: false })])
    while (!(await isReady())) {
      const isLate = performance.now() > endAt
      const isOver = started.exitCode !== null || started.signalCode !== null
      if (isOver && !isLate && /address already in use/i.test(told)) return false
      if (isOver || isLate) {
        end()
        throw new Error(`${program.program} did not start: ${told}`)
      }
      await setTimeout(ASK_EVERY_MS)
    }
    return true
  }

  async function kill(): Promise<void> {
    const running = child
    child = null
    if (running === null || running.exitCode !== null || running.signalCode !== null) return
    const exit = once(running, "exit")
    running.kill("SIGKILL")
    await exit
  }

  const server: TestServer = {
    port,
    dir,
    start,
    kill,
    async save() {
      await kill()
      rmSync(saved, { recursive: true, force: true })
      cpSync(dir, saved, { recursive: true })
      await start()
    },
    async rollBack() {
      await kill()
      rmSync(newest, { recursive: true, force: true })
      renameSync(dir, newest)
      cpSync(saved, dir, { recursive: true })
      await start()
    },
    async undoRollBack() {
      await kill()
      rmSync(dir, { recursive: true })
      renameSync(newest, dir)
      await start()
    },
    async destroy() {
      await kill()
      process.removeListener("exit", end)
      rmSync(root, { recursive: true, force: true })
    },
  }
  try {
    await start()
  } catch (error) {
    await server.destroy()
    throw error
  }
  return server
}

/** All held open until each is known, so that no two are the same. */
async function freePorts(count: number): Promise<readonly number[]> {
  const listeners = await Promise.all(
    Array.from({ length: count }, async () => {
      const listener = createServer()
      await once(listener.listen(0, "127.0.0.1"), "listening")
      return listener
    }),
  )
  const ports = listeners.map((listener) => {
    const address = listener.address()
    return address !== null && typeof address === "object" ? address.port : 0
  })
  await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))))
  return ports
}
