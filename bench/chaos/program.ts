import { fork } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"

/** What a process of the fleet is started with. */
export interface Part {
  /** Its name: a process that takes its place has the same. */
  readonly name: string
  /** How many of this name were before it. */
  readonly life: number
  /** Port of its own link to the store. */
  readonly port: number
  /** File that its lines go to. */
  readonly lines: string
  /** Folder for what it keeps. */
  readonly dir: string
  readonly speed: number
  /** Wall clock at the beginning, ms since the epoch. */
  readonly origin: number
  readonly seed: number
}

/** What the world says to a process. */
export type Order =
  | { readonly is: "jump"; readonly ms: number }
  /** What it reads from the store from now on. */
  | { readonly is: "reads"; readonly what: "honest" | "corrupt" | "replay" }
  | { readonly is: "end" }

/** One process, and whoever takes its place. */
export interface Actor {
  readonly name: string
  readonly pid: () => number
  order(order: Order): void
  signal(signal: "SIGSTOP" | "SIGCONT"): void
  /** SIGKILL, and a new one in its place. */
  replace(): Promise<void>
  /** Have it end as it would by itself; SIGKILL when it does not within `ms`. Answers whether it did. */
  end(ms: number): Promise<boolean>
}

/** Start a process that ends with this one. */
export function startActor(program: string, part: Omit<Part, "life">): Actor {
  let life = 0
  let child = start()

  function start(): ChildProcess {
    const started = fork(program, [JSON.stringify({ ...part, life } satisfies Part)], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    })
    // What is sent to one that is gone is lost, like everything else.
    started.on("error", () => {})
    return started
  }
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  process.once("exit", () => child.kill("SIGKILL"))

  async function kill(): Promise<void> {
    if (!isRunning()) return
    const exit = once(child, "exit")
    child.kill("SIGKILL")
    await exit
  }

  return {
    name: part.name,
    pid: () => child.pid ?? 0,
    order: (order) => void (child.connected && child.send(order, () => {})),
    signal: (signal) => void (isRunning() && child.kill(signal)),
    async replace() {
      await kill()
      life++
      child = start()
    },
    async end(ms) {
      if (!isRunning()) return false
      const exit = once(child, "exit")
      child.kill("SIGCONT")
      child.send({ is: "end" } satisfies Order, () => {})
      const timer = setTimeout(() => child.kill("SIGKILL"), ms)
      await exit
      clearTimeout(timer)
      return child.signalCode === null
    },
  }
}
